// Writes tar headers exactly as Python 3.11's tarfile does, so that archives made here equal those YunoHost makes.
// Pure: bytes out, no files. Reading is in tar-reader.ts.
import { FallbackError } from '../errors/fallback-error.ts';

/** The three header dialects: POSIX pax (Python's default, and YunoHost's), GNU, and plain ustar. */
export type TarFormat = 'pax' | 'gnu' | 'ustar';

/** What a tar member can be, beside kinds that this program does not write. */
export type TarMemberType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'character' | 'block' | 'fifo';

/** A member to be written. Texts are UTF-8; a byte that is not stands as U+DC00 + byte, as in Python's surrogateescape. */
export interface TarMember {
  /** Without leading slash; a folder's gets its final slash here. */
  readonly name: string;
  readonly type: TarMemberType;
  /** Permission bits; the file type bits of `stat` may be set and are dropped. */
  readonly mode: number;
  readonly userId: number;
  readonly groupId: number;
  readonly userName: string;
  readonly groupName: string;
  /** Seconds since 1970; pax keeps the fraction, gnu and ustar cut it off. */
  readonly modifiedSeconds: number;
  readonly linkName?: string;
  /** Length of the contents in bytes; counts for files only, every other member is written with 0. */
  readonly sizeBytes: number;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
}

/** Every header, and all padding, comes in blocks of this many bytes. */
export const tarBlockBytes = 512;
/** Tar files are padded with zeros to a multiple of this many bytes. */
export const tarRecordBytes = 10240;

const typeFlags: Record<TarMemberType, string> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/**
 * All headers of one member (pax or GNU pre-headers, then the header itself): a multiple of 512 bytes.
 * @throws LIMIT_EXCEEDED when a name or number does not fit the format (never with pax), or a number is not finite.
 */
export function encodeTarHeaders(member: TarMember, format: TarFormat): Uint8Array {
  const sizeBytes = member.type === 'file' ? member.sizeBytes : 0;
  for (const value of [member.mode, member.userId, member.groupId, sizeBytes]) {
    if (!Number.isSafeInteger(value)) throw doesNotFit(member, `the number ${value}`);
  }
  if (!Number.isFinite(member.modifiedSeconds)) throw doesNotFit(member, 'the time of change');
  const isFolder = member.type === 'directory' && !member.name.endsWith('/');
  const named = { ...member, name: isFolder ? `${member.name}/` : member.name, sizeBytes };
  if (format === 'pax') return encodePax(named);
  return format === 'gnu' ? encodeGnu(named) : encodeUstar(named);
}

/** How many zero bytes follow contents of `sizeBytes`, 0 to 511. */
export function tarPadding(sizeBytes: number): number {
  return (tarBlockBytes - (sizeBytes % tarBlockBytes)) % tarBlockBytes;
}

/** The end of a tar after `totalBytesBefore` bytes of members: two zero blocks, and zeros up to a whole record. */
export function encodeTarEnd(totalBytesBefore: number): Uint8Array {
  const total = totalBytesBefore + 2 * tarBlockBytes;
  return new Uint8Array(Math.ceil(total / tarRecordBytes) * tarRecordBytes - totalBytesBefore);
}

/**
 * A whole tar in memory: for small archives and tests.
 * @throws LIMIT_EXCEEDED as encodeTarHeaders does, or when a content's length differs from its member's size.
 */
export function buildTar(
  entries: Iterable<{ readonly member: TarMember; readonly content?: Uint8Array }>,
  format: TarFormat,
): Uint8Array {
  const parts: Uint8Array[] = [];
  let total = 0;
  const add = (part: Uint8Array) => {
    parts.push(part);
    total += part.byteLength;
  };
  for (const { member, content = new Uint8Array(0) } of entries) {
    if (content.byteLength !== (member.type === 'file' ? member.sizeBytes : 0)) throw doesNotFit(member, 'its content');
    add(encodeTarHeaders(member, format));
    add(content);
    add(new Uint8Array(tarPadding(content.byteLength)));
  }
  add(encodeTarEnd(total));
  return new Uint8Array(Buffer.concat(parts, total));
}

type NumberField = 'userId' | 'groupId' | 'sizeBytes' | 'modifiedSeconds';

function encodePax(member: TarMember): Uint8Array {
  const records: [string, string][] = [];
  const texts: readonly (readonly [string, string, number])[] = [
    ['path', member.name, 100],
    ['linkpath', member.linkName ?? '', 100],
    ['uname', member.userName, 32],
    ['gname', member.groupName, 32],
  ];
  for (const [key, value, lengthMax] of texts) {
    if (value.length > lengthMax || !isAscii(value)) records.push([key, value]);
  }
  const header = { ...member };
  const numbers: readonly (readonly [string, NumberField, number])[] = [
    ['uid', 'userId', 7],
    ['gid', 'groupId', 7],
    ['size', 'sizeBytes', 11],
    ['mtime', 'modifiedSeconds', 11],
  ];
  for (const [key, field, digits] of numbers) {
    // Python's stat gives the time as a float, and every float gets a record, also 1758209844.0.
    const isFloat = field === 'modifiedSeconds';
    const rounded = isFloat ? roundHalfToEven(member[field]) : member[field];
    const fits = rounded >= 0 && rounded < 8 ** digits;
    header[field] = fits ? rounded : 0;
    if (!fits || isFloat) records.push([key, isFloat ? pythonFloat(member[field]) : String(member[field])]);
  }
  const main = encodeHeader(header, 'ustar', ascii);
  return records.length === 0 ? main : join(encodePaxRecords(records), main);
}

/** A pax pre-header: `LENGTH KEY=VALUE\n` for each record, LENGTH counting itself. */
function encodePaxRecords(records: readonly (readonly [string, string])[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const isBinary = records.some(([, value]) => !value.isWellFormed());
  if (isBinary) parts.push(Buffer.from('21 hdrcharset=BINARY\n'));
  for (const [key, value] of records) {
    const line = join(Buffer.from(` ${key}=`), textBytes(value), Buffer.from('\n'));
    let total = line.byteLength;
    while (line.byteLength + String(total).length !== total) total = line.byteLength + String(total).length;
    parts.push(Buffer.from(String(total)), line);
  }
  return encodeExtra('././@PaxHeader', 'x', 'ustar', join(...parts));
}

function encodeGnu(member: TarMember): Uint8Array {
  const parts: Uint8Array[] = [];
  const texts = [
    ['K', member.linkName ?? ''],
    ['L', member.name],
  ] as const;
  for (const [flag, text] of texts) {
    const bytes = textBytes(text);
    if (bytes.byteLength > 100) parts.push(encodeExtra('././@LongLink', flag, 'gnu', join(bytes, new Uint8Array(1))));
  }
  return join(...parts, encodeHeader(member, 'gnu', textBytes));
}

function encodeUstar(member: TarMember): Uint8Array {
  if (textBytes(member.linkName ?? '').byteLength > 100) throw doesNotFit(member, 'its link target');
  if (textBytes(member.name).byteLength <= 100) return encodeHeader(member, 'ustar', textBytes);
  for (let slash = member.name.indexOf('/'); slash >= 0; slash = member.name.indexOf('/', slash + 1)) {
    const prefix = textBytes(member.name.slice(0, slash));
    const name = member.name.slice(slash + 1);
    if (prefix.byteLength > 155 || textBytes(name).byteLength > 100) continue;
    return encodeHeader({ ...member, name }, 'ustar', textBytes, prefix);
  }
  throw doesNotFit(member, 'its name');
}

/** A pre-header: a header of its own whose contents describe the next one. */
function encodeExtra(name: string, flag: string, magic: 'gnu' | 'ustar', content: Uint8Array): Uint8Array {
  const block = new HeaderBlock(magic);
  block.text(0, 100, Buffer.from(name));
  for (const at of [100, 108, 116]) block.octal(at, 8, 0);
  block.octal(124, 12, content.byteLength);
  block.octal(136, 12, 0);
  block.text(156, 1, Buffer.from(flag));
  return join(block.finish(), content, new Uint8Array(tarPadding(content.byteLength)));
}

function encodeHeader(
  member: TarMember,
  magic: 'gnu' | 'ustar',
  encode: (text: string) => Uint8Array,
  prefix: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const block = new HeaderBlock(magic);
  const number = (at: number, length: number, value: number) => {
    const whole = Math.trunc(value);
    if (whole >= 0 && whole < 8 ** (length - 1)) block.octal(at, length, whole);
    else if (magic === 'gnu') block.base256(at, length, whole);
    else throw doesNotFit(member, `the number ${whole}`);
  };
  block.text(0, 100, encode(member.name));
  number(100, 8, member.mode & 0o7777);
  number(108, 8, member.userId);
  number(116, 8, member.groupId);
  number(124, 12, member.sizeBytes);
  number(136, 12, member.modifiedSeconds);
  block.text(156, 1, Buffer.from(typeFlags[member.type]));
  block.text(157, 100, encode(member.linkName ?? ''));
  block.text(265, 32, encode(member.userName));
  block.text(297, 32, encode(member.groupName));
  if (member.type === 'character' || member.type === 'block') {
    number(329, 8, member.deviceMajor ?? 0);
    number(337, 8, member.deviceMinor ?? 0);
  }
  block.text(345, 155, prefix);
  return block.finish();
}

/**
 * One 512-byte header:
 *
 *     0 name 100 | 100 mode 8 | 108 uid 8 | 116 gid 8 | 124 size 12 | 136 mtime 12 | 148 checksum 8 | 156 type 1
 *     157 linkname 100 | 257 magic+version 8 | 265 uname 32 | 297 gname 32 | 329 major 8 | 337 minor 8 | 345 prefix 155
 */
class HeaderBlock {
  readonly #bytes = Buffer.alloc(tarBlockBytes);

  constructor(magic: 'gnu' | 'ustar') {
    this.#bytes.write(magic === 'gnu' ? 'ustar  \0' : 'ustar\u000000', 257, 'latin1');
  }

  text(at: number, length: number, value: Uint8Array): void {
    this.#bytes.set(value.subarray(0, length), at);
  }

  octal(at: number, length: number, value: number): void {
    this.#bytes.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  }

  base256(at: number, length: number, value: number): void {
    let rest = BigInt.asUintN(length * 8, BigInt(value));
    for (let index = length - 1; index > 0; index--) {
      this.#bytes[at + index] = Number(rest & 0xffn);
      rest >>= 8n;
    }
    this.#bytes[at] = value < 0 ? 0xff : 0x80;
  }

  finish(): Uint8Array {
    this.#bytes.fill(0x20, 148, 156);
    let sum = 0;
    for (const byte of this.#bytes) sum += byte;
    this.#bytes.write(`${sum.toString(8).padStart(6, '0')}\0`, 148, 'latin1');
    return this.#bytes;
  }
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}

/** ASCII bytes, with `?` for every other code point: what a pax archive's old fields hold. */
function ascii(text: string): Uint8Array {
  return Buffer.from([...text].map((point) => (isAscii(point) ? point : '?')).join(''), 'latin1');
}

/** UTF-8 bytes, with U+DC80..U+DCFF as the single bytes that they stand for. */
function textBytes(text: string): Uint8Array {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8');
  const parts: Uint8Array[] = [];
  for (const point of text) {
    const code = point.charCodeAt(0);
    const isEscapedByte = point.length === 1 && code >= 0xdc80 && code <= 0xdcff;
    parts.push(isEscapedByte ? Uint8Array.of(code & 0xff) : Buffer.from(point, 'utf8'));
  }
  return join(...parts);
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest === 0.5) return floor % 2 === 0 ? floor : floor + 1;
  return (rest < 0.5 ? floor : floor + 1) + 0;
}

/** A number as Python's `str(float)` prints it: both take the shortest digits, but change to exponents elsewhere. */
function pythonFloat(value: number): string {
  const size = Math.abs(value);
  if (Object.is(value, -0)) return '-0.0';
  if (value === 0 || (size >= 1e-4 && size < 1e16)) return Number.isInteger(value) ? `${value}.0` : String(value);
  const [digits = '', exponent = ''] = value.toExponential().split('e');
  return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`;
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

function doesNotFit(member: TarMember, what: string): FallbackError {
  return new FallbackError(
    'LIMIT_EXCEEDED',
    `The tar member "${member.name}" cannot be written: ${what} does not fit.`,
  );
}
