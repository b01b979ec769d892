// The catalogue of a tar archive: its members, without offsets, so that an unchanged stretch stays the same bytes. FORMAT.md, Catalogue.
import { ByteReader } from '../bytes/byte-reader.ts';
import { ByteWriter } from '../bytes/byte-writer.ts';
import { limits } from './limits.ts';
import { unzigzag, zigzag } from './zigzag.ts';

export const memberTypes = ['file', 'directory', 'symlink', 'hardlink', 'character', 'block', 'fifo', 'other'] as const;
export type MemberType = (typeof memberTypes)[number];

/** One member of a tar archive and where it lies. */
export interface CatalogueMember {
  readonly name: string;
  readonly type: MemberType;
  /** Where its headers begin, in bytes from the archive's start. */
  readonly headerOffset: number;
  /** Length of all its headers. */
  readonly headerBytes: number;
  /** Length of its contents, without padding. */
  readonly sizeBytes: number;
  readonly mode: number;
  readonly userId: number;
  readonly groupId: number;
  readonly userName: string;
  readonly groupName: string;
  readonly modifiedSeconds: number;
  readonly linkName: string;
}

interface Owner {
  readonly userId: number;
  readonly groupId: number;
  readonly userName: string;
  readonly groupName: string;
}

const paddedTo512 = (length: number): number => Math.ceil(length / 512) * 512;
const endOf = (member: CatalogueMember): number =>
  member.headerOffset + member.headerBytes + paddedTo512(member.sizeBytes);
const isWholeTime = (seconds: number): boolean => Number.isSafeInteger(seconds) && seconds >= 0;
const isSameOwner = (a: Owner, b: Owner): boolean =>
  a.userId === b.userId && a.groupId === b.groupId && a.userName === b.userName && a.groupName === b.groupName;
const sameOwnerFlag = 0x10;
const hasLinkFlag = 0x20;
const hasGapFlag = 0x40;
const fractionFlag = 0x80;

const isCount = (value: number, max: number): boolean => Number.isSafeInteger(value) && value >= 0 && value <= max;
const isId = (value: number): boolean => Number.isSafeInteger(value) && Math.abs(value) <= limits.memberIdMax;
const isText = (value: string, bytesMax: number): boolean =>
  value.length <= bytesMax && Buffer.byteLength(value) <= bytesMax && value.isWellFormed();

/** Whether the format can hold a member; a hostile tar may say anything of one. */
function isListable(member: CatalogueMember): boolean {
  return (
    isCount(member.headerOffset, limits.archiveBytesMax) &&
    isCount(member.headerBytes, limits.archiveBytesMax) &&
    isCount(member.sizeBytes, limits.archiveBytesMax) &&
    isCount(member.mode, limits.memberModeMax) &&
    Number.isFinite(member.modifiedSeconds) &&
    isText(member.name, limits.memberNameBytesMax) &&
    isText(member.linkName, limits.memberNameBytesMax)
  );
}

function isListableOwner(owner: Owner): boolean {
  return (
    isId(owner.userId) &&
    isId(owner.groupId) &&
    isText(owner.userName, limits.noteBytesMax) &&
    isText(owner.groupName, limits.noteBytesMax)
  );
}

/** Writes members one after the other; call `add` in the archive's order. */
export class CatalogueEncoder {
  #writer = new ByteWriter(4096);
  #takenBytes = 0;
  #end = 0;
  #owner: Owner | undefined;

  /**
   * Lists a member. What the format cannot hold (a name beyond the limit, a time that is no number, a place before the
   * end of the member before) is left out, never an error: the archive itself is saved whatever its headers say.
   * @returns whether it was listed.
   */
  add(member: CatalogueMember): boolean {
    const gap = member.headerOffset - this.#end;
    if (!isListable(member) || gap < 0 || endOf(member) > limits.archiveBytesMax) return false;
    const sameOwner = this.#owner !== undefined && isSameOwner(this.#owner, member);
    if (!sameOwner && !isListableOwner(member)) return false;
    const lengthBytes = this.#takenBytes + this.#writer.length;
    if (lengthBytes > limits.catalogueBytesMax - limits.memberRecordBytesMax) return false;
    const wholeTime = isWholeTime(member.modifiedSeconds);
    const flags =
      memberTypes.indexOf(member.type) |
      (sameOwner ? sameOwnerFlag : 0) |
      (member.linkName === '' ? 0 : hasLinkFlag) |
      (gap === 0 ? 0 : hasGapFlag) |
      (wholeTime ? 0 : fractionFlag);
    const writer = this.#writer.u8(flags).text(member.name);
    if (gap !== 0) writer.varint(gap);
    writer.varint(member.headerBytes).varint(member.sizeBytes).varint(member.mode);
    if (!sameOwner) {
      writer.varint(zigzag(member.userId)).varint(zigzag(member.groupId));
      writer.text(member.userName).text(member.groupName);
    }
    if (wholeTime) writer.varint(member.modifiedSeconds);
    else writer.f64(member.modifiedSeconds);
    if (member.linkName !== '') writer.text(member.linkName);
    this.#owner = member;
    this.#end = endOf(member);
    return true;
  }

  /** The bytes of the members added since the last call; all pieces together are the catalogue. */
  take(): Uint8Array {
    const bytes = this.#writer.finish();
    this.#takenBytes += bytes.byteLength;
    this.#writer = new ByteWriter(4096);
    return bytes;
  }
}

function readOwner(reader: ByteReader, previous: Owner | undefined): Owner {
  const userId = unzigzag(reader.varint(limits.memberIdMax * 2));
  const groupId = unzigzag(reader.varint(limits.memberIdMax * 2));
  const owner = {
    userId,
    groupId,
    userName: reader.text(limits.noteBytesMax),
    groupName: reader.text(limits.noteBytesMax),
  };
  if (previous !== undefined && isSameOwner(owner, previous)) throw reader.invalid('a member repeats its owner');
  return owner;
}

function readTime(reader: ByteReader, isFraction: boolean): number {
  if (!isFraction) return reader.varint();
  const seconds = reader.f64();
  if (!Number.isFinite(seconds) || isWholeTime(seconds)) throw reader.invalid('a member’s time is not valid');
  return seconds;
}

function readGap(reader: ByteReader): number {
  const gap = reader.varint(limits.archiveBytesMax);
  if (gap === 0) throw reader.invalid('a member’s gap is empty');
  return gap;
}

function readLink(reader: ByteReader): string {
  const linkName = reader.text(limits.memberNameBytesMax);
  if (linkName === '') throw reader.invalid('a member’s link is empty');
  return linkName;
}

/** Reads members up to the end of `bytes`. @throws FORMAT_INVALID. */
export function* decodeCatalogue(bytes: Uint8Array): Generator<CatalogueMember> {
  const reader = new ByteReader(bytes, 'catalogue');
  let end = 0;
  let owner: Owner | undefined;
  while (reader.remaining > 0) {
    const flags = reader.u8();
    const type = memberTypes[flags & 0x0f];
    if (type === undefined) throw reader.invalid('a member’s type is unknown');
    const name = reader.text(limits.memberNameBytesMax);
    const headerOffset = end + ((flags & hasGapFlag) === 0 ? 0 : readGap(reader));
    const headerBytes = reader.varint(limits.archiveBytesMax);
    const sizeBytes = reader.varint(limits.archiveBytesMax);
    const mode = reader.varint(limits.memberModeMax);
    if ((flags & sameOwnerFlag) === 0) owner = readOwner(reader, owner);
    if (owner === undefined) throw reader.invalid('its first member has no owner');
    const modifiedSeconds = readTime(reader, (flags & fractionFlag) !== 0);
    const linkName = (flags & hasLinkFlag) === 0 ? '' : readLink(reader);
    const { userId, groupId, userName, groupName } = owner;
    const ids = { userId, groupId, userName, groupName };
    const member = { name, type, headerOffset, headerBytes, sizeBytes, mode, ...ids, modifiedSeconds, linkName };
    end = endOf(member);
    if (end > limits.archiveBytesMax) throw reader.invalid('a member ends beyond the largest archive');
    yield member;
  }
}
