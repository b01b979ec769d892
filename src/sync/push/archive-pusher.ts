// One archive's way through the pipeline: read → cut → id → look up → pack. Windows of it lie in the chunker's shared
// memory; workers hash them where they lie, and nothing crosses a thread per chunk.
import { createHash } from 'node:crypto';
import type { ArchiveChunker, Chunker, TarMemberSeen } from '../../chunker/chunker.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import { CatalogueEncoder } from '../../format/catalogue.ts';
import { limits } from '../../format/limits.ts';
import type { Recipe } from '../../format/recipe.ts';
import type { ChunkPlace } from '../index/chunk-index.ts';
import { type CryptoRunner, newDigestNumber } from '../workers/worker-pool.ts';
import type { ByteSource } from './byte-source.ts';
import type { ChunkSink } from './chunk-sink.ts';
import type { PushedArchive } from './known-archives.ts';
import { PackUsage } from './pack-usage.ts';
import type { PushCounters } from './push-counters.ts';
import { MetadataWriter, RecipeWriter } from './recipe-writer.ts';
import type { ArchiveSpans } from './spans/archive-spans.ts';
import type { Window, WindowPool } from './window-pool.ts';

/** What all archives of a push share. */
export interface ArchivePusherContext {
  readonly chunker: Chunker;
  readonly windows: WindowPool;
  readonly crypto: CryptoRunner;
  readonly sink: ChunkSink;
  readonly counters: PushCounters;
}

/** Collects the tar members that the chunker sees, and stores them as they come. */
class CatalogueCollector {
  readonly #counters: PushCounters;
  readonly #recipe: RecipeWriter;
  readonly #writer: MetadataWriter;
  readonly #hash = createHash('sha256');
  #encoder = new CatalogueEncoder();
  #members = 0;

  constructor({ sink, chunker, counters }: ArchivePusherContext, use: PackUsage) {
    this.#counters = counters;
    const cutBytes = chunker.cutBytes.bind(chunker);
    this.#recipe = new RecipeWriter(sink, cutBytes, use);
    this.#writer = new MetadataWriter(sink, cutBytes, use, (pack, position, bytes) =>
      this.#recipe.append(pack, position, bytes),
    );
  }

  add(member: TarMemberSeen): void {
    // A member that no catalogue can name (a hostile tar holds anything) is only in the archive's bytes.
    if (this.#encoder.add(member)) this.#members++;
    else this.#counters.unlistedMembers++;
  }

  async flush(): Promise<void> {
    const bytes = this.#encoder.take();
    if (bytes.byteLength === 0) return;
    this.#hash.update(bytes);
    await this.#writer.write(bytes);
    await this.#recipe.flush();
  }

  async finish(): Promise<Recipe | undefined> {
    await this.flush();
    await this.#writer.finish();
    return this.#members === 0 ? undefined : await this.#recipe.finish(new Uint8Array(this.#hash.digest()));
  }
}

/** Pushes one archive's bytes; its packs may still be on their way when this resolves. */
export class ArchivePusher {
  readonly #context: ArchivePusherContext;
  readonly #archiveNumber = newDigestNumber();
  readonly #use = new PackUsage();
  readonly #recipe: RecipeWriter;
  readonly #catalogue: CatalogueCollector;
  readonly #spans: ArchiveSpans;
  readonly #chunker: ArchiveChunker;
  readonly #place: ChunkPlace = { pack: 0, position: 0 };
  /** The last window, until what it left uncut was carried over, and where in it that lies. */
  #carrier: Window | undefined;
  #carryStart = 0;
  #carryBytes = 0;
  #digest: Promise<Uint8Array | undefined> = Promise.resolve(undefined);
  #tail: Promise<void> = Promise.resolve();
  #failure: unknown;
  #chunks = 0;

  /** @param spans what the last push knew of this archive; it is the caller's to publish or discard. */
  constructor(context: ArchivePusherContext, spans: ArchiveSpans) {
    this.#context = context;
    this.#spans = spans;
    this.#recipe = new RecipeWriter(context.sink, context.chunker.cutBytes.bind(context.chunker), this.#use);
    this.#catalogue = new CatalogueCollector(context, this.#use);
    this.#chunker = context.chunker.startArchive((member) => this.#catalogue.add(member), spans);
  }

  /** Reads the source to its end. @throws ARCHIVE_UNREADABLE, ARCHIVE_CHANGED, LIMIT_EXCEEDED, and what stopped a pack. */
  async push(source: ByteSource): Promise<PushedArchive> {
    let total = 0;
    try {
      for (let isDone = false; !isDone; ) {
        const window = await this.#context.windows.acquire();
        let filled: number;
        try {
          filled = await this.#fill(window, source);
        } catch (error) {
          this.#context.windows.release(window);
          throw error;
        }
        total += filled - this.#carryBytes;
        if (total > limits.archiveBytesMax) {
          throw new FallbackError('LIMIT_EXCEEDED', 'An archive is larger than the format allows.');
        }
        const isEnd = filled < window.bytes.byteLength;
        const covered = this.#chunker.cut(window.startByte, filled, isEnd, window.cuts);
        this.#carryStart = covered;
        this.#carryBytes = filled - covered;
        // A list of cuts that ran full leaves a rest, at the end too.
        isDone = isEnd && covered === filled;
        this.#dispatch(window, covered, isDone);
        if (this.#failure !== undefined) throw this.#failure;
      }
    } finally {
      this.#dropCarrier();
      await this.#tail;
    }
    if (this.#failure !== undefined) throw this.#failure;
    const sha256 = await this.#digest;
    if (sha256 === undefined) throw new FallbackError('INTERNAL', 'An archive ended without a digest.');
    const recipe = await this.#recipe.finish(sha256);
    return { recipe, catalogue: await this.#catalogue.finish(), chunks: this.#chunks, use: this.#use };
  }

  /** Puts what was carried over at the window's start, and fills the rest. @returns how many bytes lie in it. */
  async #fill(window: Window, source: ByteSource): Promise<number> {
    const { counters } = this.#context;
    // Not `copyWithin`: in shared memory that copies at a fifth of the speed.
    this.#carrier?.bytes.copy(window.bytes, 0, this.#carryStart, this.#carryStart + this.#carryBytes);
    this.#dropCarrier();
    const read = await source.read(window.bytes.subarray(this.#carryBytes));
    counters.readBytes += read;
    return this.#carryBytes + read;
  }

  #dropCarrier(): void {
    const carrier = this.#carrier;
    this.#carrier = undefined;
    if (carrier !== undefined) this.#context.windows.release(carrier);
  }

  /** Hands a cut window to the workers; its chunks are placed in the archive's order, whichever worker is done first. */
  #dispatch(window: Window, coveredBytes: number, isEnd: boolean): void {
    const { crypto, windows } = this.#context;
    windows.share(window);
    this.#carrier = window;
    const covered = window.bytes.subarray(0, coveredBytes);
    const ids = this.#writeIds(window, covered);
    const digest = crypto.run(
      { kind: 'digest', archive: this.#archiveNumber, bytes: covered, isEnd },
      this.#archiveNumber,
    );
    this.#digest = digest;
    ids.catch(() => undefined);
    digest.catch(() => undefined);
    this.#tail = this.#tail.then(async () => {
      try {
        await ids;
        if (this.#failure === undefined) await this.#placeChunks(window);
        await digest;
      } catch (error) {
        this.#failure ??= error;
      } finally {
        windows.release(window);
      }
    });
  }

  /** Has the ids written that are not known from the last push. */
  async #writeIds({ cuts, ids }: Window, window: Uint8Array): Promise<void> {
    const { count, spans } = cuts;
    if (spans.knownCount === count) return;
    const known = spans.knownCount === 0 ? undefined : spans.known.slice(0, count);
    const ends = cuts.ends.slice(0, count);
    await this.#context.crypto.run({ kind: 'ids', window, ends, known, ids: ids.subarray(0, count * 32) });
  }

  async #placeChunks({ bytes, cuts, words }: Window): Promise<void> {
    const { sink, counters } = this.#context;
    const place = this.#place;
    let start = 0;
    for (let index = 0; index < cuts.count; index++) {
      const end = cuts.ends[index] ?? start;
      const kind = cuts.kinds[index] === 1 ? 1 : 0;
      while (!sink.tryPlace(this.#use, kind, words, index * 8, bytes, start, end, place)) await sink.makeRoom(kind);
      this.#recipe.append(place.pack, place.position, end - start);
      start = end;
    }
    counters.chunks += cuts.count;
    this.#chunks += cuts.count;
    await this.#spans.record(cuts);
    await this.#recipe.flush();
    await this.#catalogue.flush();
  }
}
