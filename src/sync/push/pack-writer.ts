// Gathers new chunks into packs, has them sealed in a worker and sends them: the only place that makes packs for a push.

import { freeBytes } from '../../bytes/free-bytes.ts';
import type { ChunkKind } from '../../chunker/chunker.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { RepositoryConfiguration } from '../../format/configuration.ts';
import type { LeaseId } from '../../format/ids.ts';
import { limits } from '../../format/limits.ts';
import { chunkIdBytes } from '../../format/pack.ts';
import type { RepositoryWriter } from '../../store/repository-store.ts';
import type { ChunkIndex, ChunkPlace } from '../index/chunk-index.ts';
import type { IndexCache } from '../index/index-cache.ts';
import type { SealedPackFile } from '../workers/crypto-tasks.ts';
import type { CryptoRunner } from '../workers/worker-pool.ts';
import type { CompressionLevel } from './compression-level.ts';
import type { PackNumbers } from './pack-numbers.ts';
import type { PushCounters } from './push-counters.ts';
import { Semaphore } from './semaphore.ts';

const uploadsMax = 2;
const idWordCount = chunkIdBytes / 4;
/** Some photos do shrink a little; more than the least effort is lost on them. */
const incompressibleLevel = 1;
/** Three open packs, and one being sealed at least: the metadata pack is seldom open, so mostly two. 7 MiB each. */
const buffersMax = 4;

/** What a pack holds: chunks of one kind, or (2) metadata, so that listing a snapshot need not fetch contents. */
export type PackKind = ChunkKind | 2;
export const metadataKind: PackKind = 2;

interface OpenPack {
  readonly number: number;
  readonly kind: PackKind;
  readonly buffer: Buffer<SharedArrayBuffer>;
  readonly targetBytes: number;
  readonly lengths: number[];
  /** Eight words each. */
  ids: Uint32Array<ArrayBuffer>;
  bytes: number;
}

export interface PackWriterOptions {
  readonly repository: RepositoryWriter;
  readonly leaseId: LeaseId;
  readonly numbers: PackNumbers;
  readonly crypto: CryptoRunner;
  readonly index: ChunkIndex;
  readonly cache: IndexCache;
  readonly configuration: RepositoryConfiguration;
  /** A random integer from 0 to below `bound`: pack lengths are drawn with it. */
  readonly randomInteger: (bound: number) => number;
  readonly counters: PushCounters;
  readonly compression: CompressionLevel;
}

/** Fills, seals and sends packs. Three are open at a time: compressible chunks, incompressible ones, and metadata are kept apart. */
export class PackWriter {
  readonly #options: PackWriterOptions;
  readonly #open: (OpenPack | undefined)[] = [undefined, undefined, undefined];
  readonly #freeBuffers: Buffer<SharedArrayBuffer>[] = [];
  readonly #buffers = new Semaphore(buffersMax);
  readonly #uploads = new Semaphore(uploadsMax);
  readonly #inFlight = new Set<Promise<void>>();
  #unsealed = 0;
  #failure: unknown;

  constructor(options: PackWriterOptions) {
    this.#options = options;
  }

  /**
   * Adds a new chunk to the open pack of its kind, if there is room now; the index learns its place.
   * @param words 32-byte ids as 32-bit words; this chunk's begins at `word`. @param bytes hold its contents from `start` to `end`.
   * @returns false when `makeRoom` must be awaited first.
   */
  tryAdd(
    kind: PackKind,
    words: Uint32Array,
    word: number,
    bytes: Buffer,
    start: number,
    end: number,
    place: ChunkPlace,
  ): boolean {
    const pack = this.#open[kind];
    if (pack === undefined) return false;
    const position = pack.lengths.length;
    const at = position * idWordCount;
    if (at === pack.ids.length) {
      const larger = new Uint32Array(pack.ids.length * 2);
      larger.set(pack.ids);
      pack.ids = larger;
    }
    for (let index = 0; index < idWordCount; index++) pack.ids[at + index] = words[word + index] ?? 0;
    // Not `set`: between shared buffers that copies word by word, half as fast.
    bytes.copy(pack.buffer, pack.bytes, start, end);
    pack.bytes += end - start;
    pack.lengths.push(end - start);
    this.#options.index.set(words, word, pack.number, position);
    place.pack = pack.number;
    place.position = position;
    const { counters } = this.#options;
    counters.newChunks++;
    counters.newBytes += end - start;
    if (pack.bytes >= pack.targetBytes || pack.lengths.length === limits.packChunksMax) this.#dispatch(kind);
    return true;
  }

  /** Waits until a pack of this kind is open. @throws what stopped an earlier pack. */
  async makeRoom(kind: PackKind): Promise<void> {
    this.#throwFailure();
    if (this.#open[kind] !== undefined) return;
    await Promise.all([this.#buffers.acquire(), this.#options.numbers.prepare()]);
    this.#throwFailure();
    if (this.#open[kind] !== undefined) {
      this.#buffers.release();
      return;
    }
    const { packTargetBytesMin, packTargetBytesMax } = this.#options.configuration;
    const targetBytes = packTargetBytesMin + this.#options.randomInteger(packTargetBytesMax - packTargetBytesMin + 1);
    const buffer =
      this.#freeBuffers.pop() ?? Buffer.from(new SharedArrayBuffer(packTargetBytesMax + limits.chunkBytesMax));
    const ids = new Uint32Array(1024 * idWordCount);
    this.#open[kind] = { number: this.#options.numbers.take(), kind, buffer, targetBytes, lengths: [], ids, bytes: 0 };
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #dispatch(kind: PackKind): void {
    const pack = this.#open[kind];
    if (pack === undefined) return;
    this.#open[kind] = undefined;
    const sending = this.#send(pack).catch((error: unknown) => {
      this.#failure ??= error;
    });
    this.#inFlight.add(sending);
    void sending.then(() => this.#inFlight.delete(sending));
  }

  async #send(pack: OpenPack): Promise<void> {
    const { repository, leaseId, cache, counters } = this.#options;
    const sealed = await this.#seal(pack);
    try {
      this.#throwFailure();
      await repository.putPack(leaseId, pack.number, sealed.parts, sealed.sha256);
      cache.append({
        number: pack.number,
        fileBytes: sealed.bytes,
        lengths: Uint32Array.from(pack.lengths),
        ids: pack.ids.slice(0, pack.lengths.length * idWordCount),
        holes: new Uint32Array(0),
      });
      counters.packsSent++;
      counters.packBytesSent += sealed.bytes;
    } finally {
      for (const part of sealed.parts) freeBytes(part);
      this.#uploads.release();
    }
  }

  /** Seals a pack and gets it a place among the uploads; only then its buffer serves the next one, which bounds memory. */
  async #seal(pack: OpenPack): Promise<SealedPackFile> {
    try {
      const level = this.#levelFor(pack);
      this.#unsealed++;
      const sealed = await this.#options.crypto.run({
        kind: 'seal',
        number: pack.number,
        revision: 0,
        contents: pack.buffer.subarray(0, pack.bytes),
        lengths: Uint32Array.from(pack.lengths),
        ids: new Uint8Array(pack.ids.slice(0, pack.lengths.length * idWordCount).buffer),
        holes: [],
        level,
      });
      this.#unsealed--;
      await this.#uploads.acquire();
      return sealed;
    } finally {
      this.#freeBuffers.push(pack.buffer);
      this.#buffers.release();
    }
  }

  #levelFor({ kind, bytes }: OpenPack): number {
    if (kind === 1) return incompressibleLevel;
    return this.#options.compression.next(bytes, {
      sealedWaiting: this.#uploads.waiting,
      unsealedWaiting: this.#unsealed,
    });
  }

  /** Sends what is open and waits until every pack is durable on the server. @throws what stopped a pack. */
  async finish(): Promise<void> {
    for (const kind of [0, 1, metadataKind] as const) this.#dispatch(kind);
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
    this.#throwFailure();
  }

  /** Stops: nothing more is sent, and what is under way is waited for. */
  async abort(): Promise<void> {
    this.#failure ??= new FallbackError('INTERRUPTED', 'The push was stopped.');
    await Promise.all(this.#inFlight);
  }
}
