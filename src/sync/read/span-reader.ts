// Reads spans of a byte string one after the other, in an order that is told before the first is read.
import { GrowingFloat64, GrowingUint32 } from './growing-array.ts';
import type { PackReader } from './pack-reader.ts';
import { PackSchedule, type ScheduleOptions } from './pack-schedule.ts';
import type { RunTable } from './run-table.ts';

/** First `add` all spans, then read each once, in the same order; spans may be left out. 20 bytes of memory a span. */
export class SpanReader {
  readonly #packs: PackReader;
  readonly #table: RunTable;
  readonly #options: ScheduleOptions;
  readonly #steps = new GrowingUint32();
  readonly #firstSteps = new GrowingUint32();
  readonly #starts = new GrowingFloat64();
  readonly #ends = new GrowingFloat64();
  #schedule: PackSchedule | undefined;
  /** The last run that was read: the next small span often begins in it. */
  #lastStep = -1;
  #lastBytes: Uint8Array = new Uint8Array(0);

  constructor(packs: PackReader, table: RunTable, options: ScheduleOptions = {}) {
    this.#packs = packs;
    this.#table = table;
    this.#options = options;
  }

  /** Announces bytes `start` to `end`, `end` excluded. @returns the span's number. */
  add(start: number, end: number): number {
    const table = this.#table;
    let run = table.find(start);
    const isSameRun = this.#steps.length > 0 && this.#steps.at(this.#steps.length - 1) === run;
    // Small neighbours often lie in one run: they share its step.
    this.#firstSteps.push(this.#steps.length - (isSameRun ? 1 : 0));
    if (isSameRun) run++;
    for (; run < table.length && table.startAt(run) < end; run++) this.#steps.push(run);
    this.#starts.push(start);
    this.#ends.push(end);
    return this.#starts.length - 1;
  }

  /** The bytes of a span, in pieces; views that stay as they are. @throws what PackSchedule.bytesAt throws. */
  async *pieces(span: number): AsyncGenerator<Uint8Array> {
    const start = this.#starts.at(span);
    const end = Math.min(this.#ends.at(span), this.#table.lengthBytes);
    let step = this.#firstSteps.at(span);
    for (let at = start; at < end; step++) {
      const run = this.#steps.at(step);
      const runStart = this.#table.startAt(run);
      const bytes = step === this.#lastStep ? this.#lastBytes : await this.#bytesAt(step);
      const piece = bytes.subarray(at - runStart, Math.min(bytes.byteLength, end - runStart));
      yield piece;
      at += piece.byteLength;
    }
  }

  async #bytesAt(step: number): Promise<Uint8Array> {
    this.#schedule ??= new PackSchedule(this.#packs, this.#table, this.#steps.values(), this.#options);
    this.#lastBytes = await this.#schedule.bytesAt(step);
    this.#lastStep = step;
    return this.#lastBytes;
  }
}
