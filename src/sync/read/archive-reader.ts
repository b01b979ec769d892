// Random access to an archive's bytes through its recipe.
import type { Recipe } from '../../format/recipe.ts';
import { loadRuns } from './load-runs.ts';
import type { PackReader } from './pack-reader.ts';
import type { ScheduleOptions } from './pack-schedule.ts';
import type { RunTable } from './run-table.ts';
import { SpanReader } from './span-reader.ts';

/** The bytes of one archive (or catalogue). Every chunk is checked against its id before it is given out. */
export class ArchiveReader {
  readonly runs: RunTable;
  readonly #packs: PackReader;

  private constructor(packs: PackReader, runs: RunTable) {
    this.#packs = packs;
    this.runs = runs;
  }

  /** @throws DAMAGED, SEAL_BROKEN, FORMAT_INVALID, LIMIT_EXCEEDED, NOT_FOUND (a pack of the recipe itself), network errors. */
  static async open(packs: PackReader, recipe: Recipe): Promise<ArchiveReader> {
    return new ArchiveReader(packs, await loadRuns(packs, recipe));
  }

  get lengthBytes(): number {
    return this.runs.lengthBytes;
  }

  /**
   * Bytes `start` to `end`, `end` excluded, as a copy; fewer when the archive ends before. Packs come from the reader's cache.
   * @throws DAMAGED, SEAL_BROKEN, FORMAT_INVALID, NOT_FOUND (a pack), network errors.
   */
  async read(start: number, end: number): Promise<Uint8Array> {
    const { runs } = this;
    const bytes = new Uint8Array(Math.max(0, Math.min(end, runs.lengthBytes) - start));
    let at = 0;
    for (let run = runs.find(start); at < bytes.byteLength; run++) {
      const pack = await this.#packs.open(runs.packAt(run));
      const whole = pack.slice(runs.firstAt(run), runs.countAt(run), runs.bytesAt(run));
      const skipped = start + at - runs.startAt(run);
      const piece = whole.subarray(skipped, skipped + bytes.byteLength - at);
      bytes.set(piece, at);
      at += piece.byteLength;
    }
    return bytes;
  }

  /** All bytes in order, in pieces, with packs fetched ahead; memory stays bounded. @throws as `read` does. */
  stream(options: ScheduleOptions = {}): AsyncGenerator<Uint8Array> {
    const reader = this.spans(options);
    return reader.pieces(reader.add(0, this.lengthBytes));
  }

  /** Reads many spans in an order that is known beforehand. */
  spans(options: ScheduleOptions = {}): SpanReader {
    return new SpanReader(this.#packs, this.runs, options);
  }
}
