// A repository in memory, for tests of the client's half: as strict as the real ones where the client depends on it.
import { createHash, randomBytes } from 'node:crypto';
import { equalBytes } from '../../src/bytes/hex.ts';
import { FallbackError } from '../../src/errors/fallback-error.ts';
import { type Epoch, type LeaseId, parseEpoch, type RepositoryId, type SnapshotNumber } from '../../src/format/ids.ts';
import { decodePackHeader, packHeaderBytes } from '../../src/format/pack.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import { decodeSnapshotFile } from '../../src/format/snapshot.ts';
import type {
  ByteSpan,
  Lease,
  LeaseRequest,
  RepositoryStatus,
  RepositoryTakeover,
  SnapshotSummary,
} from '../../src/store/repository-store.ts';

const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());

export class MemoryRepository implements RepositoryTakeover {
  readonly repositoryId: RepositoryId;
  readonly packs = new Map<number, Uint8Array>();
  readonly quarantine = new Map<number, Uint8Array>();
  readonly files: Uint8Array[] = [];
  readonly keyDocuments: Uint8Array[] = [];
  configurationFile: Uint8Array = new Uint8Array(0);
  epoch: Epoch = parseEpoch(1);
  generation: string = randomBytes(8).toString('hex');
  lease: LeaseRequest | undefined;
  lastPack = 0;
  putPackCalls = 0;
  directoryCalls = 0;
  /** Throws to make a call fail; set by tests. */
  onPutPack: (number: number) => void | Promise<void> = () => undefined;

  constructor(repositoryId: RepositoryId) {
    this.repositoryId = repositoryId;
  }

  #lost(): PackRanges {
    let needed = PackRanges.empty;
    for (const file of this.files) needed = needed.union(decodeSnapshotFile(file).head.packs);
    return needed.minus(PackRanges.fromNumbers(this.packs.keys()));
  }

  #holed(): PackRanges {
    const numbers = [...this.packs].filter(([, file]) => decodePackHeader(file).hasHoles).map(([number]) => number);
    return PackRanges.fromNumbers(numbers);
  }

  async status(): Promise<RepositoryStatus> {
    const last = this.files.at(-1);
    return {
      repositoryId: this.repositoryId,
      name: 'memory',
      epoch: this.epoch,
      generation: this.generation,
      head: last && { number: decodeSnapshotFile(last).head.number, sha256: sha256(last) },
      lastPack: this.lastPack,
      present: PackRanges.fromNumbers(this.packs.keys()).minus(this.#holed()),
      lost: this.#lost(),
      holed: this.#holed(),
      healRevision: 1 + Math.max(0, ...[...this.packs.values()].map((file) => decodePackHeader(file).revision)),
      storedBytes: 0,
      quotaBytes: undefined,
      freeBytes: 1e12,
      leaseHolder: this.lease?.holder,
      lastCompleteAtMs: undefined,
      serverTimeMs: Date.now(),
    };
  }

  async configuration(): Promise<Uint8Array> {
    return this.configurationFile;
  }

  async keyDocumentNumbers(): Promise<readonly number[]> {
    return this.keyDocuments.map((_, index) => index + 1);
  }

  async keyDocument(number: number): Promise<Uint8Array> {
    return this.keyDocuments[number - 1] ?? new Uint8Array(0);
  }

  #summary(file: Uint8Array): SnapshotSummary {
    const { head } = decodeSnapshotFile(file);
    return {
      number: head.number,
      sha256: sha256(file),
      receivedAtMs: Date.now(),
      epoch: head.epoch,
      origin: head.origin,
      complete: head.complete,
      fileBytes: file.byteLength,
      pinned: false,
      deletedAfterMs: undefined,
      packsDamaged: head.packs.intersect(this.#lost()),
    };
  }

  async snapshots(): Promise<readonly SnapshotSummary[]> {
    return this.files.map((file) => this.#summary(file));
  }

  async snapshot(number: SnapshotNumber): Promise<Uint8Array> {
    const file = this.files.find((one) => decodeSnapshotFile(one).head.number === number);
    if (file === undefined) throw new FallbackError('NOT_FOUND', `no snapshot ${number}`);
    return file;
  }

  async pack(number: number, span?: ByteSpan): Promise<Uint8Array> {
    const file = this.packs.get(number);
    if (file === undefined) throw new FallbackError('NOT_FOUND', `no pack ${number}`);
    return new Uint8Array(span === undefined ? file : file.subarray(span.start, span.end));
  }

  async packFile(): Promise<undefined> {}

  async *directories(fromPack: number): AsyncGenerator<Uint8Array> {
    this.directoryCalls++;
    for (const number of [...this.packs.keys()].sort((a, b) => a - b)) {
      const file = this.packs.get(number);
      if (number < fromPack || file === undefined) continue;
      yield file.subarray(0, packHeaderBytes + decodePackHeader(file).directoryBytes);
    }
  }

  async lostDirectory(number: number): Promise<Uint8Array | undefined> {
    const file = this.quarantine.get(number);
    return file?.subarray(0, packHeaderBytes + decodePackHeader(file).directoryBytes);
  }

  async close(): Promise<void> {}

  async acquireLease(request: LeaseRequest): Promise<Lease> {
    if (this.lease !== undefined) throw new FallbackError('BUSY', `held by ${this.lease.holder}`);
    if (request.epoch < this.epoch) throw new FallbackError('FENCED', 'fenced');
    this.lease = request;
    return { leaseId: request.leaseId, firstPack: this.lastPack + 1, lifetimeMs: 60_000, status: await this.status() };
  }

  async renewLease(leaseId: LeaseId): Promise<void> {
    if (this.lease?.leaseId !== leaseId) throw new FallbackError('LEASE_LOST', 'lost');
  }

  async releaseLease(leaseId: LeaseId): Promise<void> {
    if (this.lease?.leaseId === leaseId) this.lease = undefined;
  }

  async putPack(leaseId: LeaseId, number: number, parts: readonly Uint8Array[], digest: Uint8Array): Promise<void> {
    this.putPackCalls++;
    await this.renewLease(leaseId);
    await this.onPutPack(number);
    const file = new Uint8Array(Buffer.concat(parts));
    if (!equalBytes(sha256(file), digest)) throw new FallbackError('DIGEST_MISMATCH', 'digest');
    const old = this.packs.get(number);
    const { revision } = decodePackHeader(file);
    if (old !== undefined && revision === 0 && !equalBytes(old, file)) throw new FallbackError('CONFLICT', 'taken');
    this.packs.set(number, file);
    this.lastPack = Math.max(this.lastPack, number);
  }

  async commitSnapshot(leaseId: LeaseId, file: Uint8Array): Promise<SnapshotSummary> {
    await this.renewLease(leaseId);
    const { head } = decodeSnapshotFile(file);
    const missing = head.packs.minus((await this.status()).present);
    if (!missing.isEmpty) throw new FallbackError('PACKS_MISSING', missing.toText());
    const last = this.files.at(-1);
    const previous = last === undefined ? new Uint8Array(32) : sha256(last);
    if (head.number !== this.files.length + 1 || !equalBytes(head.previousSha256, previous)) {
      throw new FallbackError('CONFLICT', 'not the next');
    }
    this.files.push(file);
    return this.#summary(file);
  }

  async putKeyDocument(number: number, file: Uint8Array): Promise<void> {
    this.keyDocuments[number - 1] = file;
  }

  async raiseEpoch(expected: Epoch): Promise<Epoch> {
    if (this.epoch === expected) this.epoch = parseEpoch(expected + 1);
    return this.epoch;
  }
}
