// Builds the index for one push: from the cache, and for packs that the cache lacks from the server.

import type { RepositoryKeys } from '../../crypto/key-hierarchy.ts';
import type { RandomBytes } from '../../crypto/seal.ts';
import { openPackDirectory } from '../../crypto/sealed-pack.ts';
import { isFallbackError } from '../../errors/fallback-error.ts';
import { decodePackHeader } from '../../format/pack.ts';
import { PackRanges } from '../../format/pack-ranges.ts';
import type { RepositoryReader, RepositoryStatus } from '../../store/repository-store.ts';
import { isDamage } from '../read/is-damage.ts';
import { readPackPrefix } from '../read/pack-prefix.ts';
import { ChunkIndex } from './chunk-index.ts';
import { IndexCache } from './index-cache.ts';
import { contentsBytesOf, type KnownPack, knownPackOf } from './known-pack.ts';
import { LostPacks } from './lost-packs.ts';

/** An index, the cache that it came from, and what is known of packs that were lost. */
export interface LoadedIndex {
  readonly index: ChunkIndex;
  readonly cache: IndexCache;
  /** Numbers of the packs that a new snapshot may name: present, not found damaged by a check, and with a directory that opens. */
  readonly usable: PackRanges;
  /** Lost and holed packs, as far as they are still known, or as many as one night can heal: what healing needs. */
  readonly lostPacks: ReadonlyMap<number, KnownPack>;
  /** How many directories came from the server rather than the cache. */
  readonly fetchedDirectories: number;
  /** The highest pack number that any directory known to this client names, or 0 (trust check T6). */
  readonly highestPack: number;
}

/** A pack whose chunks were taken into the index. */
export interface IndexedPack {
  readonly number: number;
  readonly chunks: number;
  /** Of all its chunks, before compression. */
  readonly contentsBytes: number;
  readonly fileBytes: number;
}

type OnPack = (pack: IndexedPack) => void;

/** What is wanted of a pack's chunks. */
interface Wanted {
  /** Chunks in these packs may be referred to. */
  readonly usable: PackRanges;
  /** What is known of these is kept for healing. */
  readonly healable: PackRanges;
}

class IndexBuilder {
  readonly index: ChunkIndex;
  readonly lost: LostPacks;
  readonly seen = new Set<number>();
  highestPack = 0;
  readonly #wanted: Wanted;
  readonly #onPack: OnPack;

  constructor(wanted: Wanted, onPack: OnPack, randomBytes: RandomBytes, expectedChunks = 0) {
    this.lost = new LostPacks(randomBytes);
    this.index = new ChunkIndex(expectedChunks);
    this.#wanted = wanted;
    this.#onPack = onPack;
  }

  /** Takes a pack up. */
  add(pack: KnownPack): void {
    const { number, lengths, fileBytes, ids, holes } = pack;
    this.highestPack = Math.max(this.highestPack, number);
    if (this.#wanted.healable.has(number)) this.lost.add(pack);
    if (!this.#wanted.usable.has(number)) return;
    this.seen.add(number);
    this.#onPack({ number, chunks: lengths.length, contentsBytes: contentsBytesOf(pack), fileBytes });
    this.index.addPack(ids, number, holes);
  }
}

const packsBetweenFlushes = 256;

/** What is over heals another night, and a server that claims to have lost everything holds no push up. */
const directoriesAskedMax = 10_000;

/** The record of a pack that lacks something: a holed one's own, a lost one's as far as it was kept. @throws network errors. */
async function damagedRecord(
  repository: RepositoryReader,
  status: RepositoryStatus,
  number: number,
): Promise<Uint8Array | undefined> {
  if (!status.holed.has(number)) return await repository.lostDirectory(number);
  try {
    return await readPackPrefix(repository, number);
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** A pack's directory; undefined when it is damaged: then the pack's chunks are sent again. */
function openKnown(keys: RepositoryKeys, record: Uint8Array, number: number): KnownPack | undefined {
  try {
    return knownPackOf(openPackDirectory(keys, record, number));
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

async function readCache(cache: IndexCache, builder: IndexBuilder): Promise<boolean> {
  try {
    for await (const pack of cache.packs()) builder.add(pack);
    return true;
  } catch (error) {
    if (isFallbackError(error)) return false;
    throw error;
  }
}

/**
 * Loads the index of what a new snapshot may name.
 * @param path the cache file.
 * @param damaged packs that a check on this machine could not open.
 * @param onPack is told of every pack that was taken up; of one more than once when it was healed, or the cache was of no use.
 */
export async function loadIndex(
  path: string,
  keys: RepositoryKeys,
  repository: RepositoryReader,
  status: RepositoryStatus,
  damaged: PackRanges,
  randomBytes: RandomBytes,
  onPack: OnPack = () => undefined,
): Promise<LoadedIndex> {
  const wanted: Wanted = { usable: status.present.minus(damaged), healable: status.lost.union(status.holed) };
  const cache = new IndexCache(path, keys, status.generation, randomBytes);
  let builder = new IndexBuilder(wanted, onPack, randomBytes, await cache.expectedChunks());
  if (!(await readCache(cache, builder))) {
    cache.reset();
    builder = new IndexBuilder(wanted, onPack, randomBytes);
  }
  let fetched = 0;
  const broken: number[] = [];
  const missing = wanted.usable.minus(PackRanges.fromNumbers(builder.seen));
  const first = missing.ranges[0]?.first;
  if (first !== undefined) {
    for await (const record of repository.directories(first)) {
      const { number } = decodePackHeader(record);
      if (builder.seen.has(number) || !wanted.usable.has(number)) continue;
      const pack = openKnown(keys, record, number);
      if (pack === undefined) {
        broken.push(number);
        continue;
      }
      builder.add(pack);
      cache.append(pack);
      // The disk must keep up, or what waits for it would fill the memory.
      if (++fetched % packsBetweenFlushes === 0) await cache.flush().catch(() => undefined);
    }
    // A full disk costs the next push a rebuild, and this one nothing.
    await cache.flush().catch(() => undefined);
  }
  let asked = 0;
  for (const number of wanted.healable.numbers()) {
    if (builder.lost.packs.has(number)) continue;
    if (builder.lost.isFull || asked++ === directoriesAskedMax) break;
    const record = await damagedRecord(repository, status, number);
    const pack = record === undefined ? undefined : openKnown(keys, record, number);
    if (pack !== undefined) builder.lost.add(pack);
  }
  return {
    index: builder.index,
    cache,
    usable: wanted.usable.minus(PackRanges.fromNumbers(broken)),
    lostPacks: builder.lost.packs,
    fetchedDirectories: fetched,
    highestPack: builder.highestPack,
  };
}
