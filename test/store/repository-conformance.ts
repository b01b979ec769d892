// What every RepositoryTakeover must do, in a folder or over HTTPS. It uses the contract and nothing else.
import assert from 'node:assert/strict';
import { readSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { ErrorCode } from '../../src/errors/error-codes.ts';
import { isFallbackError } from '../../src/errors/fallback-error.ts';
import { type LeaseId, parseEpoch, parseSnapshotNumber } from '../../src/format/ids.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import type { Lease, RepositoryReader, RepositoryTakeover, SnapshotPointer } from '../../src/store/repository-store.ts';
import {
  type FakePack,
  fakeKeyDocument,
  fakePack,
  fakeSnapshot,
  newLeaseId,
  newRepositoryId,
} from '../support/fake-objects.ts';

/** What a suite runs against; a new one for every test. */
export interface RepositoryFixture {
  /** A new, empty repository with a configuration and key document 1. */
  readonly repository: RepositoryTakeover;
  readonly configuration: Uint8Array;
  readonly keyDocument: Uint8Array;
  /** A second way to the same repository, as another process or machine has it. */
  readonly other: RepositoryTakeover;
  /** Lets time pass for the server, in milliseconds: negative goes back. Undefined when it cannot. */
  readonly advanceMs?: (ms: number) => void;
  dispose(): Promise<void>;
}

export function rejectsWith(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  return assert.rejects(promise, (error: unknown) => {
    if (isFallbackError(error, code)) return true;
    throw new Error(`expected ${code}`, { cause: error });
  });
}

const epoch1 = parseEpoch(1);

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const bytes of stream) all.push(new Uint8Array(bytes));
  return all;
}

/** A writer under a lease, in few words. */
class Push {
  readonly repository: RepositoryTakeover;
  readonly lease: Lease;
  next: number;
  head: SnapshotPointer | undefined;

  private constructor(repository: RepositoryTakeover, lease: Lease) {
    this.repository = repository;
    this.lease = lease;
    this.next = lease.firstPack;
    this.head = lease.status.head;
  }

  static async begin(repository: RepositoryTakeover, holder = 'main: push', epoch = epoch1): Promise<Push> {
    return new Push(repository, await repository.acquireLease({ leaseId: newLeaseId(), epoch, holder }));
  }

  get leaseId(): LeaseId {
    return this.lease.leaseId;
  }

  async put(pack: FakePack): Promise<FakePack> {
    const cut = Math.floor(pack.file.byteLength / 3);
    await this.repository.putPack(
      this.leaseId,
      pack.number,
      [pack.file.subarray(0, cut), pack.file.subarray(cut)],
      pack.sha256,
    );
    return pack;
  }

  putNew(bodyBytes = 1000): Promise<FakePack> {
    return this.put(fakePack(this.repository.repositoryId, this.next++, { bodyBytes }));
  }

  async commit(packs: Iterable<number>, complete = true): Promise<Uint8Array> {
    const file = fakeSnapshot(this.repository.repositoryId, this.head, packs, { complete });
    this.head = await this.repository.commitSnapshot(this.leaseId, file);
    return file;
  }
}

/** A pack's file, where there is one, begins with the bytes that `pack` gives. */
async function comparePackFile(reader: RepositoryReader, number: number, expected: Uint8Array): Promise<void> {
  const file = await reader.packFile(number);
  if (file === undefined) return;
  try {
    assert.equal(file.sizeBytes, expected.byteLength);
    const bytes = Buffer.alloc(file.sizeBytes);
    assert.equal(readSync(file.descriptor, bytes, 0, bytes.byteLength, 0), bytes.byteLength);
    assert.deepEqual(bytes, Buffer.from(expected));
  } finally {
    await file.close();
  }
}

function describeEmpty(get: () => RepositoryFixture): void {
  test('a new repository is empty and gives its configuration and key document', async () => {
    const { repository, configuration, keyDocument } = get();
    const status = await repository.status();
    assert.equal(status.repositoryId, repository.repositoryId);
    assert.equal(status.epoch, 1);
    assert.equal(status.head, undefined);
    assert.equal(status.lastPack, 0);
    assert.ok(status.present.isEmpty && status.lost.isEmpty && status.holed.isEmpty);
    assert.equal(status.leaseHolder, undefined);
    assert.equal(status.lastCompleteAtMs, undefined);
    assert.deepEqual(Buffer.from(await repository.configuration()), Buffer.from(configuration));
    assert.deepEqual(await repository.keyDocumentNumbers(), [1]);
    assert.deepEqual(Buffer.from(await repository.keyDocument(1)), Buffer.from(keyDocument));
    assert.deepEqual(await repository.snapshots(), []);
    assert.deepEqual(await collect(repository.directories(1)), []);
  });

  test('what is not there is NOT_FOUND', async () => {
    const { repository } = get();
    await rejectsWith(repository.pack(1), 'NOT_FOUND');
    await rejectsWith(
      repository.packFile(1).then(() => repository.pack(1)),
      'NOT_FOUND',
    );
    await rejectsWith(repository.snapshot(parseSnapshotNumber(1)), 'NOT_FOUND');
    await rejectsWith(repository.keyDocument(2), 'NOT_FOUND');
    assert.equal(await repository.lostDirectory(1), undefined);
  });

  test('key documents are added in order, and never replaced', async () => {
    const { repository } = get();
    const second = fakeKeyDocument(repository.repositoryId, 2);
    await repository.putKeyDocument(2, second);
    await repository.putKeyDocument(2, second);
    await rejectsWith(repository.putKeyDocument(2, fakeKeyDocument(repository.repositoryId, 2)), 'CONFLICT');
    await rejectsWith(repository.putKeyDocument(4, fakeKeyDocument(repository.repositoryId, 4)), 'CONFLICT');
    await rejectsWith(repository.putKeyDocument(3, fakeKeyDocument(repository.repositoryId, 5)), 'FORMAT_INVALID');
    await rejectsWith(repository.putKeyDocument(3, fakeKeyDocument(newRepositoryId(), 3)), 'FORMAT_INVALID');
    assert.deepEqual(await repository.keyDocumentNumbers(), [1, 2]);
    assert.deepEqual(Buffer.from(await repository.keyDocument(2)), Buffer.from(second));
  });
}

function describePacks(get: () => RepositoryFixture): void {
  test('a pack comes back whole, in spans, and with its directory', async () => {
    const { repository, other } = get();
    const push = await Push.begin(repository);
    assert.equal(push.lease.firstPack, 1);
    const packs: FakePack[] = [];
    for (let count = 0; count < 5; count++) packs.push(await push.putNew(1000 + count));
    const large = await push.putNew(3_000_000);
    for (const reader of [repository, other]) {
      assert.deepEqual(Buffer.from(await reader.pack(3)), Buffer.from(packs[2]?.file ?? []));
      assert.deepEqual(Buffer.from(await reader.pack(6)), Buffer.from(large.file));
      await comparePackFile(reader, 6, large.file);
      const span = await reader.pack(6, { start: 100_000, end: 900_001 });
      assert.deepEqual(Buffer.from(span), Buffer.from(large.file.subarray(100_000, 900_001)));
      await rejectsWith(reader.pack(6, { start: 10, end: large.file.byteLength + 1 }), 'LIMIT_EXCEEDED');
      const directories = await collect(reader.directories(1));
      assert.deepEqual(
        directories.map((bytes) => Buffer.from(bytes)),
        [...packs, large].map((pack) => Buffer.from(pack.prefix)),
      );
      assert.equal((await collect(reader.directories(5))).length, 2);
      const status = await reader.status();
      assert.equal(status.lastPack, 6);
      assert.deepEqual(status.present.ranges, [{ first: 1, last: 6 }]);
      assert.ok(status.storedBytes > 3_000_000);
    }
  });

  test('the same pack again is accepted; other bytes under its number are a conflict', async () => {
    const { repository } = get();
    const push = await Push.begin(repository);
    const pack = await push.putNew();
    await push.put(pack);
    await rejectsWith(push.put(fakePack(repository.repositoryId, pack.number)), 'CONFLICT');
    assert.deepEqual(Buffer.from(await repository.pack(pack.number)), Buffer.from(pack.file));
    await repository.releaseLease(push.leaseId);
    await (await Push.begin(repository)).put(pack);
  });

  test('many packs at once, the same one twice among them', async () => {
    const { repository } = get();
    const push = await Push.begin(repository);
    const packs = Array.from({ length: 12 }, (_, index) => fakePack(repository.repositoryId, index + 1));
    await Promise.all([...packs, ...packs].map((pack) => push.put(pack)));
    assert.deepEqual((await repository.status()).present.ranges, [{ first: 1, last: 12 }]);
  });

  test('damaged, foreign and misnumbered packs are refused and leave nothing', async () => {
    const { repository } = get();
    const push = await Push.begin(repository);
    const id = repository.repositoryId;
    const pack = fakePack(id, 1);
    const flipped = new Uint8Array(pack.file);
    flipped[500] = (flipped[500] ?? 0) ^ 1;
    await rejectsWith(repository.putPack(push.leaseId, 1, [flipped], pack.sha256), 'DIGEST_MISMATCH');
    const cut = pack.file.subarray(0, -1);
    await rejectsWith(repository.putPack(push.leaseId, 1, [cut], pack.sha256), 'DIGEST_MISMATCH');
    const foreign = fakePack(newRepositoryId(), 1);
    await rejectsWith(repository.putPack(push.leaseId, 1, [foreign.file], foreign.sha256), 'FORMAT_INVALID');
    await rejectsWith(repository.putPack(push.leaseId, 2, [pack.file], pack.sha256), 'FORMAT_INVALID');
    const healing = fakePack(id, 1, { revision: 1 });
    await rejectsWith(repository.putPack(push.leaseId, 1, [healing.file], healing.sha256), 'CONFLICT');
    const far = fakePack(id, 1_000_000);
    await rejectsWith(repository.putPack(push.leaseId, 1_000_000, [far.file], far.sha256), 'CONFLICT');
    assert.ok((await repository.status()).present.isEmpty);
    await push.put(pack);
  });
}

function describeLeases(get: () => RepositoryFixture): void {
  test('one writer at a time: others are told who and since when', async () => {
    const { repository, other, advanceMs } = get();
    const push = await Push.begin(repository, 'main: push');
    advanceMs?.(5_000);
    await assert.rejects(Push.begin(other, 'fallback: push'), (error: unknown) => {
      assert.ok(isFallbackError(error, 'BUSY'));
      assert.match(error.message, /main: push/);
      assert.equal(error.details['holder'], 'main: push');
      return true;
    });
    assert.equal((await other.status()).leaseHolder, 'main: push');
    await repository.releaseLease(push.leaseId);
    await repository.releaseLease(push.leaseId);
    await Push.begin(other, 'fallback: push');
  });

  test('without the lease nothing is taken', async () => {
    const { repository } = get();
    const stranger = newLeaseId();
    const pack = fakePack(repository.repositoryId, 1);
    await rejectsWith(repository.putPack(stranger, 1, [pack.file], pack.sha256), 'LEASE_LOST');
    await rejectsWith(repository.renewLease(stranger), 'LEASE_LOST');
    const file = fakeSnapshot(repository.repositoryId, undefined, []);
    await rejectsWith(repository.commitSnapshot(stranger, file), 'LEASE_LOST');
  });

  test('the same holder takes its lease over at once; the old one is lost', async () => {
    const { repository } = get();
    const first = await Push.begin(repository);
    await first.putNew();
    const second = await Push.begin(repository);
    assert.equal(second.lease.firstPack, 2);
    await rejectsWith(first.putNew(), 'LEASE_LOST');
    await second.putNew();
  });

  test('asking again under the same lease id gives the same lease', async () => {
    const { repository } = get();
    const leaseId = newLeaseId();
    const request = { leaseId, epoch: epoch1, holder: 'main' };
    const first = await repository.acquireLease(request);
    const again = await repository.acquireLease(request);
    assert.equal(again.firstPack, first.firstPack);
    await repository.renewLease(leaseId);
  });

  test('a lease ends by itself, and lives on by use', async (context) => {
    const { repository, other, advanceMs } = get();
    if (advanceMs === undefined) return context.skip('this server’s clock cannot be moved');
    const push = await Push.begin(repository, 'main');
    for (let count = 0; count < 3; count++) {
      advanceMs(push.lease.lifetimeMs * 0.6);
      await push.putNew();
    }
    await rejectsWith(Push.begin(other, 'other'), 'BUSY');
    advanceMs(push.lease.lifetimeMs + 1);
    const second = await Push.begin(other, 'other');
    assert.equal(second.lease.firstPack, 4);
    await rejectsWith(push.putNew(), 'LEASE_LOST');
  });

  test('a writer that slept longer than its lease goes on when nobody came', async (context) => {
    const { repository, advanceMs } = get();
    if (advanceMs === undefined) return context.skip('this server’s clock cannot be moved');
    const push = await Push.begin(repository);
    advanceMs(push.lease.lifetimeMs * 50);
    await push.putNew();
    await push.commit([1]);
  });

  test('a clock that goes back keeps a dead lease alive for one lifetime at most', async (context) => {
    const { repository, other, advanceMs } = get();
    if (advanceMs === undefined) return context.skip('this server’s clock cannot be moved');
    const push = await Push.begin(repository, 'main');
    advanceMs(-30 * 24 * 3_600_000);
    await rejectsWith(Push.begin(other, 'other'), 'BUSY');
    advanceMs(push.lease.lifetimeMs + 1);
    await Push.begin(other, 'other');
  });
}

function describeCommits(get: () => RepositoryFixture): void {
  test('snapshots are published, listed and read', async () => {
    const { repository, other } = get();
    const push = await Push.begin(repository);
    await push.putNew();
    await push.putNew();
    const first = await push.commit([1, 2]);
    await push.putNew();
    const second = await push.commit([2, 3], false);
    for (const reader of [repository, other]) {
      const list = await reader.snapshots();
      assert.deepEqual(
        list.map((one) => [one.number, one.complete, one.origin, one.epoch, one.pinned, one.packsDamaged.isEmpty]),
        [
          [1, true, 'main', 1, false, true],
          [2, false, 'main', 1, false, true],
        ],
      );
      assert.equal(list[0]?.fileBytes, first.byteLength);
      assert.equal(list[0]?.deletedAfterMs, undefined);
      assert.deepEqual(Buffer.from(await reader.snapshot(parseSnapshotNumber(1))), Buffer.from(first));
      assert.deepEqual(Buffer.from(await reader.snapshot(parseSnapshotNumber(2))), Buffer.from(second));
      const status = await reader.status();
      assert.equal(status.head?.number, 2);
      assert.deepEqual(Buffer.from(status.head?.sha256 ?? []), Buffer.from(push.head?.sha256 ?? []));
      assert.equal(status.lastCompleteAtMs, list[0]?.receivedAtMs);
    }
  });

  test('the same snapshot again is accepted, also under a new lease or none', async () => {
    const { repository } = get();
    const push = await Push.begin(repository);
    const file = await push.commit([]);
    const again = await repository.commitSnapshot(push.leaseId, file);
    assert.equal(again.number, 1);
    await repository.releaseLease(push.leaseId);
    assert.equal((await repository.commitSnapshot(newLeaseId(), file)).number, 1);
    assert.equal((await repository.snapshots()).length, 1);
  });

  test('a snapshot that names a missing pack is refused, with the missing ranges', async () => {
    const { repository } = get();
    const push = await Push.begin(repository);
    await push.putNew();
    const file = fakeSnapshot(repository.repositoryId, undefined, [1, 2, 3, 7]);
    await assert.rejects(repository.commitSnapshot(push.leaseId, file), (error: unknown) => {
      assert.ok(isFallbackError(error, 'PACKS_MISSING'));
      assert.deepEqual(error.details['missing'], [
        { first: 2, last: 3 },
        { first: 7, last: 7 },
      ]);
      return true;
    });
    assert.equal((await repository.status()).head, undefined);
    await push.commit([1]);
  });

  test('a snapshot must follow the head', async () => {
    const { repository } = get();
    const push = await Push.begin(repository);
    await push.commit([]);
    const id = repository.repositoryId;
    const attempt = (previous: SnapshotPointer | undefined): Promise<unknown> =>
      repository.commitSnapshot(push.leaseId, fakeSnapshot(id, previous, []));
    await rejectsWith(attempt(undefined), 'CONFLICT');
    await rejectsWith(attempt({ number: parseSnapshotNumber(2), sha256: new Uint8Array(32) }), 'CONFLICT');
    await rejectsWith(attempt({ number: parseSnapshotNumber(1), sha256: new Uint8Array(32) }), 'CONFLICT');
    const foreign = fakeSnapshot(newRepositoryId(), push.head, []);
    await rejectsWith(repository.commitSnapshot(push.leaseId, foreign), 'FORMAT_INVALID');
    await rejectsWith(repository.commitSnapshot(push.leaseId, Buffer.from('FBSN')), 'FORMAT_INVALID');
    await push.commit([]);
  });

  test('two commits at once: one wins, the chain stays one', async () => {
    const { repository, other } = get();
    const push = await Push.begin(repository);
    const files = [0, 1].map(() => fakeSnapshot(repository.repositoryId, undefined, []));
    const outcomes = await Promise.allSettled(
      files.map((file, index) => (index === 0 ? repository : other).commitSnapshot(push.leaseId, file)),
    );
    assert.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
    const lost = outcomes.find((outcome) => outcome.status === 'rejected');
    assert.ok(isFallbackError(lost?.reason, 'CONFLICT'));
    assert.equal((await repository.snapshots()).length, 1);
  });

  test('a pack that another process stored can be named at once', async () => {
    const { repository, other } = get();
    const push = await Push.begin(repository);
    await push.putNew();
    const pack = fakePack(repository.repositoryId, 2);
    await other.putPack(push.leaseId, 2, [pack.file], pack.sha256);
    assert.deepEqual((await repository.status()).present, PackRanges.from([{ first: 1, last: 2 }]));
    await push.commit([1, 2]);
    assert.equal((await other.status()).head?.number, 1);
  });
}

function describeEpochs(get: () => RepositoryFixture): void {
  test('a raised epoch fences the old writer off', async () => {
    const { repository, other } = get();
    const push = await Push.begin(repository);
    await push.putNew();
    assert.equal(await other.raiseEpoch(epoch1), 2);
    assert.equal(await other.raiseEpoch(epoch1), 2);
    await rejectsWith(push.putNew(), 'FENCED');
    const file = fakeSnapshot(repository.repositoryId, undefined, [1]);
    await rejectsWith(repository.commitSnapshot(push.leaseId, file), 'FENCED');
    await rejectsWith(Push.begin(repository), 'FENCED');
    await rejectsWith(Push.begin(repository, 'main', parseEpoch(3)), 'CONFLICT');
    await rejectsWith(other.raiseEpoch(parseEpoch(7)), 'CONFLICT');
    const taken = await Push.begin(other, 'fallback', parseEpoch(2));
    await rejectsWith(repository.commitSnapshot(taken.leaseId, file), 'FENCED');
    const next = fakeSnapshot(repository.repositoryId, undefined, [1], { epoch: parseEpoch(2), origin: 'fallback' });
    assert.equal((await other.commitSnapshot(taken.leaseId, next)).epoch, 2);
  });
}

/** Runs the suite against one implementation. @param make a new repository; disposed of after each test. */
export function describeRepository(name: string, make: () => Promise<RepositoryFixture>): void {
  describe(`repository: ${name}`, () => {
    let fixture: RepositoryFixture | undefined;
    const get = (): RepositoryFixture => {
      assert.ok(fixture !== undefined);
      return fixture;
    };
    beforeEach(async () => {
      fixture = await make();
    });
    afterEach(async () => {
      await fixture?.dispose();
      fixture = undefined;
    });
    describeEmpty(get);
    describePacks(get);
    describeLeases(get);
    describeCommits(get);
    describeEpochs(get);
  });
}
