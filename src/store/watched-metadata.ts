// The records of a store, and a call to whoever opened it when they can be used no more.
import { type FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import type { Lasting, MetadataRead, MetadataStore, MetadataWrite } from './metadata-store.ts';

/** Passes everything on, and tells of every STORE_INVALID: the database is damaged, or another process replaced it. */
export class WatchedMetadataStore implements MetadataStore {
  readonly #metadata: MetadataStore;
  readonly #onInvalid: (error: FallbackError) => void;

  constructor(metadata: MetadataStore, onInvalid: (error: FallbackError) => void) {
    this.#metadata = metadata;
    this.#onInvalid = onInvalid;
  }

  async #watch<T>(result: Promise<T>): Promise<T> {
    try {
      return await result;
    } catch (error) {
      if (isFallbackError(error, 'STORE_INVALID')) this.#onInvalid(error);
      throw error;
    }
  }

  read<T>(work: (view: MetadataRead) => Promise<T>): Promise<T> {
    return this.#watch(this.#metadata.read(work));
  }

  write<T>(work: (change: MetadataWrite) => Promise<T>, lasting?: Lasting): Promise<T> {
    return this.#watch(this.#metadata.write(work, lasting));
  }

  close(): Promise<void> {
    return this.#metadata.close();
  }
}
