// Opened packs for reading: fetched once while they stay in a bounded cache, opened in workers.
import type { FallbackError } from '../../errors/fallback-error.ts';
import type { RepositorySession } from '../repository-session.ts';
import { sourceBytes } from '../workers/pack-source.ts';
import { isDamage } from './is-damage.ts';
import { ReadPack } from './read-pack.ts';
import { withPackSource } from './with-pack-source.ts';

const cacheBytesDefault = 32 * 1024 * 1024;

/** Who is told how packs were found; check listens. */
export interface PackListener {
  /** It opened, and every chunk is what its id says. */
  onVerified(number: number, fileBytes: number): void;
  /** It is lost or damaged; the same error is thrown to whoever asked. */
  onDamage(number: number, error: FallbackError): void;
}

/** Fetches and opens packs. */
export class PackReader {
  readonly #session: RepositorySession;
  readonly #cacheBytesMax: number;
  readonly #listener: PackListener | undefined;
  readonly #cache = new Map<number, Promise<ReadPack>>();
  readonly #sizes = new Map<number, number>();
  #cachedBytes = 0;

  constructor(session: RepositorySession, cacheBytesMax = cacheBytesDefault, listener?: PackListener) {
    this.#session = session;
    this.#cacheBytesMax = cacheBytesMax;
    this.#listener = listener;
  }

  /** A pack, from the cache or fetched now. @throws NOT_FOUND, SEAL_BROKEN, FORMAT_INVALID, DAMAGED, network errors. */
  open(number: number): Promise<ReadPack> {
    const cached = this.#cache.get(number);
    if (cached !== undefined) {
      this.#cache.delete(number);
      this.#cache.set(number, cached);
      return cached;
    }
    const opening = this.fetch(number);
    this.#cache.set(number, opening);
    opening.then(
      (pack) => this.#keep(number, pack.contents.byteLength),
      () => this.#cache.delete(number),
    );
    return opening;
  }

  /** A pack, fetched now and not kept. @param checkIds whether every chunk is checked against its id. */
  async fetch(number: number, checkIds = true): Promise<ReadPack> {
    try {
      return await withPackSource(this.#session.repository, number, async (source) => {
        const bytes = sourceBytes(source);
        const pack = new ReadPack(number, await this.#session.crypto.run({ kind: 'open', number, source, checkIds }));
        if (checkIds) this.#listener?.onVerified(number, bytes);
        return pack;
      });
    } catch (error) {
      if (isDamage(error)) this.#listener?.onDamage(number, error);
      throw error;
    }
  }

  #keep(number: number, bytes: number): void {
    this.#sizes.set(number, bytes);
    this.#cachedBytes += bytes;
    for (const oldest of this.#cache.keys()) {
      if (this.#cachedBytes <= this.#cacheBytesMax || oldest === number) break;
      this.#cachedBytes -= this.#sizes.get(oldest) ?? 0;
      this.#sizes.delete(oldest);
      this.#cache.delete(oldest);
    }
  }
}
