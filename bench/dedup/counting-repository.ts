// A repository that counts what it is given and keeps only what the next push needs: directories, and the last snapshot.
import { createHash, randomBytes } from 'node:crypto';
import { FallbackError } from '../../src/errors/fallback-error.ts';
import { type LeaseId, parseEpoch, parseRepositoryId } from '../../src/format/ids.ts';
import { decodePackHeader, packHeaderBytes } from '../../src/format/pack.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import { decodeSnapshotFile } from '../../src/format/snapshot.ts';
import type {
  Lease,
  LeaseRequest,
  RepositoryStatus,
  RepositoryWriter,
  SnapshotSummary,
} from '../../src/store/repository-store.ts';

const notKept = (): FallbackError => new FallbackError('NOT_FOUND', 'This repository only counts.');

/** Takes pushes of one client; nothing can be restored from it. */
export class CountingRepository implements RepositoryWriter {
  readonly repositoryId = parseRepositoryId(randomBytes(16).toString('hex'));
  readonly #directories = new Map<number, Uint8Array>();
  readonly #generation = randomBytes(8).toString('hex');
  readonly #configuration: Uint8Array;
  #head: SnapshotSummary | undefined;
  #headFile: Uint8Array | undefined;
  /** Bytes of pack files, of their headers and directories alone, and of snapshot files. */
  packBytes = 0;
  directoryBytes = 0;
  snapshotBytes = 0;
  packs = 0;

  /** @param seal gives the sealed configuration for this repository's id. */
  constructor(seal: (repository: CountingRepository) => Uint8Array) {
    this.#configuration = seal(this);
  }

  async status(): Promise<RepositoryStatus> {
    return {
      repositoryId: this.repositoryId,
      name: 'bench',
      epoch: parseEpoch(1),
      generation: this.#generation,
      head: this.#head && { number: this.#head.number, sha256: this.#head.sha256 },
      lastPack: this.packs,
      present: PackRanges.fromNumbers(this.#directories.keys()),
      lost: PackRanges.empty,
      holed: PackRanges.empty,
      healRevision: 1,
      storedBytes: this.packBytes,
      quotaBytes: undefined,
      freeBytes: Number.MAX_SAFE_INTEGER,
      leaseHolder: undefined,
      lastCompleteAtMs: undefined,
      serverTimeMs: Date.now(),
    };
  }

  async acquireLease({ leaseId }: LeaseRequest): Promise<Lease> {
    return { leaseId, firstPack: this.packs + 1, lifetimeMs: 3_600_000, status: await this.status() };
  }

  async putPack(_leaseId: LeaseId, number: number, parts: readonly Uint8Array[]): Promise<void> {
    const file = parts.length === 1 && parts[0] !== undefined ? parts[0] : new Uint8Array(Buffer.concat(parts));
    const directoryEnd = packHeaderBytes + decodePackHeader(file).directoryBytes;
    this.#directories.set(number, file.slice(0, directoryEnd));
    this.packs = Math.max(this.packs, number);
    this.packBytes += file.byteLength;
    this.directoryBytes += directoryEnd;
  }

  async commitSnapshot(_leaseId: LeaseId, file: Uint8Array): Promise<SnapshotSummary> {
    const { head } = decodeSnapshotFile(file);
    this.snapshotBytes += file.byteLength;
    this.#headFile = file;
    this.#head = {
      number: head.number,
      sha256: new Uint8Array(createHash('sha256').update(file).digest()),
      receivedAtMs: Date.now(),
      epoch: head.epoch,
      origin: head.origin,
      complete: head.complete,
      fileBytes: file.byteLength,
      pinned: false,
      deletedAfterMs: undefined,
      packsDamaged: PackRanges.empty,
    };
    return this.#head;
  }

  async packFile(): Promise<undefined> {}

  async *directories(fromPack: number): AsyncGenerator<Uint8Array> {
    for (const number of [...this.#directories.keys()].sort((a, b) => a - b)) {
      const record = this.#directories.get(number);
      if (number >= fromPack && record !== undefined) yield record;
    }
  }

  async configuration(): Promise<Uint8Array> {
    return this.#configuration;
  }

  async snapshots(): Promise<readonly SnapshotSummary[]> {
    return this.#head === undefined ? [] : [this.#head];
  }

  async keyDocumentNumbers(): Promise<readonly number[]> {
    return [];
  }

  async keyDocument(): Promise<Uint8Array> {
    throw notKept();
  }

  /** The newest one: its seal is checked when the next push opens the repository. */
  async snapshot(): Promise<Uint8Array> {
    if (this.#headFile === undefined) throw notKept();
    return this.#headFile;
  }

  async pack(): Promise<Uint8Array> {
    throw notKept();
  }

  async lostDirectory(): Promise<Uint8Array | undefined> {
    return undefined;
  }

  async renewLease(): Promise<void> {}
  async releaseLease(): Promise<void> {}
  async putKeyDocument(): Promise<void> {}
  async close(): Promise<void> {}
}
