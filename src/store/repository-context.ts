// What every operation on one repository shares: where its objects and records are, and what is remembered of them.
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import type { RepositoryId } from '../format/ids.ts';
import type { PackRanges } from '../format/pack-ranges.ts';
import type { Ballast } from '../fs/ballast.ts';
import type { Environment } from './environment.ts';
import type {
  Lasting,
  MetadataRead,
  MetadataStore,
  MetadataWrite,
  RepositoryCounters,
  RepositoryRecord,
} from './metadata-store.ts';
import { documentKey, parsePackName, quarantinePrefix, repositoryPrefix } from './object-keys.ts';
import type { ObjectStore } from './object-store.ts';
import { PackSet } from './pack-set.ts';
import { encodeRepositoryDocument, type RepositoryDocument } from './repository-document.ts';
import type { RunningBytes } from './running-bytes.ts';
import { diskBytes, trailerBytes } from './stored-object.ts';

/** Settings of a store; the defaults are for a server. */
export interface StoreOptions {
  /** A lease ends this long after its last use, in milliseconds. */
  readonly leaseLifetimeMs: number;
  /** So many bytes of the disk are left free, for the database and for other programs. */
  readonly reserveFreeBytes: number;
  /** Size of the file that is given up when the disk is full; 0 for none. */
  readonly ballastBytes: number;
}

export const defaultStoreOptions: StoreOptions = {
  leaseLifetimeMs: 120_000,
  reserveFreeBytes: 256 * 1024 * 1024,
  // Condemning and deleting 70,000 packs writes about 10 MB of records.
  ballastBytes: 16 * 1024 * 1024,
};

/** Where a store keeps its things. */
export interface StoreParts {
  readonly objects: ObjectStore;
  readonly metadata: MetadataStore;
  readonly environment: Environment;
  readonly options: StoreOptions;
  readonly running: RunningBytes;
  readonly ballast?: Ballast;
}

export type RepositoryState = RepositoryRecord & RepositoryCounters;

/** One repository inside a store. */
export class RepositoryContext {
  readonly id: RepositoryId;
  /** The prefix of its keys. */
  readonly prefix: string;
  readonly objects: ObjectStore;
  readonly environment: Environment;
  readonly options: StoreOptions;
  readonly running: RunningBytes;
  readonly ballast: Ballast | undefined;
  readonly #metadata: MetadataStore;
  #replaced: number | undefined;
  #present: { packChanges: number; packs: PackSet } | undefined;

  constructor(parts: StoreParts, id: RepositoryId) {
    this.id = id;
    this.prefix = repositoryPrefix(id);
    this.objects = parts.objects;
    this.environment = parts.environment;
    this.options = parts.options;
    this.running = parts.running;
    this.ballast = parts.ballast;
    this.#metadata = parts.metadata;
  }

  read<T>(work: (view: MetadataRead) => Promise<T>): Promise<T> {
    return this.#metadata.read(work);
  }

  /** One atomic change. @throws SERVER_FULL instead of DISK_FULL: the disk is the server's. */
  async write<T>(work: (change: MetadataWrite) => Promise<T>, lasting?: Lasting): Promise<T> {
    try {
      return await this.#metadata.write(work, lasting);
    } catch (error) {
      this.#present = undefined;
      throw serverFull(error);
    }
  }

  /** The repository's record. @throws NOT_FOUND. */
  async state(view: MetadataRead): Promise<RepositoryState> {
    const state = await view.repository(this.id);
    if (state === undefined) throw new FallbackError('NOT_FOUND', `The server has no repository ${this.id}.`);
    return state;
  }

  /** Packs that a new snapshot may name, from memory while no other process has changed them. */
  async presentPacks(view: MetadataRead, state: RepositoryState): Promise<PackRanges> {
    // A view that began before our own last change sees an older count: what we remember is newer, and as true.
    if (this.#present === undefined || this.#present.packChanges < state.packChanges) {
      const packs = new PackSet(await view.packNumbers(this.id, 'present'));
      this.#present = { packChanges: state.packChanges, packs };
    }
    return this.#present.packs.toRanges();
  }

  /** Remembers one pack's change, made inside a change that saw `before` and counted one up. */
  notePack(before: RepositoryState, number: number, isPresent: boolean): void {
    if (this.#present === undefined) return;
    if (this.#present.packChanges !== before.packChanges) {
      this.#present = undefined;
      return;
    }
    this.#present.packChanges++;
    if (isPresent) this.#present.packs.add(number);
    else this.#present.packs.remove(number);
  }

  /** Forgets what is present: after a change of many packs. */
  forgetPacks(): void {
    this.#present = undefined;
  }

  /** Changes repository.json, durably, and its record. The file goes first: a crash between leaves it ahead, and opening the store takes it over. */
  async changeDocument(change: MetadataWrite, patch: Partial<RepositoryDocument>): Promise<RepositoryDocument> {
    const { document: old, lastPack, settledPack } = await this.state(change);
    const document: RepositoryDocument = { ...old, ...patch, serial: old.serial + 1 };
    await this.objects.replace(documentKey(this.id), encodeRepositoryDocument(document), this.prefix);
    await change.putRepository({ document, lastPack, settledPack });
    return document;
  }

  /** @throws SERVER_FULL when what is on its way, and `bytes` more, would eat into the reserve. */
  async requireFreeSpace(bytes = 0): Promise<void> {
    const free = await this.objects.freeBytes();
    if (free - this.running.unwritten - bytes < this.options.reserveFreeBytes) {
      throw new FallbackError('SERVER_FULL', 'The fallback server’s disk is full; nothing was stored of this object.', {
        details: { freeBytes: free, reserveBytes: this.options.reserveFreeBytes },
      });
    }
  }

  /** @throws QUOTA_EXCEEDED when what is on its way would be beyond the repository's quota. */
  async requireQuota(state: RepositoryState): Promise<void> {
    const { storedBytes, document } = state;
    const { quotaBytes } = document;
    if (quotaBytes === null) return;
    const replacedBytes = await this.#replacedBytes();
    if (storedBytes + replacedBytes + this.running.incoming(this.id) <= quotaBytes) return;
    throw new FallbackError('QUOTA_EXCEEDED', 'The repository’s quota on the fallback server is used up.', {
      details: { quotaBytes, storedBytes, replacedBytes },
    });
  }

  /** What healed packs take in quarantine that were replaced by a later healing: healing again and again must not be free. */
  async #replacedBytes(): Promise<number> {
    if (this.#replaced !== undefined) return this.#replaced;
    let sum = 0;
    for (const key of await this.objects.list(quarantinePrefix(this.id))) {
      if ((parsePackName(key)?.revision ?? 0) === 0) continue;
      sum += diskBytes(((await this.objects.stat(key)) ?? 0) - trailerBytes);
    }
    this.#replaced = sum;
    return sum;
  }

  /** Looks at the quarantine again when it is asked for next: after a healing, and with each lease. */
  forgetReplaced(): void {
    this.#replaced = undefined;
  }
}

/** DISK_FULL as the server's clients see it: SERVER_FULL. */
export function serverFull(error: unknown): unknown {
  if (!isFallbackError(error, 'DISK_FULL')) return error;
  return new FallbackError('SERVER_FULL', 'The fallback server’s disk is full; what was stored before is safe.', {
    cause: error,
  });
}
