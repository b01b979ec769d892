// A push in few words, for tests of the store.
import { type Epoch, type LeaseId, parseEpoch } from '../../src/format/ids.ts';
import type { RepositoryWriter, SnapshotPointer, SnapshotSummary } from '../../src/store/repository-store.ts';
import { type FakePack, type FakePackOptions, fakePack, fakeSnapshot, newLeaseId } from './fake-objects.ts';

/** Holds a lease, and remembers what was acknowledged. */
export class TestWriter {
  readonly repository: RepositoryWriter;
  readonly leaseId: LeaseId;
  readonly epoch: Epoch;
  readonly packs = new Map<number, FakePack>();
  readonly snapshots = new Map<number, { readonly file: Uint8Array; readonly packs: readonly number[] }>();
  next: number;
  head: SnapshotPointer | undefined;

  private constructor(
    repository: RepositoryWriter,
    leaseId: LeaseId,
    epoch: Epoch,
    next: number,
    head?: SnapshotPointer,
  ) {
    this.repository = repository;
    this.leaseId = leaseId;
    this.epoch = epoch;
    this.next = next;
    this.head = head;
  }

  static async begin(repository: RepositoryWriter, holder = 'test', epoch = parseEpoch(1)): Promise<TestWriter> {
    const leaseId = newLeaseId();
    const lease = await repository.acquireLease({ leaseId, epoch, holder });
    return new TestWriter(repository, leaseId, epoch, lease.firstPack, lease.status.head);
  }

  async put(pack: FakePack): Promise<FakePack> {
    await this.repository.putPack(this.leaseId, pack.number, [pack.file], pack.sha256);
    this.packs.set(pack.number, pack);
    return pack;
  }

  putNew(options: FakePackOptions = {}): Promise<FakePack> {
    return this.put(fakePack(this.repository.repositoryId, this.next++, options));
  }

  async commit(
    packs: readonly number[],
    options: { complete?: boolean; origin?: string } = {},
  ): Promise<SnapshotSummary> {
    const file = fakeSnapshot(this.repository.repositoryId, this.head, packs, { epoch: this.epoch, ...options });
    const summary = await this.repository.commitSnapshot(this.leaseId, file);
    this.head = summary;
    this.snapshots.set(summary.number, { file, packs });
    return summary;
  }

  end(): Promise<void> {
    return this.repository.releaseLease(this.leaseId);
  }
}

/** One whole push: `count` new packs, and a snapshot that needs them and `reused`. */
export async function pushOnce(
  repository: RepositoryWriter,
  count: number,
  reused: readonly number[] = [],
  options: { complete?: boolean; origin?: string } = {},
): Promise<TestWriter> {
  const writer = await TestWriter.begin(repository);
  const numbers: number[] = [];
  for (let index = 0; index < count; index++) numbers.push((await writer.putNew()).number);
  await writer.commit([...reused, ...numbers], options);
  await writer.end();
  return writer;
}
