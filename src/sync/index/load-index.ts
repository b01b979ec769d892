// Builds the index for one push: from the cache, and for packs that the cache lacks from the server.

import type { RepositoryKeys } from '../../crypto/key-hierarchy.ts';
import { type OpenedDirectory, openPackDirectory } from '../../crypto/sealed-pack.ts';
import { isFallbackError } from '../../errors/fallback-error.ts';
import { decodePackHeader, packContentsBytes, packHeaderBytes } from '../../format/pack.ts';
import { PackRanges } from '../../format/pack-ranges.ts';
import type { RepositoryReader, RepositoryStatus } from '../../store/repository-store.ts';
import { isDamage } from '../read/is-damage.ts';
import { readPackPrefix } from '../read/pack-prefix.ts';
import { ChunkIndex, idWords } from './chunk-index.ts';
import { IndexCache } from './index-cache.ts';

/** An index, the cache that it came from, and the directories of packs that were lost. */
export interface LoadedIndex {
  readonly index: ChunkIndex;
  readonly cache: IndexCache;
  /** Directories of lost and holed packs, as far as they are still known: what healing needs. */
  readonly lostDirectories: ReadonlyMap<number, OpenedDirectory>;
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
  /** Directories of these are kept for healing. */
  readonly healable: PackRanges;
}

class IndexBuilder {
  readonly index: ChunkIndex;
  readonly lostDirectories = new Map<number, OpenedDirectory>();
  readonly seen = new Set<number>();
  highestPack = 0;
  readonly #keys: RepositoryKeys;
  readonly #wanted: Wanted;
  readonly #onPack: OnPack;

  constructor(keys: RepositoryKeys, wanted: Wanted, onPack: OnPack, expectedChunks = 0) {
    this.index = new ChunkIndex(expectedChunks);
    this.#keys = keys;
    this.#wanted = wanted;
    this.#onPack = onPack;
  }

  /** Takes a record up. @throws SEAL_BROKEN, FORMAT_INVALID when it is not to be believed. */
  add(record: Uint8Array): void {
    const { number } = decodePackHeader(record);
    this.highestPack = Math.max(this.highestPack, number);
    const heal = this.#wanted.healable.has(number);
    if (!heal && !this.#wanted.usable.has(number)) return;
    const opened = openPackDirectory(this.#keys, record, number);
    if (heal) this.lostDirectories.set(number, opened);
    if (!this.#wanted.usable.has(number)) return;
    this.seen.add(number);
    const { directory, header } = opened;
    this.#onPack({
      number,
      chunks: directory.lengths.length,
      contentsBytes: packContentsBytes(directory),
      fileBytes: packHeaderBytes + header.directoryBytes + header.bodyBytes,
    });
    this.index.addPack(idWords(directory.ids), number, directory.holes);
  }
}

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

async function readCache(cache: IndexCache, builder: IndexBuilder): Promise<boolean> {
  try {
    for await (const record of cache.records()) builder.add(record);
    return true;
  } catch (error) {
    if (isFallbackError(error)) return false;
    throw error;
  }
}

/**
 * Loads the index of what a new snapshot may name.
 * @param path the cache file.
 * @param onPack is told of every pack that was taken up; of one more than once when it was healed, or the cache was of no use.
 */
export async function loadIndex(
  path: string,
  keys: RepositoryKeys,
  repository: RepositoryReader,
  status: RepositoryStatus,
  onPack: OnPack = () => undefined,
): Promise<LoadedIndex> {
  const wanted: Wanted = { usable: status.present, healable: status.lost.union(status.holed) };
  const cache = new IndexCache(path, keys.repositoryId, status.generation);
  let builder = new IndexBuilder(keys, wanted, onPack, await cache.expectedChunks());
  if (!(await readCache(cache, builder))) {
    cache.reset();
    builder = new IndexBuilder(keys, wanted, onPack);
  }
  let fetched = 0;
  const missing = wanted.usable.minus(PackRanges.fromNumbers(builder.seen));
  const first = missing.ranges[0]?.first;
  if (first !== undefined) {
    for await (const record of repository.directories(first)) {
      const { number } = decodePackHeader(record);
      if (builder.seen.has(number) || !wanted.usable.has(number)) continue;
      builder.add(record);
      cache.append(record);
      fetched++;
    }
    await cache.flush();
  }
  let asked = 0;
  for (const number of wanted.healable.numbers()) {
    if (builder.lostDirectories.has(number)) continue;
    if (asked++ === directoriesAskedMax) break;
    const record = await damagedRecord(repository, status, number);
    if (record === undefined) continue;
    try {
      builder.lostDirectories.set(number, openPackDirectory(keys, record, number));
    } catch (error) {
      if (!isFallbackError(error)) throw error;
    }
  }
  return {
    index: builder.index,
    cache,
    lostDirectories: builder.lostDirectories,
    fetchedDirectories: fetched,
    highestPack: builder.highestPack,
  };
}
