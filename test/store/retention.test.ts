import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { parseSnapshotNumber } from '../../src/format/ids.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import { applyRetention, pinSnapshot, undeleteSnapshot, unpinSnapshot } from '../../src/store/retention.ts';
import { dayMs, type RetentionPolicy } from '../../src/store/retention-policy.ts';
import { scrubRepository } from '../../src/store/scrub.ts';
import { diskBytes } from '../../src/store/stored-object.ts';
import { fakePack } from '../support/fake-objects.ts';
import { TemporaryStore } from '../support/temporary-store.ts';
import { pushOnce, TestWriter } from '../support/writer.ts';
import { packOf, snapshotOf } from './metadata-conformance.ts';
import { rejectsWith } from './repository-conformance.ts';

let temporary: TemporaryStore;
const policy: RetentionPolicy = { keepDays: 3, daily: 0, weekly: 0, monthly: 0, floor: 2, graceDays: 4 };

const passDays = (days: number): void => {
  temporary.environment.timeMs += days * dayMs;
};

async function filesIn(...parts: string[]): Promise<string[]> {
  return await readdir(join(temporary.folder, 'repositories', temporary.paired.id, ...parts));
}

/** Pushes one snapshot a day: each with a pack of its own, all with pack 1. */
async function pushNights(count: number): Promise<void> {
  const repository = await temporary.repository();
  for (let night = 0; night < count; night++) {
    await pushOnce(repository, 1, night === 0 ? [] : [1]);
    passDays(1);
  }
}

beforeEach(async () => {
  temporary = await TemporaryStore.create();
  await temporary.store.changeSettings(temporary.paired.id, { quotaBytes: undefined, retention: policy });
});
afterEach(() => temporary.dispose());

describe('retention', () => {
  test('drops, waits, deletes; what others need stays; space is freed', async () => {
    await pushNights(8);
    const repository = await temporary.repository();
    const dry = await applyRetention(repository, { dryRun: true });
    const first = await applyRetention(repository);
    assert.deepEqual({ ...dry, dryRun: false, atMs: first.atMs }, first);
    assert.equal(first.paused, undefined);
    assert.deepEqual(
      first.dropped.map((one) => one.number),
      [1, 2, 3, 4, 5, 6],
    );
    assert.deepEqual(
      first.kept.map((one) => [one.number, one.rules]),
      [
        [7, ['newest', 'recent']],
        [8, ['newest', 'recent']],
      ],
    );
    assert.equal(first.condemnedPacks.toText(), '2-6');
    assert.deepEqual([first.deletedSnapshots, first.bytesFreed], [[], 0]);
    const status = await repository.status();
    assert.equal(status.present.toText(), '1, 7-8');
    // In the grace time everything can still be read, and nothing new may name it.
    assert.equal((await repository.snapshots()).length, 8);
    assert.ok(((await repository.snapshots())[0]?.deletedAfterMs ?? 0) > temporary.environment.timeMs);
    await repository.pack(3);
    const writer = await TestWriter.begin(repository);
    await rejectsWith(writer.commit([3]), 'PACKS_MISSING');
    await writer.end();

    passDays(3.9);
    assert.deepEqual((await applyRetention(repository)).deletedSnapshots, []);
    passDays(0.2);
    const before = (await repository.status()).storedBytes;
    const last = await applyRetention(repository);
    assert.deepEqual(last.deletedSnapshots, [1, 2, 3, 4, 5, 6]);
    assert.equal(last.deletedPacks.toText(), '2-6');
    assert.equal(last.bytesFreed, before - (await repository.status()).storedBytes);
    assert.ok(last.bytesFreed > 5 * 1_100);
    assert.deepEqual(
      (await repository.snapshots()).map((one) => one.number),
      [7, 8],
    );
    assert.deepEqual(await filesIn('snapshots'), ['0000000007.snapshot', '0000000008.snapshot']);
    assert.equal((await filesIn('packs', '000000000')).length, 3);
    await rejectsWith(repository.pack(3), 'NOT_FOUND');
    await rejectsWith(repository.snapshot(parseSnapshotNumber(2)), 'NOT_FOUND');
    assert.deepEqual((await scrubRepository(repository)).damage, []);
    // Numbers of deleted packs and snapshots are never given again.
    assert.equal((await pushOnce(repository, 1, [1])).next, 10);
    await temporary.reopen();
    assert.equal((await (await temporary.repository()).status()).lastPack, 9);
  });

  test('a second run at once changes nothing', async () => {
    await pushNights(6);
    const repository = await temporary.repository();
    const first = await applyRetention(repository);
    assert.ok(first.dropped.length > 0);
    const second = await applyRetention(repository);
    assert.deepEqual([second.dropped, second.condemnedPacks.size], [[], 0]);
    assert.deepEqual(second.waiting, first.dropped);
  });

  test('pins hold; what was dropped can be taken back', async () => {
    await pushNights(8);
    const repository = await temporary.repository();
    await pinSnapshot(repository, 2);
    await applyRetention(repository);
    assert.deepEqual(
      (await repository.snapshots()).filter((one) => one.pinned).map((one) => one.number),
      [2],
    );
    assert.ok((await repository.status()).present.has(2));
    await undeleteSnapshot(repository, 3);
    await pinSnapshot(repository, 4);
    const present = (await repository.status()).present;
    assert.ok(present.has(3) && present.has(4) && !present.has(5));
    await unpinSnapshot(repository, 2);
    const next = await applyRetention(repository);
    assert.deepEqual(
      next.dropped.map((one) => one.number),
      [2, 3],
    );
    await rejectsWith(pinSnapshot(repository, 99), 'NOT_FOUND');
    await temporary.reopen();
    const reopened = await (await temporary.repository()).snapshots();
    assert.deepEqual(
      reopened.filter((one) => one.pinned).map((one) => one.number),
      [4],
    );
  });

  test('a wider policy takes back what an earlier run dropped', async () => {
    await pushNights(8);
    const repository = await temporary.repository();
    await applyRetention(repository);
    const report = await applyRetention(repository, { policy: { ...policy, keepDays: 365 } });
    assert.deepEqual(report.takenBack, [1, 2, 3, 4, 5, 6]);
    assert.equal((await repository.status()).present.toText(), '1-8');
  });

  test('a live lease stops everything', async () => {
    await pushNights(8);
    const repository = await temporary.repository();
    const writer = await TestWriter.begin(repository);
    const report = await applyRetention(repository);
    assert.equal(report.paused?.reason, 'push');
    assert.equal((await repository.status()).present.toText(), '1-8');
    await writer.commit([1, 2, 3]);
    temporary.environment.timeMs += 121_000;
    assert.equal((await applyRetention(repository)).paused, undefined);
    // Its lease was ended with the first removal: it cannot name what is gone.
    await rejectsWith(writer.commit([4]), 'LEASE_LOST');
  });

  test('packs that no snapshot ever named go after a week, not before', async () => {
    const repository = await temporary.repository();
    const writer = await TestWriter.begin(repository);
    await writer.putNew();
    await writer.putNew();
    await writer.end();
    await pushOnce(repository, 1);
    passDays(5);
    assert.ok((await applyRetention(repository)).condemnedPacks.isEmpty);
    passDays(2.1);
    assert.equal((await applyRetention(repository)).condemnedPacks.toText(), '1-2');
    passDays(4);
    assert.equal((await applyRetention(repository)).deletedPacks.toText(), '1-2');
  });

  test('a clock that went back or leapt removes nothing, and says so', async () => {
    await pushNights(8);
    const repository = await temporary.repository();
    passDays(-20);
    const back = await applyRetention(repository);
    assert.equal(back.paused?.reason, 'clock');
    assert.match(back.paused?.text ?? '', /went back/);
    passDays(20);
    // It is right again, but it jumped: a week of steady time is asked for.
    assert.equal((await applyRetention(repository)).paused?.reason, 'clock');
    assert.equal((await applyRetention(repository, { acceptClock: true })).paused, undefined);
    passDays(3650);
    const leapt = await applyRetention(repository);
    assert.equal(leapt.paused?.reason, 'clock');
    assert.deepEqual(leapt.deletedSnapshots, []);
    passDays(4);
    assert.equal((await applyRetention(repository)).paused?.reason, 'clock');
    passDays(4);
    assert.equal((await applyRetention(repository)).paused, undefined);
    assert.ok((await repository.snapshots()).length >= policy.floor);
  });

  test('a policy without rules removes nothing', async () => {
    const repository = await temporary.repository();
    const empty = { ...policy, keepDays: 0 };
    await rejectsWith(applyRetention(repository, { policy: empty }), 'RETENTION_EMPTY');
    await rejectsWith(
      temporary.store.changeSettings(temporary.paired.id, { quotaBytes: undefined, retention: empty }),
      'RETENTION_EMPTY',
    );
  });

  test('thousands of packs in short ranges, and hundreds of snapshots, go in several steps', async () => {
    const repository = await temporary.repository();
    const { context } = repository;
    const receivedAtMs = temporary.environment.timeMs;
    await context.write(async (change) => {
      for (let number = 1; number <= 12_000; number++)
        await change.putPack(context.id, packOf(number, { receivedAtMs }));
      for (let number = 1; number <= 250; number++) {
        // Every third pack is the newest snapshots' too.
        const all = Array.from({ length: 12_000 }, (_, index) => index + 1);
        const needed = all.filter((pack) => (number > 248 ? pack % 3 === 0 : pack % 250 === number || pack % 3 === 0));
        const packs = PackRanges.fromNumbers(needed);
        await change.putSnapshot(context.id, snapshotOf(number, { receivedAtMs, complete: true, packs }));
      }
    });
    passDays(5);
    const eager = { policy: { ...policy, graceDays: 0 }, acceptClock: true };
    const before = (await repository.status()).storedBytes;
    const first = await applyRetention(repository, eager);
    const second = await applyRetention(repository, eager);
    assert.equal(first.deletedSnapshots.length, 248);
    assert.deepEqual([first.deletedPacks.size, second.deletedPacks.size], [0, first.condemnedPacks.size]);
    const after = await repository.status();
    assert.ok([...after.present.numbers()].every((pack) => pack % 3 === 0 || pack % 250 === 0 || pack % 250 === 249));
    assert.equal(after.present.size, 12_000 - second.deletedPacks.size);
    assert.equal(before - after.storedBytes, first.bytesFreed + second.bytesFreed);
    const left = await context.read((view) => view.packs(context.id, 1, 12_001));
    assert.equal(
      after.storedBytes,
      left.reduce((sum, { fileBytes }) => sum + diskBytes(fileBytes), 0) + 2 * diskBytes(500),
    );
    assert.deepEqual((await applyRetention(repository, eager)).deletedPacks, PackRanges.empty);
  });

  test('retention and pushes at once, from two openings of the folder', async () => {
    await pushNights(10);
    const repository = await temporary.repository();
    const second = await temporary.open();
    const other = await second.repository(temporary.paired.id);
    try {
      for (let round = 0; round < 8; round++) {
        const [pushed, report] = await Promise.allSettled([pushOnce(repository, 3, [1]), applyRetention(other)]);
        assert.equal(pushed.status, 'fulfilled');
        assert.equal(report.status, 'fulfilled');
        passDays(1);
        const status = await repository.status();
        for (const snapshot of await repository.snapshots()) {
          if (snapshot.deletedAfterMs !== undefined) continue;
          const record = await repository.context.read((view) =>
            view.snapshot(repository.repositoryId, snapshot.number),
          );
          assert.ok(record?.packs.minus(status.present).isEmpty, `snapshot ${snapshot.number}`);
        }
      }
      assert.deepEqual((await scrubRepository(repository)).damage, []);
    } finally {
      await second.close();
    }
  });

  test('a snapshot that is pinned while a run deletes stays', async () => {
    await pushNights(8);
    const repository = await temporary.repository();
    const { dropped } = await applyRetention(repository);
    await pushNights(6);
    const [first, second] = dropped.map(({ number }) => number);
    assert.ok(first !== undefined && second !== undefined);
    const { context } = repository;
    const write = context.write.bind(context);
    let writes = 0;
    // The first change plans, the second marks.
    const writeOrPin = async (...args: Parameters<typeof write>): Promise<unknown> => {
      if (++writes === 2) await pinSnapshot(repository, second);
      return await write(...args);
    };
    Object.assign(context, { write: writeOrPin });
    const report = await applyRetention(repository);
    Reflect.deleteProperty(context, 'write');
    assert.ok(report.deletedSnapshots.includes(first) && !report.deletedSnapshots.includes(second));
    assert.ok((await repository.snapshot(parseSnapshotNumber(second))).byteLength > 0);
    assert.deepEqual((await scrubRepository(repository)).damage, []);
    assert.ok((await repository.snapshots()).every(({ packsDamaged }) => packsDamaged.isEmpty));
  });

  test('a lost pack is forgotten after the snapshots that name it, not before a push makes the run pause', async () => {
    await pushNights(8);
    await rm(join(temporary.folder, 'repositories', temporary.paired.id, 'packs', '000000000', '000000000002.pack'));
    const repository = await temporary.repository();
    await scrubRepository(repository);
    await applyRetention(repository);
    await pushNights(6);
    const { context } = repository;
    const write = context.write.bind(context);
    let writes = 0;
    let writer: TestWriter | undefined;
    // The first change plans, the second marks snapshots.
    const writeOrPush = async (...args: Parameters<typeof write>): Promise<unknown> => {
      if (++writes === 2) writer = await TestWriter.begin(repository);
      return await write(...args);
    };
    Object.assign(context, { write: writeOrPush });
    const report = await applyRetention(repository);
    Reflect.deleteProperty(context, 'write');
    assert.equal(report.paused?.reason, 'push');
    assert.equal(report.forgottenPacks.toText(), '2');
    await pinSnapshot(repository, 2);
    const pinned = (await repository.snapshots()).find(({ number }) => number === 2);
    assert.equal(pinned?.packsDamaged.toText(), '2');
    await writer?.put(fakePack(repository.repositoryId, 2, { revision: (await repository.status()).healRevision }));
    await writer?.end();
    assert.ok((await repository.status()).lost.isEmpty);
    assert.ok((await repository.snapshots()).every(({ packsDamaged }) => packsDamaged.isEmpty));
  });

  test('a lost pack that no snapshot names any more is forgotten', async () => {
    await pushNights(8);
    await rm(join(temporary.folder, 'repositories', temporary.paired.id, 'packs', '000000000', '000000000002.pack'));
    const repository = await temporary.repository();
    await scrubRepository(repository);
    await applyRetention(repository);
    assert.equal((await repository.status()).lost.toText(), '2');
    await pushNights(6);
    const report = await applyRetention(repository);
    assert.deepEqual([report.paused, report.forgottenPacks.toText()], [undefined, '2']);
    assert.ok((await repository.status()).lost.isEmpty);
  });
});
