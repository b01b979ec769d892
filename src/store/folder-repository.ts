// A repository in a store's folder: the contract of repository-store.ts over objects and records. The server uses it, and
// so does any process that can read the folder, at the same time.
import { FallbackError } from '../errors/fallback-error.ts';
import { type Epoch, type LeaseId, parseEpoch, type RepositoryId, type SnapshotNumber } from '../format/ids.ts';
import { commitSnapshot, expectSnapshot } from './commit-snapshot.ts';
import { acquireLease, releaseLease, renewLease } from './leases.ts';
import { openPack, type PackReading, readDirectories, readLostDirectory } from './pack-reader.ts';
import { beginPack, type PackSink } from './pack-writer.ts';
import type { RepositoryContext } from './repository-context.ts';
import type {
  ByteSpan,
  Lease,
  LeaseRequest,
  OpenPackFile,
  RepositoryStatus,
  RepositoryTakeover,
  SnapshotSummary,
} from './repository-store.ts';
import { keyDocumentNumbers, putKeyDocument, readSmallObject } from './small-objects.ts';
import { openSnapshot, readSnapshot, type SnapshotReading } from './snapshot-reader.ts';
import { readSnapshots, readStatus } from './status.ts';

/** The contract, and streams for a server that must not hold a whole pack in memory. */
export class FolderRepository implements RepositoryTakeover {
  /** For retention and scrub, which live beside this class: clients of the contract cannot name them. */
  readonly context: RepositoryContext;

  constructor(context: RepositoryContext) {
    this.context = context;
  }

  get repositoryId(): RepositoryId {
    return this.context.id;
  }

  status(): Promise<RepositoryStatus> {
    return readStatus(this.context);
  }

  configuration(): Promise<Uint8Array> {
    return readSmallObject(this.context, 'configuration', 0);
  }

  keyDocumentNumbers(): Promise<readonly number[]> {
    return keyDocumentNumbers(this.context);
  }

  keyDocument(number: number): Promise<Uint8Array> {
    return readSmallObject(this.context, 'key document', number);
  }

  snapshots(): Promise<readonly SnapshotSummary[]> {
    return readSnapshots(this.context);
  }

  /** @throws NOT_FOUND, DAMAGED, IO. */
  snapshot(number: SnapshotNumber): Promise<Uint8Array> {
    return readSnapshot(this.context, number);
  }

  /** A snapshot as a stream. @throws NOT_FOUND, DAMAGED, IO. */
  openSnapshot(number: SnapshotNumber): Promise<SnapshotReading> {
    return openSnapshot(this.context, number);
  }

  async pack(number: number, span?: ByteSpan): Promise<Uint8Array> {
    const pack = await this.openPack(number);
    try {
      return await pack.read(span ?? { start: 0, end: pack.sizeBytes });
    } finally {
      await pack.close();
    }
  }

  async packFile(number: number): Promise<OpenPackFile | undefined> {
    const pack = await this.openPack(number);
    const { descriptor, sizeBytes } = pack;
    if (descriptor !== undefined) return { descriptor, sizeBytes, close: () => pack.close() };
    await pack.close();
    return undefined;
  }

  /** A pack as a stream. @throws NOT_FOUND, DAMAGED, IO. */
  openPack(number: number): Promise<PackReading> {
    return openPack(this.context, number);
  }

  directories(fromPack: number): AsyncIterable<Uint8Array> {
    return readDirectories(this.context, fromPack);
  }

  lostDirectory(number: number): Promise<Uint8Array | undefined> {
    return readLostDirectory(this.context, number);
  }

  acquireLease(request: LeaseRequest): Promise<Lease> {
    return acquireLease(this.context, request);
  }

  renewLease(leaseId: LeaseId): Promise<void> {
    return renewLease(this.context, leaseId);
  }

  releaseLease(leaseId: LeaseId): Promise<void> {
    return releaseLease(this.context, leaseId);
  }

  /** Receives a pack piece by piece. @throws LEASE_LOST, FENCED, LIMIT_EXCEEDED. */
  beginPack(leaseId: LeaseId, number: number): Promise<PackSink> {
    return beginPack(this.context, leaseId, number);
  }

  async putPack(leaseId: LeaseId, number: number, parts: readonly Uint8Array[], sha256: Uint8Array): Promise<void> {
    const sink = await this.beginPack(leaseId, number);
    try {
      for (const part of parts) await sink.write(part);
      await sink.finish(sha256);
    } finally {
      await sink.abort();
    }
  }

  /** Checks the lease before a snapshot's bytes are taken. @throws LEASE_LOST, FENCED. */
  expectSnapshot(leaseId: LeaseId, sha256: Uint8Array): Promise<void> {
    return expectSnapshot(this.context, leaseId, sha256);
  }

  commitSnapshot(leaseId: LeaseId, file: Uint8Array): Promise<SnapshotSummary> {
    return commitSnapshot(this.context, leaseId, file);
  }

  putKeyDocument(number: number, file: Uint8Array): Promise<void> {
    return putKeyDocument(this.context, number, file);
  }

  /** @throws CONFLICT unless the epoch is `expected`, or was raised from it already. */
  async raiseEpoch(expected: Epoch): Promise<Epoch> {
    // A full disk must not keep this server from taking over.
    await this.context.ballast?.releaseWhenFull();
    return await this.context.write(async (change) => {
      const { document } = await this.context.state(change);
      const raised = parseEpoch(expected + 1);
      if (document.epoch === raised) return raised;
      if (document.epoch !== expected) {
        throw new FallbackError('CONFLICT', `The repository is in epoch ${document.epoch}, not in ${expected}.`);
      }
      await this.context.changeDocument(change, { epoch: raised });
      const lease = await change.lease(this.context.id);
      if (lease !== undefined) await change.putLease(this.context.id, { ...lease, fenced: true });
      await change.addAudit({
        atMs: this.context.environment.nowMs(),
        repositoryId: this.context.id,
        event: 'epoch raised',
        text: `from ${expected} to ${raised}`,
      });
      return raised;
    });
  }

  /** Nothing to end: the store belongs to whoever opened it. */
  async close(): Promise<void> {}
}
