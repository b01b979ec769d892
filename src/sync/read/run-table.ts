// All runs of a recipe in typed arrays: 20 bytes a run, so that a recipe of a million runs takes 20 MB and no objects.
import { iterateRuns, type Run } from '../../format/recipe.ts';

/** The runs of one byte string, found by number or by offset. */
export class RunTable {
  readonly length: number;
  readonly #packs: Float64Array;
  readonly #firsts: Uint16Array;
  readonly #counts: Uint16Array;
  /** Where each run ends in the byte string. */
  readonly #ends: Float64Array;

  /** @param count how many runs there are, at least. */
  constructor(runs: Iterable<Run>, count: number) {
    this.#packs = new Float64Array(count);
    this.#firsts = new Uint16Array(count);
    this.#counts = new Uint16Array(count);
    this.#ends = new Float64Array(count);
    let index = 0;
    let end = 0;
    for (const run of runs) {
      end += run.bytes;
      this.#packs[index] = run.pack;
      this.#firsts[index] = run.first;
      this.#counts[index] = run.count;
      this.#ends[index] = end;
      index++;
    }
    this.length = index;
  }

  /** From an encoded list of runs. @throws FORMAT_INVALID. */
  static decode(encoded: Uint8Array): RunTable {
    // A run is four varints, and only a varint's last byte is below 0x80.
    let varints = 0;
    for (const byte of encoded) if (byte < 0x80) varints++;
    return new RunTable(iterateRuns(encoded), Math.ceil(varints / 4));
  }

  /** Several tables as one: their byte strings one after the other. */
  static join(tables: readonly RunTable[]): RunTable {
    const count = tables.reduce((sum, table) => sum + table.length, 0);
    return new RunTable(runsOf(tables), count);
  }

  /** Length of the byte string. */
  get lengthBytes(): number {
    return this.endAt(this.length - 1);
  }

  packAt(index: number): number {
    return this.#packs[index] ?? 0;
  }

  /** The position of the run's first chunk in its pack. */
  firstAt(index: number): number {
    return this.#firsts[index] ?? 0;
  }

  /** How many chunks the run has. */
  countAt(index: number): number {
    return this.#counts[index] ?? 0;
  }

  /** Where the run begins in the byte string. */
  startAt(index: number): number {
    return index === 0 ? 0 : (this.#ends[index - 1] ?? 0);
  }

  /** Where the run ends in the byte string. */
  endAt(index: number): number {
    return this.#ends[index] ?? 0;
  }

  bytesAt(index: number): number {
    return this.endAt(index) - this.startAt(index);
  }

  /** The run that holds the byte at `offset`; `length` when it lies behind the end. */
  find(offset: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.endAt(middle) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** All distinct pack numbers, in the order of their first use. */
  packs(): Set<number> {
    const packs = new Set<number>();
    for (let index = 0; index < this.length; index++) packs.add(this.packAt(index));
    return packs;
  }
}

function* runsOf(tables: readonly RunTable[]): Generator<Run> {
  for (const table of tables) {
    for (let index = 0; index < table.length; index++) {
      yield {
        pack: table.packAt(index),
        first: table.firstAt(index),
        count: table.countAt(index),
        bytes: table.bytesAt(index),
      };
    }
  }
}
