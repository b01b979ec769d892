import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { isFallbackError } from '../../src/errors/fallback-error.ts';
import { parseSnapshotNumber } from '../../src/format/ids.ts';
import { scrubRepository } from '../../src/store/scrub.ts';
import { fakePack } from '../support/fake-objects.ts';
import { TemporaryStore } from '../support/temporary-store.ts';
import { pushOnce, TestWriter } from '../support/writer.ts';
import { rejectsWith } from './repository-conformance.ts';

let temporary: TemporaryStore;
const path = (...parts: string[]): string => join(temporary.folder, 'repositories', temporary.paired.id, ...parts);
const packPath = (number: number, revision = ''): string =>
  path('packs', '000000000', `${String(number).padStart(12, '0')}${revision}.pack`);

/** Flips one bit in place; returns the file as it was. */
async function flip(file: string, bit: number): Promise<Uint8Array> {
  const before = await readFile(file);
  flipOnly(file, before, bit);
  return before;
}

function flipOnly(file: string, before: Uint8Array, bit: number): void {
  const handle = openSync(file, 'r+');
  writeSync(handle, Uint8Array.of((before[bit >> 3] ?? 0) ^ (1 << (bit & 7))), 0, 1, bit >> 3);
  closeSync(handle);
}

function restore(file: string, whole: Uint8Array, bit: number): void {
  const handle = openSync(file, 'r+');
  writeSync(handle, whole, bit >> 3, 1, bit >> 3);
  closeSync(handle);
}

beforeEach(async () => {
  temporary = await TemporaryStore.create();
});
afterEach(() => temporary.dispose());

describe('scrub', () => {
  test('a healthy repository: everything is read, nothing is found', async () => {
    const repository = await temporary.repository();
    await pushOnce(repository, 3);
    const report = await scrubRepository(repository);
    assert.deepEqual([report.damage, report.strangers], [[], []]);
    // repository.json, configuration, key document, three packs, one snapshot
    assert.equal(report.objectsChecked, 7);
    assert.ok(report.finishedAtMs !== undefined && report.bytesChecked > 3_000);
  });

  test('a damaged pack is named, moved aside and lost; the snapshots that need it are named; a push heals it', async () => {
    const repository = await temporary.repository();
    await pushOnce(repository, 3);
    await pushOnce(repository, 1, [1, 2]);
    await flip(packPath(3), 8 * 300);
    const before = await repository.pack(3);
    const report = await scrubRepository(repository);
    assert.equal(report.damage.length, 1);
    const [damage] = report.damage;
    assert.deepEqual([damage?.kind, damage?.number, damage?.neededBy, damage?.repaired], ['pack', 3, [1], false]);
    assert.deepEqual(
      await readFile(join(temporary.folder, damage?.quarantinedAs ?? '')).then((b) => b.subarray(0, -48)),
      Buffer.from(before),
    );
    await rejectsWith(repository.pack(3), 'DAMAGED');
    const status = await repository.status();
    assert.deepEqual(status.lost.ranges, [{ first: 3, last: 3 }]);
    assert.ok(!status.present.has(3));
    assert.equal(status.healRevision, 1);
    assert.deepEqual(
      (await repository.snapshots()).map((one) => one.packsDamaged.toText()),
      ['3', ''],
    );
    assert.equal((await repository.lostDirectory(3))?.byteLength, 140);

    const writer = await TestWriter.begin(repository);
    await rejectsWith(writer.put(fakePack(repository.repositoryId, 3)), 'CONFLICT');
    await rejectsWith(writer.put(fakePack(repository.repositoryId, 2, { revision: 1 })), 'CONFLICT');
    const holed = await writer.put(fakePack(repository.repositoryId, 3, { revision: 1, hasHoles: true }));
    await writer.put(holed);
    const half = await repository.status();
    assert.deepEqual(
      [half.holed.toText(), half.lost.isEmpty, half.present.has(3), half.healRevision],
      ['3', true, false, 2],
    );
    assert.deepEqual(Buffer.from(await repository.pack(3)), Buffer.from(holed.file));
    await rejectsWith(writer.commit([3]), 'PACKS_MISSING');
    const healed = await writer.put(fakePack(repository.repositoryId, 3, { revision: 2 }));
    const whole = await repository.status();
    assert.deepEqual([whole.holed.isEmpty, whole.present.has(3)], [true, true]);
    assert.deepEqual(Buffer.from(await repository.pack(3)), Buffer.from(healed.file));
    assert.ok((await repository.snapshots()).every((one) => one.packsDamaged.isEmpty));
    // Both replaced files are in quarantine; nothing was overwritten.
    assert.deepEqual((await readdir(path('quarantine'))).sort(), ['000000000003.pack', '000000000003.r1.pack']);
    await writer.commit([1, 2, 3]);
    assert.deepEqual((await scrubRepository(repository)).damage, []);
  });

  test('every bit of every small file: found, named, never returned as data', async () => {
    const repository = await temporary.repository();
    const writer = await TestWriter.begin(repository);
    await writer.putNew({ directoryBytes: 40, bodyBytes: 40 });
    await writer.commit([1]);
    await writer.end();
    const files: [string, string, () => Promise<Uint8Array>][] = [
      [packPath(1), 'pack', () => repository.pack(1)],
      [path('snapshots', '0000000001.snapshot'), 'snapshot', () => repository.snapshot(parseSnapshotNumber(1))],
      [path('configuration'), 'configuration', () => repository.configuration()],
      [path('keys', '00000001'), 'key document', () => repository.keyDocument(1)],
    ];
    const { verifyPack, verifySnapshot } = await import('../../src/store/verify-object.ts');
    const context = repository.context;
    for (const [file, kind, read] of files) {
      const original = await read();
      const whole = await readFile(file);
      for (let bit = 0; bit < whole.byteLength * 8; bit++) {
        flipOnly(file, whole, bit);
        try {
          if (kind === 'pack') {
            const record = await context.read((view) => view.pack(context.id, 1));
            assert.ok(record !== undefined);
            assert.equal((await verifyPack(context, record, async () => undefined)).outcome, 'damaged', `bit ${bit}`);
          } else if (kind === 'snapshot') {
            const record = await context.read((view) => view.snapshot(context.id, 1));
            assert.ok(record !== undefined);
            assert.equal((await verifySnapshot(context, record)).outcome, 'damaged', `bit ${bit}`);
            await rejectsWith(read(), 'DAMAGED');
          } else {
            // The second copy answers.
            assert.deepEqual(Buffer.from(await read()), Buffer.from(original), `bit ${bit}`);
          }
        } finally {
          restore(file, whole, bit);
        }
      }
    }
  });

  test('every bit of repository.json: found, and written again', async () => {
    const repository = await temporary.repository();
    const { decodeRepositoryDocument } = await import('../../src/store/repository-document.ts');
    const file = path('repository.json');
    const whole = await readFile(file);
    for (let bit = 0; bit < whole.byteLength * 8; bit++) {
      const bytes = Buffer.from(whole);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(
        () => decodeRepositoryDocument(bytes),
        (error) => isFallbackError(error, 'FORMAT_INVALID'),
        `bit ${bit}`,
      );
    }
    await flip(file, 999);
    const report = await scrubRepository(repository);
    assert.deepEqual(
      report.damage.map((one) => [one.kind, one.repaired]),
      [['document', true]],
    );
    assert.deepEqual(await readFile(file), whole);
  });

  test('damaged small objects are restored from their second copies', async () => {
    const repository = await temporary.repository();
    await flip(path('configuration'), 500);
    await rm(path('keys', '00000001'));
    const report = await scrubRepository(repository);
    assert.deepEqual(
      report.damage.map((one) => [one.kind, one.number, one.repaired]),
      [
        ['configuration', 0, true],
        ['key document', 1, true],
      ],
    );
    assert.deepEqual((await scrubRepository(repository)).damage, []);
    assert.deepEqual(Buffer.from(await repository.configuration()), Buffer.from(temporary.paired.configuration));
  });

  test('missing files, swapped files, zeroed pages, cut files, and files that nobody knows', async () => {
    const repository = await temporary.repository();
    await pushOnce(repository, 6);
    await rm(packPath(1));
    await rename(packPath(2), `${packPath(2)}x`);
    await rename(packPath(3), packPath(2));
    await rename(`${packPath(2)}x`, packPath(3));
    await writeFile(packPath(4), (await readFile(packPath(4))).fill(0, 200, 400));
    await writeFile(packPath(5), (await readFile(packPath(5))).subarray(0, -1));
    await writeFile(path('packs', '000000000', 'readme.txt'), 'a stranger');
    await writeFile(path('snapshots', '0000000001.snapshot.bak'), 'a stranger');
    const report = await scrubRepository(repository);
    assert.deepEqual(
      report.damage.map((one) => one.number),
      [1, 2, 3, 4, 5],
    );
    assert.ok(report.damage.every((one) => one.neededBy.includes(1)));
    assert.equal(report.strangers.length, 2);
    assert.deepEqual((await repository.status()).lost.ranges, [{ first: 1, last: 5 }]);
    assert.deepEqual((await scrubRepository(repository)).damage, []);
  });

  test('a push heals a pack once, and what healing leaves in quarantine counts against the quota', async () => {
    const { store, paired, environment } = temporary;
    const repository = await temporary.repository();
    await pushOnce(repository, 1);
    await flip(path('packs', '000000000', '000000000001.pack'), 500);
    await scrubRepository(repository);
    await store.changeSettings(paired.id, { quotaBytes: 300_000, retention: undefined });
    const heal = async (): Promise<void> => {
      environment.timeMs += 60_000;
      const writer = await TestWriter.begin(repository);
      environment.timeMs += 1_000;
      const { healRevision } = await repository.status();
      const holed = (revision: number) => fakePack(paired.id, 1, { revision, hasHoles: true, bodyBytes: 50_000 });
      const healed = await writer.put(holed(healRevision));
      await writer.put(healed);
      await rejectsWith(writer.put(holed(healRevision + 1)), 'CONFLICT');
      assert.deepEqual(Buffer.from(await repository.pack(1)), Buffer.from(healed.file));
    };
    for (let night = 0; night < 5; night++) await heal();
    await rejectsWith(heal(), 'QUOTA_EXCEEDED');
    const writer = await TestWriter.begin(repository);
    await rejectsWith(writer.putNew({ bodyBytes: 50_000 }), 'QUOTA_EXCEEDED');
    for (const name of await readdir(path('quarantine'))) {
      if (name.includes('.r')) await rm(path('quarantine', name));
    }
    await heal();
  });

  test('a damaged snapshot is listed as lost, and the chain goes on', async () => {
    const repository = await temporary.repository();
    await pushOnce(repository, 1);
    await pushOnce(repository, 1);
    await flip(path('snapshots', '0000000002.snapshot'), 1000);
    const report = await scrubRepository(repository);
    assert.deepEqual(
      report.damage.map((one) => [one.kind, one.number]),
      [['snapshot', 2]],
    );
    assert.deepEqual(
      (await repository.snapshots()).map((one) => one.fileLost ?? false),
      [false, true],
    );
    await rejectsWith(repository.snapshot(parseSnapshotNumber(2)), 'DAMAGED');
    await rejectsWith(repository.openSnapshot(parseSnapshotNumber(2)), 'DAMAGED');
    assert.equal((await pushOnce(repository, 1)).head?.number, 3);
    await temporary.reopen();
    assert.equal((await (await temporary.repository()).status()).head?.number, 3);
  });

  test('a scrub that is stopped goes on where it stopped', async () => {
    const repository = await temporary.repository();
    await pushOnce(repository, 200);
    await flip(packPath(7), 4000);
    const abort = new AbortController();
    const first = await scrubRepository(repository, {
      signal: abort.signal,
      onProgress: ({ objectsChecked }) => {
        if (objectsChecked === 100) abort.abort();
      },
    });
    assert.equal(first.finishedAtMs, undefined);
    await temporary.reopen();
    const seen: number[] = [];
    const second = await scrubRepository(await temporary.repository(), {
      onProgress: ({ objectsChecked }) => seen.push(objectsChecked),
    });
    assert.equal(seen[0], 101);
    assert.equal(second.objectsChecked, 204);
    assert.deepEqual(
      second.damage.map((one) => one.number),
      [7],
    );
  });

  test('a record that was damaged is corrected from its file', async () => {
    const repository = await temporary.repository();
    await pushOnce(repository, 1);
    const { context } = repository;
    await context.write(async (change) => {
      const record = await change.pack(context.id, 1);
      assert.ok(record !== undefined);
      await change.putPack(context.id, { ...record, sha256: new Uint8Array(randomBytes(32)) });
    });
    assert.deepEqual(
      (await scrubRepository(repository)).damage.map((one) => [one.kind, one.repaired]),
      [['records', true]],
    );
    assert.deepEqual((await scrubRepository(repository)).damage, []);
  });
});
