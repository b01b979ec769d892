import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chown, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { parseEpoch } from '../../src/format/ids.ts';
import { createStore, openStore } from '../../src/store/open-store.ts';
import { tokenSha256 } from '../../src/store/tokens.ts';
import { fakeConfiguration, fakeKeyDocument, fakePack, newRepositoryId, sha256Hex } from '../support/fake-objects.ts';
import { pair, TemporaryStore, TestEnvironment } from '../support/temporary-store.ts';
import { pushOnce, TestWriter } from '../support/writer.ts';
import { rejectsWith } from './repository-conformance.ts';

let temporary: TemporaryStore;

beforeEach(async () => {
  temporary = await TemporaryStore.create();
});
afterEach(() => temporary.dispose());

function request() {
  const repositoryId = newRepositoryId();
  return {
    repositoryId,
    pushTokenSha256: sha256Hex(randomBytes(32)),
    readTokenSha256: sha256Hex(randomBytes(32)),
    configuration: fakeConfiguration(repositoryId),
    keyDocument: fakeKeyDocument(repositoryId, 1),
  };
}

describe('a store', () => {
  test('is made in an empty folder only, and is private', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fallback-store-'));
    const environment = new TestEnvironment();
    try {
      await rejectsWith(openStore({ folder, environment }), 'STORE_INVALID');
      await writeFile(join(folder, 'photo.jpg'), 'x');
      await rejectsWith(createStore({ folder, environment }), 'STORE_INVALID');
      await rm(join(folder, 'photo.jpg'));
      const first = await createStore({ folder: join(folder, 'a', 'b'), environment });
      await first.close();
      const again = await createStore({ folder: join(folder, 'a', 'b'), environment });
      assert.equal(again.storeId, first.storeId);
      await pair(again);
      await again.close();
      const inside = await readdir(join(folder, 'a'), { recursive: true, withFileTypes: true });
      for (const entry of inside) {
        const { mode } = await stat(join(entry.parentPath, entry.name));
        assert.equal(mode & 0o077, 0, `${entry.name} is open to others`);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('an invite lets one repository in, once, and the same request again', async () => {
    const { store, environment } = temporary;
    const token = await store.createInvite('main', 60_000);
    assert.equal(token.byteLength, 16);
    const mine = request();
    await rejectsWith(store.redeemInvite(randomBytes(16), mine), 'PAIRING_INVALID');
    assert.equal(await store.redeemInvite(token, mine), mine.repositoryId);
    assert.equal(await store.redeemInvite(token, mine), mine.repositoryId);
    await rejectsWith(store.redeemInvite(token, request()), 'PAIRING_INVALID');
    await rejectsWith(
      store.redeemInvite(token, { ...mine, configuration: fakeConfiguration(mine.repositoryId) }),
      'PAIRING_INVALID',
    );
    const second = await store.createInvite('other', 60_000);
    await rejectsWith(store.redeemInvite(second, { ...request(), pushTokenSha256: mine.pushTokenSha256 }), 'CONFLICT');
    const taken = { ...request(), repositoryId: mine.repositoryId };
    const sameId = {
      ...taken,
      configuration: fakeConfiguration(mine.repositoryId),
      keyDocument: fakeKeyDocument(mine.repositoryId, 1),
    };
    await rejectsWith(store.redeemInvite(second, sameId), 'ALREADY_EXISTS');
    environment.timeMs += 60_000;
    await rejectsWith(store.redeemInvite(second, request()), 'PAIRING_INVALID');
    assert.equal(await store.redeemInvite(token, mine), mine.repositoryId);
  });

  test('invites cannot be redeemed twice at once', async () => {
    const token = await temporary.store.createInvite('main', 60_000);
    const second = await temporary.open();
    const outcomes = await Promise.allSettled(
      [temporary.store, second, temporary.store].map((one) => one.redeemInvite(token, request())),
    );
    await second.close();
    assert.equal(outcomes.filter((one) => one.status === 'fulfilled').length, 1);
    assert.equal((await temporary.store.repositoryIds()).length, 2);
  });

  test('malformed requests make nothing', async () => {
    const { store } = temporary;
    const token = await store.createInvite('main', 60_000);
    const good = request();
    await rejectsWith(
      store.redeemInvite(token, { ...good, configuration: fakeConfiguration(newRepositoryId()) }),
      'FORMAT_INVALID',
    );
    await rejectsWith(
      store.redeemInvite(token, { ...good, keyDocument: fakeKeyDocument(good.repositoryId, 2) }),
      'FORMAT_INVALID',
    );
    await rejectsWith(store.redeemInvite(token, { ...good, configuration: new Uint8Array(5000) }), 'LIMIT_EXCEEDED');
    assert.equal((await store.repositoryIds()).length, 1);
    await store.redeemInvite(token, good);
  });

  test('tokens open their own repository, as far as their scopes go', async () => {
    const { store, paired } = temporary;
    const other = await pair(store, 'other');
    assert.deepEqual(await store.authenticate(paired.pushToken), {
      repositoryId: paired.id,
      scopes: ['read', 'push'],
      label: 'push',
    });
    assert.deepEqual((await store.authenticate(other.readToken))?.scopes, ['read']);
    assert.equal((await store.authenticate(other.readToken))?.repositoryId, other.id);
    assert.equal(await store.authenticate(randomBytes(32)), undefined);
    assert.equal(await store.authenticate(new Uint8Array(0)), undefined);
    const extra = randomBytes(32);
    await store.addToken(paired.id, extra, ['read', 'push', 'takeover'], 'deploy');
    await rejectsWith(store.addToken(other.id, extra, ['read'], 'deploy'), 'CONFLICT');
    assert.equal((await store.tokens(paired.id)).length, 3);
    await store.revokeToken(paired.id, tokenSha256(extra));
    assert.equal(await store.authenticate(extra), undefined);
    await rejectsWith(store.revokeToken(paired.id, tokenSha256(extra)), 'NOT_FOUND');
  });

  test('a recovery phrase finds its key document, also when a newer one replaced it', async () => {
    const { store, paired } = temporary;
    assert.deepEqual(await store.findRecovery(paired.accessToken), [
      { repositoryId: paired.id, keyDocumentNumbers: [1], superseded: false },
    ]);
    await (await temporary.repository()).putKeyDocument(2, fakeKeyDocument(paired.id, 2, randomBytes(32)));
    assert.deepEqual(await store.findRecovery(paired.accessToken), [
      { repositoryId: paired.id, keyDocumentNumbers: [1], superseded: true },
    ]);
    assert.deepEqual(await store.findRecovery(randomBytes(32)), []);
  });

  test('a copied access token hides neither the older key document nor the repository that had it first', async () => {
    const { store, paired, environment } = temporary;
    const repository = await temporary.repository();
    await repository.putKeyDocument(2, fakeKeyDocument(paired.id, 2, paired.accessToken));
    const mine = { repositoryId: paired.id, keyDocumentNumbers: [1, 2], superseded: false };
    assert.deepEqual(await store.findRecovery(paired.accessToken), [mine]);
    await repository.putKeyDocument(3, fakeKeyDocument(paired.id, 3));
    for (const name of ['b', 'c', 'd', 'e']) {
      environment.timeMs += 1;
      const { id } = await pair(store, name);
      await (await store.repository(id)).putKeyDocument(2, fakeKeyDocument(id, 2, paired.accessToken));
    }
    assert.deepEqual((await store.findRecovery(paired.accessToken))[0], { ...mine, superseded: true });
  });

  for (const reason of ['LEASE_LOST', 'FENCED'] as const) {
    test(`a pack that is whole only after its lease is over makes way for the next writer's: ${reason}`, async () => {
      const repository = await temporary.repository();
      const old = await TestWriter.begin(repository);
      const late = fakePack(repository.repositoryId, old.next);
      const sink = await repository.beginPack(old.leaseId, late.number);
      await sink.write(late.file);
      const epoch = reason === 'FENCED' ? await repository.raiseEpoch(parseEpoch(1)) : parseEpoch(1);
      const begin = (): Promise<TestWriter> => TestWriter.begin(repository, 'test', epoch);
      const before = reason === 'FENCED' ? undefined : await begin();
      await rejectsWith(sink.finish(late.sha256), reason);
      const next = before ?? (await begin());
      assert.equal(next.next, late.number);
      await next.putNew();
      await next.commit([late.number]);
      const files = await readdir(join(temporary.folder, 'repositories', repository.repositoryId), { recursive: true });
      assert.equal(files.filter((name) => name.includes('.pack')).length, 1);
    });
  }

  test('a late pack that the next lease has found and recorded stays', async () => {
    const repository = await temporary.repository();
    const old = await TestWriter.begin(repository);
    const late = fakePack(repository.repositoryId, old.next);
    const sink = await repository.beginPack(old.leaseId, late.number);
    await sink.write(late.file);
    const published = repository.context.write;
    let next: TestWriter | undefined;
    // Between the file and its record another writer comes.
    repository.context.write = async (...work) => {
      repository.context.write = published;
      next = await TestWriter.begin(await temporary.repository());
      return (await published.apply(repository.context, work)) as never;
    };
    await rejectsWith(sink.finish(late.sha256), 'LEASE_LOST');
    assert.equal(next?.next, late.number + 1);
    assert.deepEqual(Buffer.from(await repository.pack(late.number)), Buffer.from(late.file));
  });

  test('readers of large directories who take nothing hold little memory, all together, and give it back', async () => {
    const MiB = 2 ** 20;
    const repository = await temporary.repository();
    const writer = await TestWriter.begin(repository);
    const prefixes: Uint8Array[] = [];
    for (let count = 0; count < 12; count++) {
      prefixes.push((await writer.putNew({ directoryBytes: 3 * MiB })).prefix);
    }
    const readers = Array.from({ length: 24 }, () => repository.directories(1)[Symbol.asyncIterator]());
    const { running } = repository.context;
    const first = prefixes[0] ?? new Uint8Array(0);
    for (const reader of readers) assert.ok(Buffer.from((await reader.next()).value).equals(first));
    // Ten with two each, and the others with one.
    assert.ok(running.readAhead < 110 * MiB, `${running.readAhead / MiB} MiB`);
    for (const reader of readers.slice(1)) await reader.return?.();
    assert.ok(running.readAhead < 9 * MiB, `${running.readAhead / MiB} MiB`);
    for (const prefix of prefixes.slice(1)) {
      assert.ok(Buffer.from((await readers[0]?.next())?.value ?? []).equals(prefix));
    }
    assert.equal((await readers[0]?.next())?.done, true);
    assert.equal(running.readAhead, 0);
  });

  test('a header that was damaged on the disk is left out of the list of directories: all others are told', async () => {
    const repository = await temporary.repository();
    const writer = await TestWriter.begin(repository);
    const packs = [await writer.putNew(), await writer.putNew(), await writer.putNew()];
    const list = async (): Promise<string[]> => {
      const all: string[] = [];
      for await (const directory of repository.directories(1)) all.push(Buffer.from(directory).toString('hex'));
      return all;
    };
    const told = packs.map(({ prefix }) => Buffer.from(prefix).toString('hex'));
    assert.deepEqual(await list(), told);
    const path = join(temporary.folder, 'repositories', temporary.paired.id, 'packs', '000000000', '000000000002.pack');
    const whole = await readFile(path);
    // Magic, number, repository, and the directory's length.
    for (const at of [0, 10, 24, 33]) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      await writeFile(path, damaged);
      assert.deepEqual(await list(), [told[0], told[2]], `${at}`);
    }
  });

  test('a quota and a full disk refuse packs and snapshots, and say which', async () => {
    const { store, paired } = temporary;
    const repository = await temporary.repository();
    await pushOnce(repository, 2);
    const { storedBytes } = await repository.status();
    await store.changeSettings(paired.id, { quotaBytes: storedBytes + 4_096, retention: undefined });
    const writer = await TestWriter.begin(repository);
    await writer.putNew();
    await rejectsWith(writer.put(fakePack(paired.id, 4)), 'QUOTA_EXCEEDED');
    await rejectsWith(writer.commit([1, 2, 3]), 'QUOTA_EXCEEDED');
    await store.changeSettings(paired.id, { quotaBytes: undefined, retention: undefined });
    await writer.commit([1, 2, 3]);
    const full = await TemporaryStore.create({ reserveFreeBytes: 0 });
    try {
      await full.store.close();
      full.store = await openStore({
        folder: full.folder,
        environment: full.environment,
        options: { reserveFreeBytes: 2 ** 60 },
      });
      const late = await TestWriter.begin(await full.repository());
      await rejectsWith(late.putNew(), 'SERVER_FULL');
      await rejectsWith(late.commit([]), 'SERVER_FULL');
    } finally {
      await full.dispose();
    }
  });

  test('a quota counts blocks of the disk, and what is on its way', async () => {
    const { store, paired } = temporary;
    const repository = await temporary.repository();
    await store.changeSettings(paired.id, { quotaBytes: 10 * 4_096, retention: undefined });
    const writer = await TestWriter.begin(repository);
    const tiny = (number: number) => fakePack(paired.id, number, { directoryBytes: 64, bodyBytes: 64 });
    for (let count = 0; count < 7; count++) await writer.put(tiny(writer.next++));
    const sinks = [8, 9, 10].map(async (number) => {
      const sink = await repository.beginPack(writer.leaseId, number);
      await sink.write(tiny(number).file);
      return sink;
    });
    const last = await repository.beginPack(writer.leaseId, 11);
    const held = await Promise.all(sinks);
    await rejectsWith(last.write(tiny(11).file), 'QUOTA_EXCEEDED');
    await last.abort();
    await rejectsWith(writer.commit([1]), 'QUOTA_EXCEEDED');
    await held[0]?.abort();
    await writer.commit([1]);
    for (const sink of held) await sink.abort();
    await writer.put(tiny(8));
    assert.equal(repository.context.running.unwritten, 0);
    assert.equal(repository.context.running.incoming(paired.id), 0);
  });

  test('the reserve of the disk counts what is on its way, of all repositories', async () => {
    const { store, paired } = temporary;
    const other = await pair(store, 'other');
    const [mine, theirs] = [await temporary.repository(), await store.repository(other.id)];
    const [a, b] = [await TestWriter.begin(mine), await TestWriter.begin(theirs)];
    const big = (id: typeof paired.id) => fakePack(id, 1, { bodyBytes: 10_000_000 });
    const { reserveFreeBytes } = mine.context.options;
    mine.context.objects.freeBytes = async () => reserveFreeBytes + 15_000_000;
    const sink = await mine.beginPack(a.leaseId, 1);
    const pack = big(paired.id);
    await sink.write(pack.file.subarray(0, 100));
    await rejectsWith(b.put(big(other.id)), 'SERVER_FULL');
    // Once it is written, the disk itself says what is left.
    await sink.write(pack.file.subarray(100));
    await b.put(big(other.id));
    await sink.finish(pack.sha256);
    await sink.abort();
    assert.equal(mine.context.running.unwritten, 0);
  });

  test('the serve lock keeps a second server out, and names the first', async () => {
    const lock = await temporary.store.lock('serve', 'fallback serve');
    await assert.rejects(temporary.store.lock('serve', 'another'), /fallback serve/);
    lock.release();
    (await temporary.store.lock('serve', 'another')).release();
  });

  test('what root makes in a store belongs to the store’s owner', async (context) => {
    if (process.geteuid?.() !== 0) return context.skip('only root can give files away');
    const parent = await mkdtemp(join(tmpdir(), 'fallback-owner-'));
    await chown(parent, 4321, 4321);
    const environment = new TestEnvironment();
    const store = await createStore({ folder: join(parent, 'store'), environment });
    const paired = await pair(store);
    await pushOnce(await store.repository(paired.id), 2);
    (await store.lock('serve', 'test')).release();
    for (const entry of await readdir(parent, { recursive: true })) {
      const { uid, gid } = await stat(join(parent, entry));
      assert.deepEqual([uid, gid], [4321, 4321], entry);
    }
    await store.close();
    await rm(parent, { recursive: true });
  });

  test('no temporary file is left', async () => {
    const repository = await temporary.repository();
    await pushOnce(repository, 5);
    const writer = await TestWriter.begin(repository);
    const sink = await repository.beginPack(writer.leaseId, writer.next);
    const pack = fakePack(repository.repositoryId, writer.next);
    await sink.write(pack.file.subarray(0, 500));
    assert.equal((await readdir(join(temporary.folder, 'repositories', temporary.paired.id, 'tmp'))).length, 1);
    await sink.abort();
    await sink.abort();
    assert.deepEqual(await readdir(join(temporary.folder, 'repositories', temporary.paired.id, 'tmp')), []);
  });

  test('no temporary file is left of a pack that was given up while it began', async () => {
    const repository = await temporary.repository();
    const writer = await TestWriter.begin(repository);
    const sink = await repository.beginPack(writer.leaseId, writer.next);
    const { objects } = repository.context;
    const begin = objects.begin.bind(objects);
    const beginAborted = async (prefix: string): Promise<unknown> => {
      await sink.abort();
      return await begin(prefix);
    };
    Object.assign(objects, { begin: beginAborted });
    await rejectsWith(sink.write(fakePack(repository.repositoryId, writer.next).file), 'INTERRUPTED');
    Reflect.deleteProperty(objects, 'begin');
    assert.deepEqual(await readdir(join(temporary.folder, 'repositories', temporary.paired.id, 'tmp')), []);
  });
});
