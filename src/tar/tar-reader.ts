// Reads tar headers from a stream of bytes, however it is split. Pure, bounded in memory, and never throws:
// where it stops understanding, it says so and takes the rest as bytes.
import {
  hasTarChecksum,
  isZeroBlock,
  type PaxValues,
  readPaxRecords,
  readTarNumber,
  readTarText,
  tarNameBytesMax,
  tarPaxBytesMax,
} from './tar-fields.ts';
import { decodeTarString, endOfTarText, joinTarTexts, type TarText, withoutFinalSlashes } from './tar-text.ts';

/** What a member is; `other` is a kind this program does not make (volume labels, dump folders …). */
export type TarEntryType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'character' | 'block' | 'fifo' | 'other';

/** A member as its headers describe it. */
export interface TarEntry {
  /** UTF-8 text, invalid bytes replaced; without the slashes that end a folder's. */
  readonly name: string;
  /** The same as bytes, where they are not UTF-8: what a file system wants then. */
  readonly rawName: Uint8Array | undefined;
  readonly type: TarEntryType;
  /** Where its first header (pre-headers counted) begins, in bytes from the start of the tar. */
  readonly headerOffset: number;
  /** Length of all its headers: its contents begin at `headerOffset + headerBytes`. */
  readonly headerBytes: number;
  /** Length of its stored contents in bytes, without padding; 0 for everything that has none. */
  readonly sizeBytes: number;
  /** The contents are a sparse file's map and pieces, not the file's own bytes. */
  readonly isSparse: boolean;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly userId: number;
  readonly groupId: number;
  readonly userName: string;
  readonly groupName: string;
  /** Seconds since 1970, with the fraction that a pax record gave. */
  readonly modifiedSeconds: number;
  readonly linkName: string;
  readonly rawLinkName: Uint8Array | undefined;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** Who is told of what passes. All may be left out; without `onEntry` no name is decoded, which is faster. */
export interface TarListener {
  /** A member's headers are complete; its contents follow. Two members of one name are simply two. */
  onEntry?(entry: TarEntry): void;
  /** The same moment, with no more than the place: where the contents begin in the tar, and their length, in bytes. */
  onExtent?(contentOffset: number, sizeBytes: number): void;
  /** A piece of the contents of the last member, a view that is valid during the call only. */
  onContent?(bytes: Uint8Array): void;
}

/** Where a reader stands: among members, behind the end mark (two zero blocks), or before something that is no tar. */
export type TarReaderState = 'members' | 'ended' | 'lost';

const typeNames: Record<string, TarEntryType> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

/**
 * Reads ustar, pax (with global headers), GNU (long names, base-256, sparse as stored) and v7. A wrong checksum, a
 * nonsensical size or pre-header, or one beyond the limits of tar-fields.ts makes it `lost` for good: guessing where a
 * tar goes on would make what it says of a damaged archive depend on file contents. A single zero block is passed over,
 * as GNU tar does; two end the tar.
 */
export class TarReader {
  readonly #listener: TarListener;
  #state: TarReaderState = 'members';
  /** How many bytes were taken so far. */
  #offset = 0;
  /** Contents still to come, then padding still to come, in bytes. */
  #content = 0;
  #padding = 0;
  /** The headers of the next member: where they began (or -1), and what the pre-headers said. */
  #headerOffset = -1;
  #pax: PaxValues = {};
  readonly #globalPax: PaxValues = {};
  #longName: TarText | undefined;
  #longLink: TarText | undefined;
  #zeroBlocks = 0;
  /** What the next `#wanted` bytes are: a header, a pre-header's contents, or one more block of a sparse map. */
  #expects: 'header' | 'extra' | 'sparse' = 'header';
  #wanted = 512;
  #extraFlag = '';
  #extraBytes = 0;
  /** A header whose sparse map goes on in more blocks. */
  #sparseHeader: Buffer | undefined;
  /** A wanted piece of which only `#collectedBytes` have come. */
  #collected = Buffer.alloc(512);
  #collectedBytes = 0;

  constructor(listener: TarListener) {
    this.#listener = listener;
  }

  get state(): TarReaderState {
    return this.#state;
  }

  /** How many bytes were taken so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Whether the bytes so far end inside a member: its headers, its contents or its padding. */
  get isInsideMember(): boolean {
    if (this.#state !== 'members') return false;
    return this.#content + this.#padding > 0 || this.#headerOffset >= 0 || this.#collectedBytes > 0;
  }

  /** Takes the next bytes of the tar, any number of them; contents cost nothing to pass over. */
  push(taken: Uint8Array): void {
    const bytes = Buffer.from(taken.buffer, taken.byteOffset, taken.byteLength);
    let at = 0;
    while (at < bytes.byteLength) {
      const left = bytes.byteLength - at;
      let taken = left;
      if (this.#state !== 'members') taken = left;
      else if (this.#content > 0) {
        taken = Math.min(left, this.#content);
        this.#content -= taken;
        this.#listener.onContent?.(bytes.subarray(at, at + taken));
      } else if (this.#padding > 0) {
        taken = Math.min(left, this.#padding);
        this.#padding -= taken;
      } else if (this.#collectedBytes === 0 && left >= this.#wanted) {
        taken = this.#wanted;
        this.#take(bytes, at, taken);
      } else {
        taken = this.#collect(bytes, at, left);
      }
      at += taken;
      this.#offset += taken;
    }
  }

  /** Keeps a piece that came split over two calls until it is whole. */
  #collect(bytes: Buffer, at: number, left: number): number {
    if (this.#collected.byteLength < this.#wanted) {
      const grown = Buffer.alloc(this.#wanted);
      grown.set(this.#collected.subarray(0, this.#collectedBytes));
      this.#collected = grown;
    }
    const count = Math.min(left, this.#wanted - this.#collectedBytes);
    this.#collected.set(bytes.subarray(at, at + count), this.#collectedBytes);
    this.#collectedBytes += count;
    if (this.#collectedBytes < this.#wanted) return count;
    const whole = this.#collected;
    // #take reads offsets as if the piece began at #offset.
    const before = this.#collectedBytes - count;
    this.#offset -= before;
    this.#collectedBytes = 0;
    this.#take(whole, 0, this.#wanted);
    this.#offset += before;
    if (whole.byteLength > 4096) this.#collected = Buffer.alloc(512);
    return count;
  }

  /** Takes a whole wanted piece, which begins at `#offset` in the tar. */
  #take(bytes: Buffer, at: number, length: number): void {
    if (this.#expects === 'header') this.#takeHeader(bytes, at);
    else if (this.#expects === 'extra') this.#takeExtra(bytes, at);
    else if (bytes[at + 504] === 0 && this.#sparseHeader) this.#member(this.#sparseHeader, 0, this.#offset + length);
  }

  #takeHeader(block: Buffer, at: number): void {
    if (block[at] === 0 && isZeroBlock(block, at)) {
      this.#zeroBlocks++;
      if (this.#headerOffset >= 0) this.#state = 'lost';
      else if (this.#zeroBlocks === 2) this.#state = 'ended';
      return;
    }
    this.#zeroBlocks = 0;
    if (!hasTarChecksum(block, at)) {
      this.#state = 'lost';
      return;
    }
    if (this.#headerOffset < 0) this.#headerOffset = this.#offset;
    const flag = String.fromCharCode(block[at + 156] as number);
    if (flag === 'x' || flag === 'X' || flag === 'g' || flag === 'L' || flag === 'K')
      this.#expectExtra(block, at, flag);
    else if (flag === 'S' && block[at + 482] !== 0) {
      this.#sparseHeader = Buffer.from(block.subarray(at, at + 512));
      this.#expects = 'sparse';
    } else this.#member(block, at, this.#offset + 512);
  }

  #expectExtra(block: Buffer, at: number, flag: string): void {
    const size = readTarNumber(block, at + 124, 12);
    const sizeMax = flag === 'L' || flag === 'K' ? tarNameBytesMax : tarPaxBytesMax;
    if (size === undefined || size < 0 || size > sizeMax) {
      this.#state = 'lost';
      return;
    }
    if (size === 0) return;
    this.#extraFlag = flag;
    this.#extraBytes = size;
    this.#wanted = Math.ceil(size / 512) * 512;
    this.#expects = 'extra';
  }

  #takeExtra(bytes: Buffer, at: number): void {
    const withTexts = this.#listener.onEntry !== undefined;
    const end = at + this.#extraBytes;
    if (this.#extraFlag === 'L') this.#longName = readTarText(bytes, at, this.#extraBytes);
    else if (this.#extraFlag === 'K') this.#longLink = readTarText(bytes, at, this.#extraBytes);
    else {
      const into = this.#extraFlag === 'g' ? this.#globalPax : this.#pax;
      if (!readPaxRecords(bytes, at, end, into, withTexts)) this.#state = 'lost';
      // A global header belongs to no member.
      if (into === this.#globalPax && this.#headerOffset === this.#offset - 512) this.#headerOffset = -1;
    }
    this.#expects = 'header';
    this.#wanted = 512;
  }

  /** The headers of a member are complete, and its contents begin at `contentOffset`. */
  #member(block: Buffer, at: number, contentOffset: number): void {
    const flag = String.fromCharCode(block[at + 156] as number);
    const size = this.#pax.size ?? this.#globalPax.size ?? readTarNumber(block, at + 124, 12);
    const ending = Math.max(contentOffset, 0) + (size ?? 0) + 512;
    if (size === undefined || size < 0 || !Number.isSafeInteger(ending)) {
      this.#state = 'lost';
      return;
    }
    // Links, folders, devices and pipes have no contents, whatever their size field says (as in Python's tarfile).
    const sizeBytes = flag >= '1' && flag <= '6' ? 0 : size;
    this.#content = sizeBytes;
    this.#padding = (512 - (sizeBytes % 512)) % 512;
    const entry = this.#listener.onEntry && this.#entry(block, at, flag, sizeBytes, contentOffset);
    this.#headerOffset = -1;
    this.#pax = {};
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#sparseHeader = undefined;
    this.#expects = 'header';
    if (entry) this.#listener.onEntry?.(entry);
    this.#listener.onExtent?.(contentOffset, sizeBytes);
  }

  #entry(block: Buffer, at: number, flag: string, sizeBytes: number, contentOffset: number): TarEntry {
    const own = this.#pax;
    const all = this.#globalPax;
    const isUstar = startsWithUstar(block, at + 257);
    const text = (start: number, length: number) => readTarText(block, at + start, length);
    const owner = (start: number): string =>
      isUstar ? decodeTarString(block, at + start, endOfTarText(block, at + start, 32)) : '';
    const number = (start: number, length: number) => readTarNumber(block, at + start, length) ?? 0;
    const hasPrefix = isUstar && block[at + 262] === 0 && block[at + 345] !== 0;
    const fieldName = () => (hasPrefix ? joinTarTexts(text(345, 155), text(0, 100)) : text(0, 100));
    const written = own.path ?? all.path ?? this.#longName ?? fieldName();
    const isOldFolder = (flag === '\0' || flag === '0') && written.text.endsWith('/') && sizeBytes === 0;
    const type = isOldFolder ? 'directory' : (typeNames[flag] ?? 'other');
    const name = type === 'directory' ? withoutFinalSlashes(written) : written;
    const link = own.linkpath ?? all.linkpath ?? this.#longLink ?? text(157, 100);
    const isDevice = type === 'character' || type === 'block';
    return {
      name: name.text,
      rawName: name.raw,
      type,
      headerOffset: this.#headerOffset,
      headerBytes: contentOffset - this.#headerOffset,
      sizeBytes,
      isSparse: flag === 'S' || own.isSparse === true,
      mode: number(100, 8) & 0o7777,
      userId: own.uid ?? all.uid ?? number(108, 8),
      groupId: own.gid ?? all.gid ?? number(116, 8),
      userName: own.uname?.text ?? all.uname?.text ?? owner(265),
      groupName: own.gname?.text ?? all.gname?.text ?? owner(297),
      modifiedSeconds: own.mtime ?? all.mtime ?? number(136, 12),
      linkName: link.text,
      rawLinkName: link.raw,
      deviceMajor: isUstar && isDevice ? number(329, 8) : 0,
      deviceMinor: isUstar && isDevice ? number(337, 8) : 0,
    };
  }
}

/** Both dialects: `ustar\0` and GNU's `ustar  `. */
function startsWithUstar(block: Uint8Array, at: number): boolean {
  return (
    block[at] === 0x75 &&
    block[at + 1] === 0x73 &&
    block[at + 2] === 0x74 &&
    block[at + 3] === 0x61 &&
    block[at + 4] === 0x72
  );
}
