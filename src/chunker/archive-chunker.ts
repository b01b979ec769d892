// Cuts one archive window by window, with what its tar headers say: DESIGN section 3. Only chooses cuts: broken headers
// or no tar at all mean plain content-defined cuts.
import { hasTarChecksum } from '../tar/tar-fields.ts';
import { type TarEntry, TarReader } from '../tar/tar-reader.ts';
import type { ArchiveChunker, ChunkerParameters, ChunkKind, CutList, TarMemberSeen } from './chunker.ts';
import { looksEdited } from './edited.ts';
import { looksIncompressible, sniffBytes } from './incompressible.ts';
import { type RegionCutter, regionCutsMax } from './region-cutter.ts';

/** How a large member is cut: by the fine sizes, by those of what is edited all over, or coarsely. */
type MemberRule = 'fine' | 'edited' | 'coarse';

/** A large member's contents with their padding: `[start, end)` in bytes of the archive; its rule once it is known. */
interface LargeMember {
  readonly start: number;
  readonly end: number;
  readonly sizeBytes: number;
  rule: MemberRule | undefined;
}

/**
 * Cuts one archive. A cut always falls where a large member's contents begin and where their padding ends: so a moved or
 * renamed file keeps all its chunks, and its neighbours' headers keep theirs when it grows or shrinks. Between these,
 * the engine cuts by content, afresh from each.
 */
export class TarAwareChunker implements ArchiveChunker {
  readonly #parameters: ChunkerParameters;
  readonly #cutter: RegionCutter;
  readonly #pool: Uint8Array;
  readonly #reader: TarReader;
  /** Large members that were read and not yet cut to their end: at most a window's worth. */
  readonly #large: LargeMember[] = [];
  /** Where the last cut is, and how far headers were read, in bytes of the archive. */
  #cutTo = 0;
  #readTo = 0;
  /** The present window: the archive's byte that it begins with, and where in the pool. */
  #windowStart = 0;
  #windowByte = 0;
  #isJudged = false;
  #isUsedUp = false;

  constructor(
    parameters: ChunkerParameters,
    cutter: RegionCutter,
    pool: Uint8Array,
    onMember: ((member: TarMemberSeen) => void) | undefined,
  ) {
    this.#parameters = parameters;
    this.#cutter = cutter;
    this.#pool = pool;
    const onExtent = (start: number, sizeBytes: number) => {
      if (sizeBytes < parameters.largeMemberBytesMin) return;
      this.#large.push({ start, end: start + Math.ceil(sizeBytes / 512) * 512, sizeBytes, rule: undefined });
    };
    this.#reader = new TarReader(onMember ? { onExtent, onEntry: (entry: TarEntry) => onMember(entry) } : { onExtent });
  }

  cut(startByte: number, lengthBytes: number, isEnd: boolean, cuts: CutList): number {
    const known = this.#readTo - this.#cutTo;
    if (startByte < 0 || lengthBytes < known || startByte + lengthBytes > this.#pool.byteLength || this.#isUsedUp) {
      throw new RangeError('a window lies in the pool, begins with what the last one left, and none follows the end');
    }
    this.#windowStart = this.#cutTo;
    this.#windowByte = startByte;
    this.#reader.push(this.#pool.subarray(startByte + known, startByte + lengthBytes));
    this.#readTo = this.#windowStart + lengthBytes;
    cuts.count = 0;
    if (!this.#isJudged && !this.#judge(isEnd)) return 0;
    let goesOn = true;
    while (goesOn && this.#cutTo < this.#readTo) goesOn = this.#cutOn(isEnd, cuts) && cuts.count < cuts.ends.length;
    this.#isUsedUp = isEnd && this.#cutTo === this.#readTo;
    return this.#cutTo - this.#windowStart;
  }

  /** What is no tar (a film, an image, an encrypted disk) counts as one member. Returns false when more bytes are needed. */
  #judge(isEnd: boolean): boolean {
    if (this.#readTo < sniffBytes && !isEnd) return false;
    this.#isJudged = true;
    if (this.#readTo >= 512 && !hasTarChecksum(this.#pool, this.#windowByte)) {
      this.#large.unshift({
        start: 0,
        end: Number.POSITIVE_INFINITY,
        sizeBytes: Number.POSITIVE_INFINITY,
        rule: undefined,
      });
    }
    return true;
  }

  /** Cuts on from `#cutTo`, up to the next bound of a large member at most. Returns false when more bytes are needed. */
  #cutOn(isEnd: boolean, cuts: CutList): boolean {
    const member = this.#large[0];
    if (member === undefined) return this.#cutFine(this.#readTo, isEnd, cuts);
    if (this.#cutTo >= member.end) {
      this.#large.shift();
      return true;
    }
    const isInside = this.#cutTo >= member.start;
    const bound = isInside ? member.end : member.start;
    const to = Math.min(bound, this.#readTo);
    if (isInside) {
      member.rule ??= this.#ruleOf(member, isEnd);
      if (member.rule === undefined) return false;
      if (member.rule === 'coarse') return this.#cutCoarse(member.end, to, isEnd, cuts);
      if (member.rule === 'edited') return this.#cutFine(to, isEnd || to === bound, cuts, this.#parameters.edited);
    }
    return this.#cutFine(to, isEnd || to === bound, cuts);
  }

  /** How to cut a large member, or undefined as long as too few of its bytes are there to tell. */
  #ruleOf(member: LargeMember, isEnd: boolean): MemberRule | undefined {
    const { edited, coarseMemberBytesMin } = this.#parameters;
    const mayBeCoarse = member.sizeBytes >= coarseMemberBytesMin;
    if (edited === undefined && !mayBeCoarse) return 'fine';
    const end = member.start + Math.min(member.sizeBytes, sniffBytes);
    if (end > this.#readTo && !isEnd) return undefined;
    const first = this.#pool.subarray(this.#poolByte(member.start), this.#poolByte(Math.min(end, this.#readTo)));
    if (edited !== undefined && looksEdited(first)) return 'edited';
    return mayBeCoarse && looksIncompressible(first) ? 'coarse' : 'fine';
  }

  #cutFine(to: number, isEnd: boolean, cuts: CutList, sizes = this.#parameters.fine): boolean {
    const start = this.#cutTo;
    const room = cuts.ends.length - cuts.count;
    const ends = this.#cutter.cut(this.#poolByte(start), to - start, sizes, isEnd, room);
    for (let index = 0; index < ends.length; index++) this.#add(start + ends[index]!, 0, cuts);
    return isEnd || ends.length === regionCutsMax;
  }

  /** What is left of an incompressible member becomes one chunk as soon as it fits in one: most photos are just that. */
  #cutCoarse(memberEnd: number, to: number, isEnd: boolean, cuts: CutList): boolean {
    const sizes = this.#parameters.coarse;
    const start = this.#cutTo;
    if (memberEnd - start <= sizes.maximumBytes) {
      if (to < memberEnd && !isEnd) return false;
      this.#add(to, 1, cuts);
      return true;
    }
    const ends = this.#cutter.cut(this.#poolByte(start), to - start, sizes, isEnd, 1);
    if (ends.length === 0) return false;
    this.#add(start + ends[0]!, 1, cuts);
    return true;
  }

  #add(end: number, kind: ChunkKind, cuts: CutList): void {
    cuts.ends[cuts.count] = end - this.#windowStart;
    cuts.kinds[cuts.count] = kind;
    cuts.count++;
    this.#cutTo = end;
  }

  /** Where in the pool the archive's byte `offset` lies, while the present window stands. */
  #poolByte(offset: number): number {
    return this.#windowByte + (offset - this.#windowStart);
  }
}
