// Cuts one archive window by window, with what its tar headers say: DESIGN section 3. Only chooses cuts: broken headers
// or no tar at all mean plain content-defined cuts.
import { hasTarChecksum } from '../tar/tar-fields.ts';
import { type TarEntry, TarReader } from '../tar/tar-reader.ts';
import type {
  ArchiveChunker,
  ChunkerParameters,
  ChunkKind,
  CutList,
  KnownSpan,
  SpanMemory,
  TarMemberSeen,
} from './chunker.ts';
import { looksEdited } from './edited.ts';
import { looksIncompressible, sniffBytes } from './incompressible.ts';
import { type RegionCutter, regionCutsMax } from './region-cutter.ts';
import { endsSpan } from './span-rule.ts';

/** How a large member is cut: by the fine sizes, by those of what is edited all over, or coarsely. */
type MemberRule = 'fine' | 'edited' | 'coarse';

/** A large member's contents with their padding: `[start, end)` in bytes of the archive; its rule once it is known. */
interface LargeMember {
  readonly start: number;
  readonly end: number;
  readonly sizeBytes: number;
  rule: MemberRule | undefined;
}

/** Where something known may begin soon, so few cuts are asked for at a time: more would be made for nothing. */
const cutsBeforeKnown = 8;

/** What a chunker is made of. */
interface Parts {
  readonly parameters: ChunkerParameters;
  readonly cutter: RegionCutter;
  readonly pool: Uint8Array;
  readonly windowBytesMin: number;
  readonly onMember: ((member: TarMemberSeen) => void) | undefined;
  readonly spans: SpanMemory | undefined;
}

/**
 * Cuts one archive. A cut always falls where a large member's contents begin and where their padding ends: so a moved or
 * renamed file keeps all its chunks, and its neighbours' headers keep theirs when it grows or shrinks. Between these,
 * the engine cuts by content, afresh from each. With a memory of spans, what is known is passed as a whole; the tar's headers are
 * read there too.
 */
export class TarAwareChunker implements ArchiveChunker {
  readonly #parameters: ChunkerParameters;
  readonly #cutter: RegionCutter;
  readonly #pool: Uint8Array;
  readonly #windowBytesMin: number;
  readonly #reader: TarReader;
  readonly #spans: SpanMemory | undefined;
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

  /** The span that is being cut anew: where it began, how far its bytes went into its tag, its chunks. */
  #spanStart = 0;
  #taggedTo = 0;
  #spanChunks = 0;

  constructor({ parameters, cutter, pool, windowBytesMin, onMember, spans }: Parts) {
    this.#parameters = parameters;
    this.#cutter = cutter;
    this.#pool = pool;
    this.#windowBytesMin = windowBytesMin;
    this.#spans = spans;
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
    if (cuts.spans !== undefined) {
      cuts.spans.knownCount = 0;
      cuts.spans.ends.length = 0;
    }
    if (!this.#isJudged && !this.#judge(isEnd)) return 0;
    let goesOn = true;
    while (goesOn && this.#cutTo < this.#readTo) goesOn = this.#goOn(isEnd, cuts) && cuts.count < cuts.ends.length;
    this.#isUsedUp = isEnd && this.#cutTo === this.#readTo;
    if (this.#isUsedUp && this.#cutTo > this.#spanStart) this.#endSpan(cuts);
    else this.#tagOn();
    return this.#cutTo - this.#windowStart;
  }

  /** Passes a known span, or cuts on. Returns false when more bytes are needed. */
  #goOn(isEnd: boolean, cuts: CutList): boolean {
    if (this.#spans === undefined || this.#cutTo !== this.#spanStart) return this.#cutOn(isEnd, cuts);
    const span = this.#spans.expected();
    const passed = span === undefined ? 'not' : this.#passKnown(this.#spans, span, isEnd, cuts);
    return passed === 'not' ? this.#cutOn(isEnd, cuts) : passed === 'passed';
  }

  /** Takes the cuts of the expected span over, if its bytes are the next ones. */
  #passKnown(spans: SpanMemory, span: KnownSpan, isEnd: boolean, cuts: CutList): 'passed' | 'not' | 'later' {
    const list = cuts.spans;
    const end = this.#cutTo + span.lengthBytes;
    // Only what surely fits into the next window may be waited for.
    const later = isEnd || span.lengthBytes + sniffBytes > this.#windowBytesMin ? 'not' : 'later';
    if (list === undefined || end > this.#readTo) return list === undefined ? 'not' : later;
    if (cuts.count + span.ends.length > cuts.ends.length) return cuts.count > 0 ? 'later' : 'not';
    if (!this.#knowsRuleAt(end, isEnd)) return later;
    const tag = spans.pass(this.#pool.subarray(this.#poolByte(this.#cutTo), this.#poolByte(end)));
    if (tag === undefined) return 'not';
    const before = this.#cutTo - this.#windowStart;
    for (let index = 0; index < span.ends.length; index++) {
      cuts.ends[cuts.count + index] = before + span.ends[index]!;
    }
    cuts.kinds.set(span.kinds, cuts.count);
    span.ids.copy(list.ids, cuts.count * 32);
    list.known.fill(1, cuts.count, cuts.count + span.ends.length);
    list.knownCount += span.ends.length;
    cuts.count += span.ends.length;
    list.ends.push({ cuts: cuts.count, tag });
    this.#cutTo = end;
    this.#startSpan();
    return 'passed';
  }

  /** Judges the large member that goes on behind `end`, as long as its first bytes are there. Returns false when they are not yet. */
  #knowsRuleAt(end: number, isEnd: boolean): boolean {
    while (this.#large[0] !== undefined && this.#large[0].end <= this.#cutTo) this.#large.shift();
    for (const member of this.#large) {
      if (member.start >= end) break;
      if (member.end > end) {
        member.rule ??= this.#ruleOf(member, isEnd);
        return member.rule !== undefined;
      }
    }
    return true;
  }

  #startSpan(): void {
    this.#spanStart = this.#cutTo;
    this.#taggedTo = this.#cutTo;
    this.#spanChunks = 0;
  }

  /** Gives the memory what of the present span lies in this window. */
  #tagOn(): void {
    if (this.#spans === undefined || this.#taggedTo === this.#cutTo) return;
    this.#spans.update(this.#pool.subarray(this.#poolByte(this.#taggedTo), this.#poolByte(this.#cutTo)));
    this.#taggedTo = this.#cutTo;
  }

  #endSpan(cuts: CutList): void {
    if (this.#spans === undefined) return;
    this.#tagOn();
    cuts.spans?.ends.push({ cuts: cuts.count, tag: this.#spans.end() });
    this.#startSpan();
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
    const wanted = this.#spans === undefined || this.#spans.isEmpty ? regionCutsMax : cutsBeforeKnown;
    const room = Math.min(cuts.ends.length - cuts.count, wanted);
    const ends = this.#cutter.cut(this.#poolByte(start), to - start, sizes, isEnd, room);
    for (let index = 0; index < ends.length; index++) {
      // Behind a span's end something known may follow.
      if (this.#add(start + ends[index]!, 0, cuts) && wanted === cutsBeforeKnown) return true;
    }
    return isEnd || ends.length === wanted;
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

  /** Returns whether the chunk ends a span. */
  #add(end: number, kind: ChunkKind, cuts: CutList): boolean {
    const chunkBytes = end - this.#cutTo;
    cuts.ends[cuts.count] = end - this.#windowStart;
    cuts.kinds[cuts.count] = kind;
    if (cuts.spans !== undefined) cuts.spans.known[cuts.count] = 0;
    cuts.count++;
    this.#cutTo = end;
    this.#spanChunks++;
    if (this.#spans === undefined) return false;
    if (!endsSpan(this.#pool, this.#poolByte(end), chunkBytes, end - this.#spanStart, this.#spanChunks)) return false;
    this.#endSpan(cuts);
    return true;
  }

  /** Where in the pool the archive's byte `offset` lies, while the present window stands. */
  #poolByte(offset: number): number {
    return this.#windowByte + (offset - this.#windowStart);
  }
}
