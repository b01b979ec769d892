// What is known of one archive's spans while it goes by, and what is remembered of it for the next push.
import { equalBytes } from '../../../bytes/hex.ts';
import type { CutList, KnownSpan, SpanMemory } from '../../../chunker/chunker.ts';
import { spanChunksMax } from '../../../chunker/span-rule.ts';
import { SpanTagger } from '../../../crypto/span-tag.ts';
import { chunkIdBytes } from '../../../format/pack.ts';
import { blockSpans, type SeenSpan } from './span-block.ts';
import type { SpanFile, SpanFileWriter, SpanKeys } from './span-file.ts';

/**
 * Of so many blocks one is cut and hashed anew each night, drawn by lot: should a fault of the memory ever have put something wrong
 * into it, or under a tag, it lasts some weeks and not for ever. Costs 3 % of what knowing them saves.
 */
export const anewEvery = 32;

/** The spans of one archive. */
export class ArchiveSpans implements SpanMemory {
  /** As the last push left them. */
  readonly known: SpanFile | undefined;
  readonly #writer: SpanFileWriter;
  readonly #tagger: SpanTagger;
  readonly #anew: number;
  #isAllAnew = false;
  /** The known span that should come next. */
  #next = 0;
  /** Chunks of the span whose end has not come yet. */
  readonly #lengths = new Uint32Array(spanChunksMax);
  readonly #kinds = new Uint8Array(spanChunksMax);
  readonly #ids = Buffer.alloc(spanChunksMax * chunkIdBytes);
  #count = 0;

  /** @param lot a random byte. */
  constructor(keys: SpanKeys, known: SpanFile | undefined, writer: SpanFileWriter, lot: number) {
    this.#anew = lot % anewEvery;
    this.known = known;
    this.#writer = writer;
    this.#tagger = new SpanTagger(keys.spanTag);
  }

  get isEmpty(): boolean {
    return this.known === undefined || this.#isAllAnew;
  }

  /** From here on all of it is cut and hashed as if nothing were known. */
  cutAllAnew(): void {
    this.#isAllAnew = true;
  }

  expected(): KnownSpan | undefined {
    if (this.#isAllAnew || Math.floor(this.#next / blockSpans) % anewEvery === this.#anew) return undefined;
    return this.known?.span(this.#next);
  }

  pass(bytes: Uint8Array): Uint8Array | undefined {
    this.#tagger.update(bytes);
    const tag = this.#tagger.end();
    const wanted = this.known?.span(this.#next)?.tag;
    if (wanted === undefined || !equalBytes(tag, wanted)) return undefined;
    this.#next++;
    return tag;
  }

  update(bytes: Uint8Array): void {
    this.#tagger.update(bytes);
  }

  end(): Uint8Array {
    const tag = this.#tagger.end();
    this.#next = (this.known?.find(tag) ?? this.#next) + 1;
    return tag;
  }

  /** Remembers a window's spans, once all its ids are there: in the archive's order. */
  async record(cuts: CutList): Promise<void> {
    const list = cuts.spans;
    if (list === undefined) return;
    let from = 0;
    for (const { cuts: to, tag } of list.ends) {
      this.#append(cuts, list.ids, from, to);
      this.#writer.add(this.#take(tag));
      from = to;
    }
    this.#append(cuts, list.ids, from, cuts.count);
    await this.#writer.flush();
  }

  #append({ ends, kinds }: CutList, ids: Buffer, from: number, to: number): void {
    let start = from === 0 ? 0 : (ends[from - 1] ?? 0);
    for (let index = from; index < to; index++) {
      const end = ends[index] ?? start;
      this.#lengths[this.#count + index - from] = end - start;
      start = end;
    }
    this.#kinds.set(kinds.subarray(from, to), this.#count);
    ids.copy(this.#ids, this.#count * chunkIdBytes, from * chunkIdBytes, to * chunkIdBytes);
    this.#count += to - from;
  }

  /** Ends the span that was gathered: its memory is used again. */
  #take(tag: Uint8Array): SeenSpan {
    const count = this.#count;
    this.#count = 0;
    const lengths = this.#lengths.subarray(0, count);
    return { tag, lengths, kinds: this.#kinds.subarray(0, count), ids: this.#ids.subarray(0, count * chunkIdBytes) };
  }

  /** The archive went by to its end: the next push knows it as it is now. @returns the id of the file of spans, if there is one. */
  async publish(): Promise<Uint8Array | undefined> {
    await this.known?.close();
    return await this.#writer.publish();
  }

  /** It did not: the next push knows what this one knew. */
  async discard(): Promise<void> {
    await this.known?.close();
    await this.#writer.discard();
  }
}
