// Where each chunk of a pack begins in its contents, from the directory alone: a hundredth of the pack's own bytes.
import { openPackDirectory } from '../../crypto/sealed-pack.ts';
import { decodePackHeader, packHeaderBytes } from '../../format/pack.ts';
import type { RepositorySession } from '../repository-session.ts';

const cachedChunksMax = 4_000_000;

/** Fetches and keeps the addresses of packs' chunks, 4 bytes each, 16 MB at most. */
export class PackAddresses {
  readonly #session: RepositorySession;
  readonly #cache = new Map<number, Uint32Array>();
  #cachedChunks = 0;

  constructor(session: RepositorySession) {
    this.#session = session;
  }

  /** Where the chunk at `position` begins, in bytes of the pack's contents. @throws NOT_FOUND, SEAL_BROKEN, FORMAT_INVALID, network errors. */
  async addressOf(pack: number, position: number): Promise<number> {
    const starts = this.#cache.get(pack) ?? (await this.#fetch(pack));
    return starts[position] ?? 0;
  }

  async #fetch(pack: number): Promise<Uint32Array> {
    const { repository, keys } = this.#session;
    // The header first: a span beyond the end of a small pack is refused by a store's folder.
    const header = decodePackHeader(await repository.pack(pack, { start: 0, end: packHeaderBytes }));
    const bytes = await repository.pack(pack, { start: 0, end: packHeaderBytes + header.directoryBytes });
    const { lengths } = openPackDirectory(keys, bytes, pack).directory;
    const starts = new Uint32Array(lengths.length + 1);
    for (const [position, length] of lengths.entries()) starts[position + 1] = (starts[position] ?? 0) + length;
    this.#cache.set(pack, starts);
    this.#cachedChunks += starts.length;
    for (const [oldest, old] of this.#cache) {
      if (this.#cachedChunks <= cachedChunksMax || oldest === pack) break;
      this.#cache.delete(oldest);
      this.#cachedChunks -= old.length;
    }
    return starts;
  }
}
