// Writes recipes while their chunks go by: memory stays flat whatever the archive's size.

import { ByteWriter } from '../../bytes/byte-writer.ts';
import type { CutSizes } from '../../chunker/chunker.ts';
import { encodeRuns, type Recipe, type Run } from '../../format/recipe.ts';
import type { ChunkSink } from './chunk-sink.ts';
import type { PackUsage } from './pack-usage.ts';

/** Recipes and catalogues change in few places: small chunks keep a night's share of them small. */
export const metadataSizes: CutSizes = { minimumBytes: 256, averageBytes: 1024, maximumBytes: 8192 };
const inlineBytesMax = 1024;
const flushBytes = 128 * 1024;

type CutBytes = (bytes: Uint8Array, sizes: CutSizes) => Uint32Array;

/** Joins neighbouring chunks into runs. */
export class RunJoiner {
  readonly #use: PackUsage;
  #pack = 0;
  #first = 0;
  #count = 0;
  #bytes = 0;

  /** @param use is told of every pack that a run names. */
  constructor(use: PackUsage) {
    this.#use = use;
  }

  /** Appends a chunk. @returns the run that it ended, if any. */
  append(pack: number, position: number, bytes: number): Run | undefined {
    if (pack === this.#pack && position === this.#first + this.#count) {
      this.#count++;
      this.#bytes += bytes;
      return undefined;
    }
    const ended = this.end();
    this.#pack = pack;
    this.#first = position;
    this.#count = 1;
    this.#bytes = bytes;
    return ended;
  }

  /** Ends the last run. */
  end(): Run | undefined {
    if (this.#count === 0) return undefined;
    const run = { pack: this.#pack, first: this.#first, count: this.#count, bytes: this.#bytes };
    this.#count = 0;
    this.#use.add(this.#pack, 0);
    return run;
  }
}

/** Stores a byte string of metadata as chunks, as it grows, and tells `onChunk` where each lies. */
export class MetadataWriter {
  readonly #sink: ChunkSink;
  readonly #cutBytes: CutBytes;
  readonly #use: PackUsage;
  readonly #onChunk: (pack: number, position: number, bytes: number) => void;
  #pending = new ByteWriter(flushBytes);

  constructor(
    sink: ChunkSink,
    cutBytes: CutBytes,
    use: PackUsage,
    onChunk: (pack: number, position: number, bytes: number) => void,
  ) {
    this.#sink = sink;
    this.#cutBytes = cutBytes;
    this.#use = use;
    this.#onChunk = onChunk;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#pending.bytes(bytes);
    if (this.#pending.length >= flushBytes) await this.#flush(false);
  }

  /** Stores what is left. */
  async finish(): Promise<void> {
    if (this.#pending.length > 0) await this.#flush(true);
  }

  async #flush(isEnd: boolean): Promise<void> {
    const bytes = this.#pending.finish();
    const ends = this.#cutBytes(bytes, metadataSizes);
    // The last cut of a piece may be its end alone: it is carried over, so that cuts do not depend on the pieces.
    const count = isEnd ? ends.length : ends.length - 1;
    let start = 0;
    for (let index = 0; index < count; index++) {
      const end = ends[index] ?? bytes.byteLength;
      const place = await this.#sink.placeMetadata(this.#use, bytes.subarray(start, end));
      this.#onChunk(place.pack, place.position, end - start);
      start = end;
    }
    this.#pending = new ByteWriter(flushBytes * 2).bytes(bytes.subarray(start));
  }
}

/** Collects the runs of one byte string; a long list becomes metadata itself. */
export class RecipeWriter {
  readonly #sink: ChunkSink;
  readonly #cutBytes: CutBytes;
  readonly #use: PackUsage;
  readonly #joiner: RunJoiner;
  #runs: Run[] = [];
  #nested: { readonly writer: MetadataWriter; readonly joiner: RunJoiner; readonly runs: Run[] } | undefined;
  #previousPack = 0;
  #lengthBytes = 0;

  /** @param use is told of every pack that the recipe needs. */
  constructor(sink: ChunkSink, cutBytes: CutBytes, use: PackUsage) {
    this.#sink = sink;
    this.#cutBytes = cutBytes;
    this.#use = use;
    this.#joiner = new RunJoiner(use);
  }

  /** Appends a chunk; `flush` is to be awaited now and then. */
  append(pack: number, position: number, bytes: number): void {
    this.#lengthBytes += bytes;
    const run = this.#joiner.append(pack, position, bytes);
    if (run !== undefined) this.#runs.push(run);
  }

  /** Moves what has gathered into metadata, once it is too long to stand in the snapshot. */
  async flush(isEnd = false): Promise<void> {
    if (this.#runs.length === 0 || (this.#nested === undefined && this.#runs.length < inlineBytesMax / 8 && !isEnd))
      return;
    const encoded = encodeRuns(this.#runs, this.#previousPack);
    if (this.#nested === undefined && encoded.byteLength <= inlineBytesMax) return;
    this.#nested ??= this.#startNested();
    await this.#nested.writer.write(encoded);
    this.#previousPack = this.#runs.at(-1)?.pack ?? this.#previousPack;
    this.#runs = [];
  }

  /** Ends the recipe. @param sha256 of the whole byte string. */
  async finish(sha256: Uint8Array): Promise<Recipe> {
    const run = this.#joiner.end();
    if (run !== undefined) this.#runs.push(run);
    await this.flush(true);
    const base = { lengthBytes: this.#lengthBytes, sha256 };
    if (this.#nested === undefined) return { ...base, nested: false, runs: this.#runs };
    const { writer, joiner, runs } = this.#nested;
    await writer.finish();
    const last = joiner.end();
    return { ...base, nested: true, runs: last === undefined ? runs : [...runs, last] };
  }

  #startNested(): { writer: MetadataWriter; joiner: RunJoiner; runs: Run[] } {
    const joiner = new RunJoiner(this.#use);
    const runs: Run[] = [];
    const writer = new MetadataWriter(this.#sink, this.#cutBytes, this.#use, (pack, position, bytes) => {
      const ended = joiner.append(pack, position, bytes);
      if (ended !== undefined) runs.push(ended);
    });
    return { writer, joiner, runs };
  }
}
