import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { parseEpoch, parseSnapshotNumber } from '../../src/format/ids.ts';
import { openStore } from '../../src/store/open-store.ts';
import { pinSnapshot } from '../../src/store/retention.ts';
import { scrubRepository } from '../../src/store/scrub.ts';
import { fakeConfiguration, fakeKeyDocument, fakePack, newRepositoryId, sha256Hex } from '../support/fake-objects.ts';
import { TemporaryStore } from '../support/temporary-store.ts';
import { pushOnce, TestWriter } from '../support/writer.ts';
import { rejectsWith } from './repository-conformance.ts';

let temporary: TemporaryStore;
const path = (...parts: string[]): string => join(temporary.folder, 'repositories', temporary.paired.id, ...parts);

beforeEach(async () => {
  temporary = await TemporaryStore.create();
});
afterEach(() => temporary.dispose());

async function loseDatabase(): Promise<void> {
  await temporary.store.close();
  for (const suffix of ['', '-wal', '-shm'])
    await rm(join(temporary.folder, `metadata.sqlite${suffix}`), { force: true });
  temporary.store = await temporary.open();
}

describe('the database is rebuilt from the files', () => {
  test('everything that was acknowledged is there again, under a new generation', async () => {
    const before = await temporary.repository();
    await pushOnce(before, 3);
    temporary.environment.timeMs += 3_600_000;
    const second = await pushOnce(before, 2, [1, 2], { complete: false, origin: 'fallback' });
    const secondKey = fakeKeyDocument(before.repositoryId, 2);
    await before.putKeyDocument(2, secondKey);
    await pinSnapshot(before, 1);
    assert.equal(await before.raiseEpoch(parseEpoch(1)), 2);
    await temporary.store.changeSettings(before.repositoryId, { quotaBytes: 1e9, retention: undefined });
    const old = await before.status();
    const oldSnapshots = await before.snapshots();

    await loseDatabase();
    const after = await temporary.repository();
    const status = await after.status();
    assert.notEqual(status.generation, old.generation);
    assert.ok(status.lastPack >= old.lastPack);
    assert.deepEqual(
      { ...status, generation: '', lastPack: 0, freeBytes: 0, serverTimeMs: 0 },
      { ...old, generation: '', lastPack: 0, freeBytes: 0, serverTimeMs: 0 },
    );
    assert.deepEqual(await after.snapshots(), oldSnapshots);
    for (const [number, { file }] of second.snapshots) {
      assert.deepEqual(Buffer.from(await after.snapshot(parseSnapshotNumber(number))), Buffer.from(file));
    }
    for (const pack of second.packs.values())
      assert.deepEqual(Buffer.from(await after.pack(pack.number)), Buffer.from(pack.file));
    assert.deepEqual(Buffer.from(await after.keyDocument(2)), Buffer.from(secondKey));
    assert.equal((await temporary.store.authenticate(temporary.paired.pushToken))?.repositoryId, after.repositoryId);
    assert.equal((await temporary.store.findRecovery(temporary.paired.accessToken)).length, 1);
    assert.deepEqual((await scrubRepository(after)).damage, []);
    // No number is given twice, though nobody remembers the last one exactly.
    const writer = await TestWriter.begin(after, 'test', parseEpoch(2));
    assert.ok(writer.next > old.lastPack);
    await writer.putNew();
    await writer.commit([writer.next - 1]);
  });

  test('a damaged, empty or foreign database is set aside', async () => {
    await pushOnce(await temporary.repository(), 2);
    const file = join(temporary.folder, 'metadata.sqlite');
    for (const bytes of [Buffer.alloc(0), Buffer.from('no database at all'.repeat(500)), Buffer.alloc(8192)]) {
      await temporary.store.close();
      await writeFile(file, bytes);
      temporary.store = await temporary.open();
      assert.equal((await (await temporary.repository()).status()).head?.number, 1);
    }
    assert.equal((await readdir(temporary.folder)).filter((name) => name.includes('damaged')).length, 3);
    assert.equal((await readdir(temporary.folder)).filter((name) => name.includes('.new-')).length, 0);
  });

  test('damage deep inside the database is met in use, and mended by the next opening', async () => {
    await pushOnce(await temporary.repository(), 400);
    await temporary.store.close();
    const file = join(temporary.folder, 'metadata.sqlite');
    const bytes = await readFile(file);
    // Page 1 holds the tables' list and is left alone: the file opens.
    await writeFile(file, bytes.fill(0xa5, 4096));
    temporary.store = await temporary.open();
    const repository = await temporary.repository();
    assert.equal((await repository.status()).present.toText(), '1-400');
    assert.equal((await pushOnce(repository, 1)).head?.number, 2);
    const names = await readdir(temporary.folder);
    assert.ok(
      names.some((name) => name.startsWith('metadata.sqlite.damaged')) && !names.includes('metadata.sqlite-suspect'),
    );
  });

  test('packs that are missing or damaged by then are lost, not forgotten', async () => {
    await pushOnce(await temporary.repository(), 4);
    await rm(path('packs', '000000000', '000000000002.pack'));
    await writeFile(path('packs', '000000000', '000000000003.pack'), 'x'.repeat(1188));
    await loseDatabase();
    const repository = await temporary.repository();
    const status = await repository.status();
    assert.deepEqual([status.lost.toText(), status.present.toText()], ['2-3', '1, 4']);
    assert.equal((await repository.snapshots())[0]?.packsDamaged.toText(), '2-3');
    const writer = await TestWriter.begin(repository);
    await writer.put(fakePack(repository.repositoryId, 2, { revision: status.healRevision }));
    assert.equal((await repository.status()).lost.toText(), '3');
  });

  test('a healed revision wins over the one that it replaced', async () => {
    const repository = await temporary.repository();
    await pushOnce(repository, 2);
    const first = await readFile(path('packs', '000000000', '000000000002.pack'));
    await rm(path('packs', '000000000', '000000000002.pack'));
    await scrubRepository(repository);
    const writer = await TestWriter.begin(repository);
    const healed = await writer.put(fakePack(repository.repositoryId, 2, { revision: 1 }));
    await writer.end();
    await writeFile(path('packs', '000000000', '000000000002.pack'), first);
    await loseDatabase();
    const after = await temporary.repository();
    assert.deepEqual(Buffer.from(await after.pack(2)), Buffer.from(healed.file));
    assert.equal((await scrubRepository(after)).strangers.length, 1);
    assert.equal((await after.status()).healRevision, 2);
  });

  test('a lost head does not let its number be used again', async () => {
    await pushOnce(await temporary.repository(), 1);
    await pushOnce(await temporary.repository(), 1);
    await rm(path('snapshots', '0000000002.snapshot'));
    await loseDatabase();
    const repository = await temporary.repository();
    assert.equal((await repository.status()).head?.number, 2);
    assert.equal((await pushOnce(repository, 1)).head?.number, 3);
  });

  test('what a killed rebuild left is removed by the next one', async () => {
    for (const suffix of ['', '-wal', '-shm'])
      await writeFile(join(temporary.folder, `metadata.sqlite.new-0123abcd${suffix}`), 'x');
    await loseDatabase();
    assert.deepEqual(
      (await readdir(temporary.folder)).filter((name) => name.includes('.new-')),
      [],
    );
  });

  test('a running server whose database is taken away stops writing', async () => {
    const repository = await temporary.repository();
    for (const suffix of ['', '-wal', '-shm'])
      await rm(join(temporary.folder, `metadata.sqlite${suffix}`), { force: true });
    await rejectsWith(TestWriter.begin(repository), 'STORE_INVALID');
    await temporary.reopen();
    await pushOnce(await temporary.repository(), 1);
  });

  test('whoever opened a store is told when its database is replaced or damaged, and not of other errors', async () => {
    const database = join(temporary.folder, 'metadata.sqlite');
    for (const harm of ['removed', 'damaged']) {
      const told: string[] = [];
      const { folder, environment, options } = temporary;
      const store = await openStore({ folder, environment, options, onInvalid: ({ code }) => told.push(code) });
      try {
        const repository = await store.repository(temporary.paired.id);
        await rejectsWith(repository.raiseEpoch(parseEpoch(7)), 'CONFLICT');
        assert.deepEqual(told, []);
        await temporary.store.close();
        if (harm === 'removed') await rm(database);
        else await writeFile(database, new Uint8Array(await readFile(database)).fill(0xff, 100));
        await rejectsWith(TestWriter.begin(repository), 'STORE_INVALID');
        assert.ok(told.length > 0 && told.every((code) => code === 'STORE_INVALID'));
      } finally {
        await store.close();
        await temporary.reopen();
      }
    }
  });

  test('one unreadable repository does not keep the others away', async () => {
    const { pair } = await import('../support/temporary-store.ts');
    const other = await pair(temporary.store, 'other');
    await pushOnce(await temporary.repository(), 1);
    await writeFile(join(temporary.folder, 'repositories', other.id, 'repository.json'), '{}');
    await loseDatabase();
    assert.deepEqual(await temporary.store.repositoryIds(), [temporary.paired.id]);
    assert.ok((await temporary.store.audit(20)).some((entry) => entry.event === 'repository unreadable'));
  });

  test('a repository whose document or all of whose records are gone is not paired over: its key document stays', async () => {
    const { id } = temporary.paired;
    await pushOnce(await temporary.repository(), 1);
    const keyDocument = await readFile(path('keys', '00000001'));
    const request = {
      repositoryId: id,
      pushTokenSha256: sha256Hex(randomBytes(32)),
      readTokenSha256: sha256Hex(randomBytes(32)),
      configuration: fakeConfiguration(id),
      keyDocument: fakeKeyDocument(id, 1),
    };
    for (const harm of ['damaged', 'gone']) {
      if (harm === 'damaged') await writeFile(path('repository.json'), '{}');
      else await rm(path('repository.json'));
      await loseDatabase();
      const invite = await temporary.store.createInvite('thief', 60_000);
      await rejectsWith(temporary.store.redeemInvite(invite, request), 'ALREADY_EXISTS');
      assert.deepEqual(await readFile(path('keys', '00000001')), keyDocument);
    }
  });

  test('what a pairing left that was not finished goes aside, and the pairing is done anew', async () => {
    const { store, folder } = temporary;
    const repositoryId = newRepositoryId();
    const request = {
      repositoryId,
      pushTokenSha256: sha256Hex(randomBytes(32)),
      readTokenSha256: sha256Hex(randomBytes(32)),
      configuration: fakeConfiguration(repositoryId),
      keyDocument: fakeKeyDocument(repositoryId, 1),
    };
    const other = await store.createInvite('other', 60_000);
    await store.redeemInvite(other, request);
    // The files without the records: the commit failed.
    const lost = join(folder, 'lost');
    await rename(join(folder, 'repositories', repositoryId), lost);
    await loseDatabase();
    await rename(lost, join(folder, 'repositories', repositoryId));
    const invite = await temporary.store.createInvite('other', 60_000);
    const stranger = { ...request, pushTokenSha256: sha256Hex(randomBytes(32)) };
    await rejectsWith(temporary.store.redeemInvite(invite, stranger), 'ALREADY_EXISTS');
    assert.equal(await temporary.store.redeemInvite(invite, request), repositoryId);
    const repository = await temporary.store.repository(repositoryId);
    assert.deepEqual(Buffer.from(await repository.keyDocument(1)), Buffer.from(request.keyDocument));
    assert.equal((await readdir(join(folder, 'repositories', repositoryId, 'quarantine'))).length, 2);
  });

  test('files that were durable before their records are found when the store is opened', async () => {
    const repository = await temporary.repository();
    const writer = await TestWriter.begin(repository);
    const packs = [await writer.putNew(), await writer.putNew(), await writer.putNew()];
    const { context } = repository;
    await context.write((change) => change.deletePack(context.id, 2));
    await temporary.reopen();
    const reopened = await temporary.repository();
    assert.equal((await reopened.status()).present.toText(), '1-3');
    assert.deepEqual(Buffer.from(await reopened.pack(2)), Buffer.from(packs[1]?.file ?? []));
  });
});
