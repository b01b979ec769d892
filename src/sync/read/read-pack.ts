// An opened pack: its chunks by position.
import { freeBytes } from '../../bytes/free-bytes.ts';
import { FallbackError } from '../../errors/fallback-error.ts';

/** What opening a pack gives. */
export interface OpenedPackContents {
  /** All chunks that are not holes, one after the other. */
  readonly contents: Uint8Array;
  readonly lengths: Uint32Array<ArrayBuffer>;
  /** Positions of chunks that are not there. */
  readonly holes: readonly number[];
}

/** Gives out the chunks of an opened pack. */
export class ReadPack {
  readonly number: number;
  readonly contents: Uint8Array;
  /** Where each chunk begins in the contents, and one more entry: their end. A hole has no length. */
  readonly #starts: Uint32Array;
  readonly #lengths: Uint32Array;
  readonly #holes: ReadonlySet<number>;

  constructor(number: number, { contents, lengths, holes }: OpenedPackContents) {
    this.number = number;
    this.contents = contents;
    this.#lengths = lengths;
    this.#holes = new Set(holes);
    this.#starts = new Uint32Array(lengths.length + 1);
    let at = 0;
    for (let position = 0; position < lengths.length; position++) {
      this.#starts[position] = at;
      if (!this.#holes.has(position)) at += lengths[position] ?? 0;
    }
    this.#starts[lengths.length] = at;
  }

  /**
   * The bytes of `count` chunks from `first`.
   * @throws DAMAGED when the pack has not so many, they are not `bytes` long together, or one was never healed.
   */
  slice(first: number, count: number, bytes: number): Uint8Array {
    if (first + count > this.#lengths.length) throw this.#damaged(`has no chunk ${first + count - 1}`);
    for (let position = first; this.#holes.size > 0 && position < first + count; position++) {
      if (this.#holes.has(position))
        throw this.#damaged(`lost its chunk ${position}, which no archive has brought back yet`);
    }
    const start = this.#starts[first] ?? 0;
    const end = this.#starts[first + count] ?? 0;
    if (end - start !== bytes) throw this.#damaged('does not hold what the recipe says');
    return this.contents.subarray(start, end);
  }

  /** Gives its memory back, for the one who fetched it: nothing of it can be read afterwards. */
  free(): void {
    freeBytes(this.contents);
  }

  #damaged(what: string): FallbackError {
    return new FallbackError('DAMAGED', `Pack ${this.number} ${what}.`, { details: { pack: this.number } });
  }
}
