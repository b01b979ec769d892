// Reads runs in an order that is known beforehand. So the packs to come are fetched early, the pack that is needed furthest
// in the future is given up first (Belady's rule), and of a pack only those chunks are kept that will be needed again.
import { freeBytes } from '../../bytes/free-bytes.ts';
import { isDamage } from './is-damage.ts';
import type { PackReader } from './pack-reader.ts';
import type { ReadPack } from './read-pack.ts';
import type { RunTable } from './run-table.ts';

const cacheBytesDefault = 64 * 1024 * 1024;
const packsAheadDefault = 4;
const never = Number.POSITIVE_INFINITY;

export interface ScheduleOptions {
  /** How many bytes of opened packs are kept for later; what is being fetched comes on top. */
  readonly cacheBytesMax?: number;
  /** How many packs are fetched before their turn. */
  readonly packsAhead?: number;
  /**
   * Packs are fetched for these steps alone, past the reader's cache, and what is given up is given back at once: a step's bytes
   * are valid only until the next. Only for who is done with them by then, which no stream can promise. For much data: left to the
   * collector, it costs a third of the time.
   */
  readonly isPassing?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** What is kept of a pack: all of it, or the runs that come again. */
interface Kept {
  readonly whole: ReadPack | undefined;
  /** Where each run that comes again begins in `bytes`. */
  readonly starts: Map<number, number> | undefined;
  readonly bytes: Uint8Array;
}

/** Reads the runs of a table in a given order. */
export class PackSchedule {
  readonly #packs: PackReader;
  readonly #table: RunTable;
  readonly #steps: Uint32Array;
  readonly #cacheBytesMax: number;
  readonly #packsAhead: number;
  readonly #isPassing: boolean;
  readonly #signal: AbortSignal | undefined;
  /** The pack of each step, as a small number; then, pack by pack, all its steps. */
  readonly #packOfStep: Uint32Array;
  readonly #usesStart: Uint32Array;
  readonly #uses: Uint32Array;
  /** Where in `#uses` each pack's next step stands. */
  readonly #cursor: Uint32Array;
  readonly #kept = new Map<number, Kept>();
  readonly #fetching = new Map<number, Promise<ReadPack>>();
  readonly #failed = new Map<number, unknown>();
  /** Given up, but the last step's bytes may lie in it: given back at the next step. */
  #dying: Uint8Array | undefined;
  #keptBytes = 0;
  #aheadStep = 0;

  /** @param steps numbers of runs, in the order in which they will be asked for. */
  constructor(packs: PackReader, table: RunTable, steps: Uint32Array, options: ScheduleOptions = {}) {
    this.#packs = packs;
    this.#table = table;
    this.#steps = steps;
    this.#cacheBytesMax = options.cacheBytesMax ?? cacheBytesDefault;
    this.#packsAhead = options.packsAhead ?? packsAheadDefault;
    this.#isPassing = options.isPassing ?? false;
    this.#signal = options.signal;
    const numbers = new Map<number, number>();
    this.#packOfStep = new Uint32Array(steps.length);
    for (const [step, run] of steps.entries()) {
      const pack = table.packAt(run);
      const known = numbers.get(pack);
      if (known === undefined) numbers.set(pack, numbers.size);
      this.#packOfStep[step] = known ?? numbers.size - 1;
    }
    this.#usesStart = new Uint32Array(numbers.size + 1);
    for (const pack of this.#packOfStep) this.#usesStart[pack + 1] = (this.#usesStart[pack + 1] ?? 0) + 1;
    for (let pack = 0; pack < numbers.size; pack++)
      this.#usesStart[pack + 1] = (this.#usesStart[pack + 1] ?? 0) + (this.#usesStart[pack] ?? 0);
    this.#cursor = this.#usesStart.slice(0, numbers.size);
    this.#uses = new Uint32Array(steps.length);
    for (const [step, pack] of this.#packOfStep.entries()) {
      const at = this.#cursor[pack] ?? 0;
      this.#uses[at] = step;
      this.#cursor[pack] = at + 1;
    }
    this.#cursor.set(this.#usesStart.subarray(0, numbers.size));
  }

  /**
   * The bytes of a step's run, a view that stays as it is, but when passing. Steps are asked for in ascending order; some may be
   * left out.
   * @throws DAMAGED, SEAL_BROKEN, FORMAT_INVALID, NOT_FOUND for its pack, network errors, the signal's reason.
   */
  async bytesAt(step: number): Promise<Uint8Array> {
    this.#signal?.throwIfAborted();
    this.#free(this.#dying);
    this.#dying = undefined;
    const pack = this.#packOfStep[step] ?? 0;
    const run = this.#steps[step] ?? 0;
    this.#readAhead(step);
    const kept = this.#kept.get(pack) ?? this.#keep(pack, await this.#fetch(pack, step), step);
    this.#settle(pack, step, kept);
    const start = kept.starts?.get(run);
    if (start !== undefined) return kept.bytes.subarray(start, start + this.#table.bytesAt(run));
    if (kept.whole !== undefined) return this.#slice(kept.whole, run);
    // A trimmed pack without this run: its caller went back. Correct all the same.
    return this.#slice(await this.#packs.open(this.#table.packAt(run)), run);
  }

  #slice(pack: ReadPack, run: number): Uint8Array {
    return pack.slice(this.#table.firstAt(run), this.#table.countAt(run), this.#table.bytesAt(run));
  }

  /** The first step after `step` that needs a pack. */
  #nextUse(pack: number, step: number): number {
    const end = this.#usesStart[pack + 1] ?? 0;
    let at = this.#cursor[pack] ?? 0;
    while (at < end && (this.#uses[at] ?? 0) <= step) at++;
    this.#cursor[pack] = at;
    return at < end ? (this.#uses[at] ?? never) : never;
  }

  #fetch(pack: number, step: number): Promise<ReadPack> {
    if (this.#failed.has(pack)) return Promise.reject(this.#failed.get(pack));
    const known = this.#fetching.get(pack);
    if (known !== undefined) return known;
    const number = this.#table.packAt(this.#steps[step] ?? 0);
    const fetching = this.#isPassing ? this.#packs.fetch(number) : this.#packs.open(number);
    this.#fetching.set(pack, fetching);
    fetching.catch((error: unknown) => {
      this.#fetching.delete(pack);
      // A damaged pack stays damaged: it is not fetched again for each of its runs.
      if (isDamage(error)) this.#failed.set(pack, error);
    });
    return fetching;
  }

  /** Begins to fetch the packs of the next steps. */
  #readAhead(step: number): void {
    if (this.#aheadStep <= step) {
      this.#aheadStep = step + 1;
      // What was fetched for steps that were left out is given up.
      for (const pack of this.#fetching.keys()) {
        if (pack !== this.#packOfStep[step] && this.#nextUse(pack, step) === never) this.#fetching.delete(pack);
      }
    }
    while (this.#aheadStep < this.#steps.length) {
      const pack = this.#packOfStep[this.#aheadStep] ?? 0;
      if (!this.#kept.has(pack) && !this.#fetching.has(pack) && !this.#failed.has(pack)) {
        if (this.#fetching.size >= this.#packsAhead) return;
        this.#fetch(pack, this.#aheadStep).catch(() => undefined);
      }
      this.#aheadStep++;
    }
  }

  /** A pack has come: keeps of it what is needed again. */
  #keep(pack: number, whole: ReadPack, step: number): Kept {
    this.#fetching.delete(pack);
    if (this.#nextUse(pack, step) === never) return { whole, starts: undefined, bytes: whole.contents };
    const kept = this.#trim(pack, whole, step);
    if (kept.whole === undefined) this.#free(whole.contents);
    this.#kept.set(pack, kept);
    this.#keptBytes += kept.bytes.byteLength;
    return kept;
  }

  /** A copy of the runs to come, when they are less than half of the pack; otherwise the pack itself. */
  #trim(pack: number, whole: ReadPack, step: number): Kept {
    const asWhole: Kept = { whole, starts: undefined, bytes: whole.contents };
    const starts = new Map<number, number>();
    const runs = [this.#steps[step] ?? 0];
    let total = 0;
    const end = this.#usesStart[pack + 1] ?? 0;
    for (let at = this.#cursor[pack] ?? 0; at < end; at++) runs.push(this.#steps[this.#uses[at] ?? 0] ?? 0);
    for (const run of runs) {
      if (starts.has(run)) continue;
      starts.set(run, total);
      total += this.#table.bytesAt(run);
      if (total > whole.contents.byteLength / 2) return asWhole;
    }
    const bytes = new Uint8Array(total);
    try {
      for (const [run, start] of starts) bytes.set(this.#slice(whole, run), start);
    } catch (error) {
      if (isDamage(error)) return asWhole;
      throw error;
    }
    return { whole: undefined, starts, bytes };
  }

  /** After a step: gives up what is not needed again, and what is needed last when there is too much. */
  #settle(pack: number, step: number, current: Kept): void {
    if (this.#nextUse(pack, step) === never) {
      this.#dying = current.bytes;
      this.#forget(pack);
    }
    while (this.#keptBytes > this.#cacheBytesMax) {
      let furthest = -1;
      let furthestUse = -1;
      for (const candidate of this.#kept.keys()) {
        const use = this.#nextUse(candidate, step);
        if (use > furthestUse) {
          furthest = candidate;
          furthestUse = use;
        }
      }
      if (furthest < 0) return;
      const bytes = this.#forget(furthest);
      if (bytes === current.bytes) this.#dying = bytes;
      else this.#free(bytes);
    }
  }

  #free(bytes: Uint8Array | undefined): void {
    if (this.#isPassing && bytes !== undefined) freeBytes(bytes);
  }

  /** @returns what was kept of it. */
  #forget(pack: number): Uint8Array | undefined {
    const kept = this.#kept.get(pack);
    if (kept === undefined) return undefined;
    this.#kept.delete(pack);
    this.#keptBytes -= kept.bytes.byteLength;
    return kept.bytes;
  }
}
