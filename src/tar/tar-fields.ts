// Decodes single fields of tar headers: numbers, texts, the checksum, pax records. Never throws: undefined is nonsense.
import { decodeTarText, endOfTarText, type TarText } from './tar-text.ts';

/** How many bytes a member name or link target may have; a longer one is nonsense to the reader. */
export const tarNameBytesMax = 64 * 1024;
/** How many bytes the contents of one pax pre-header may have; a longer one is nonsense to the reader. */
export const tarPaxBytesMax = 1024 * 1024;

/** Whether the checksum of the 512-byte header at `at` is right, summed as unsigned or (some old tars) signed bytes. */
export function hasTarChecksum(block: Uint8Array, at: number): boolean {
  const stored = readTarNumber(block, at + 148, 8);
  if (stored === undefined) return false;
  let sum = 0;
  for (let index = at; index < at + 512; index++) sum += block[index] as number;
  // The checksum field itself counts as eight spaces.
  for (let index = at + 148; index < at + 156; index++) sum += 32 - (block[index] as number);
  if (sum === stored) return true;
  let negative = 0;
  for (let index = at; index < at + 512; index++) negative += (block[index] as number) >> 7;
  for (let index = at + 148; index < at + 156; index++) negative -= (block[index] as number) >> 7;
  return sum - 256 * negative === stored;
}

/** Whether the 512 bytes at `at` are all zero. */
export function isZeroBlock(block: Uint8Array, at: number): boolean {
  for (let index = at; index < at + 512; index++) if (block[index] !== 0) return false;
  return true;
}

/** A numeric field: octal, or GNU base-256 when its first bit is set; undefined when neither or beyond 2^53-1. */
export function readTarNumber(block: Uint8Array, at: number, length: number): number | undefined {
  const first = block[at] as number;
  if (first >= 0x80) return readBase256(block, at, length);
  let index = at;
  const end = at + length;
  while (index < end && block[index] === 0x20) index++;
  let value = 0;
  for (; index < end; index++) {
    const digit = (block[index] as number) - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  // What ends the digits is a space or NUL; some writers let them fill the whole field.
  for (; index < end; index++) {
    const byte = block[index];
    if (byte === 0) break;
    if (byte !== 0x20) return undefined;
  }
  return value;
}

function readBase256(block: Uint8Array, at: number, length: number): number | undefined {
  const first = block[at] as number;
  const isNegative = (first & 0x40) !== 0;
  let value = isNegative ? (first & 0x7f) - 0x80 : first & 0x7f;
  for (let index = at + 1; index < at + length; index++) {
    value = value * 256 + (block[index] as number);
    if (!Number.isSafeInteger(value)) return undefined;
  }
  return value;
}

/** A name's field, up to its first NUL. */
export function readTarText(block: Buffer, at: number, length: number): TarText {
  return decodeTarText(block, at, endOfTarText(block, at, length));
}

/** What pax records said that this program uses; undefined where they said nothing. */
export interface PaxValues {
  path?: TarText | undefined;
  linkpath?: TarText | undefined;
  uname?: TarText | undefined;
  gname?: TarText | undefined;
  uid?: number | undefined;
  gid?: number | undefined;
  size?: number | undefined;
  mtime?: number | undefined;
  /** A GNU.sparse record was there: the stored contents are not the file's own bytes. */
  isSparse?: boolean | undefined;
}

const textKeys = ['path', 'linkpath', 'uname', 'gname'] as const;
const numberKeys = ['uid', 'gid', 'size'] as const;

/**
 * Reads the records of a pax pre-header into `into`; an empty value takes back what stood before.
 * @param withTexts false leaves out everything but the size, which is all that finding the next header needs.
 * @returns false when they are nonsense.
 */
export function readPaxRecords(
  bytes: Buffer,
  start: number,
  end: number,
  into: PaxValues,
  withTexts: boolean,
): boolean {
  let at = start;
  while (at < end) {
    let length = 0;
    let index = at;
    for (; index < end && index < at + 8; index++) {
      const digit = (bytes[index] as number) - 0x30;
      if (digit < 0 || digit > 9) break;
      length = length * 10 + digit;
    }
    const next = at + length;
    if (index === at || bytes[index] !== 0x20 || next > end || next < index + 3 || bytes[next - 1] !== 0x0a) {
      return false;
    }
    const equals = bytes.indexOf(0x3d, index + 1);
    if (equals < 0 || equals >= next - 1) return false;
    // Judged alike with and without texts: what is nonsense must not depend on who listens.
    if (next - equals > tarNameBytesMax && isNameKey(bytes.toString('latin1', index + 1, equals))) return false;
    if (!takeRecord(bytes, index + 1, equals, next - 1, into, withTexts)) return false;
    at = next;
  }
  return true;
}

function takeRecord(
  bytes: Buffer,
  keyStart: number,
  equals: number,
  end: number,
  into: PaxValues,
  withTexts: boolean,
): boolean {
  // The first letter decides quickly; YunoHost's archives have one mtime record for every member.
  const first = bytes[keyStart];
  if (!withTexts && first !== 0x73) return true;
  if (equals - keyStart > 32) return true;
  const key = bytes.toString('latin1', keyStart, equals);
  const isEmpty = equals + 1 === end;
  for (const name of numberKeys) {
    if (name !== key) continue;
    const value = isEmpty ? undefined : wholeNumber(bytes.toString('latin1', equals + 1, end));
    if (name === 'size' && !isEmpty && value === undefined) return false;
    into[name] = value;
  }
  if (!withTexts) return true;
  if (key === 'mtime') {
    const value = Number(bytes.toString('latin1', equals + 1, Math.min(end, equals + 64)));
    into.mtime = isEmpty || !Number.isFinite(value) ? undefined : value;
  }
  for (const name of textKeys) {
    if (name === key) into[name] = isEmpty ? undefined : decodeTarText(bytes, equals + 1, end);
  }
  if (key.startsWith('GNU.sparse.')) {
    into.isSparse = true;
    if (key === 'GNU.sparse.name') into.path = decodeTarText(bytes, equals + 1, end);
  }
  return true;
}

function isNameKey(key: string): boolean {
  return key === 'path' || key === 'linkpath' || key === 'GNU.sparse.name';
}

/** A decimal number from 0 to 2^53-1, possibly negative for ids, or undefined. */
function wholeNumber(text: string): number | undefined {
  if (!/^-?\d{1,17}$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}
