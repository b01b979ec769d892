// The index and its cache: held equal to a Map; deleted, stale or corrupt, it is rebuilt, and nothing is lost or sent wrongly.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { limits } from '../../src/format/limits.ts';
import { ChunkIndex, type ChunkPlace, idWords } from '../../src/sync/index/chunk-index.ts';
import { makeMemoryRepository, pushBytes, withSession } from '../support/client-fixture.ts';
import { sqlText, tarOf } from '../support/sample-archives.ts';
import { inTemporaryFolder } from '../support/temporary-folder.ts';

test('the index says what a Map says', () => {
  const ids = idWords(new Uint8Array(randomBytes(32 * 500)));
  const step = fc.record({
    id: fc.nat(499),
    pack: fc.integer({ min: 1, max: limits.packNumberMax }),
    position: fc.nat(65_535),
  });
  void fc.assert(
    fc.property(fc.array(step, { maxLength: 2000 }), (steps) => {
      const index = new ChunkIndex();
      const twin = new Map<number, ChunkPlace>();
      for (const { id, pack, position } of steps) {
        index.set(ids, id * 8, pack, position);
        twin.set(id, { pack, position });
      }
      assert.equal(index.size, twin.size);
      const place: ChunkPlace = { pack: 0, position: 0 };
      for (let id = 0; id < 500; id++) {
        const expected = twin.get(id);
        assert.equal(index.find(ids, id * 8, place), expected !== undefined);
        if (expected !== undefined) assert.deepEqual({ ...place }, expected);
      }
    }),
    { numRuns: 50 },
  );
});

test('packs added in any order: a chunk is found where the newest pack has it, holes are not', () => {
  const ids = idWords(new Uint8Array(randomBytes(32 * 300)));
  const pack = fc.record({
    pack: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: limits.packNumberMax })),
    chunks: fc.array(fc.record({ id: fc.nat(299), isHole: fc.boolean() }), { maxLength: 40 }),
  });
  const inTwo = fc.record({ loaded: fc.array(pack, { maxLength: 30 }), later: fc.array(pack, { maxLength: 10 }) });
  void fc.assert(
    fc.property(inTwo, fc.nat(2000), ({ loaded, later }, expectedChunks) => {
      const index = new ChunkIndex(expectedChunks);
      const twin = new Map<number, number>();
      const place: ChunkPlace = { pack: 0, position: 0 };
      const add = ({ pack: number, chunks }: (typeof loaded)[number]): void => {
        // Within a pack an id stands once.
        const distinct = [...new Map(chunks.map((chunk) => [chunk.id, chunk])).values()];
        const words = new Uint32Array(distinct.length * 8);
        for (const [position, { id }] of distinct.entries()) words.set(ids.subarray(id * 8, id * 8 + 8), position * 8);
        const holes = distinct.flatMap(({ isHole }, position) => (isHole ? [position] : []));
        index.addPack(words, number, holes);
        for (const { id, isHole } of distinct) if (!isHole) twin.set(id, Math.max(number, twin.get(id) ?? 0));
      };
      const compare = (): void => {
        assert.equal(index.size, twin.size);
        for (let id = 0; id < 300; id++) {
          assert.equal(index.find(ids, id * 8, place), twin.has(id));
          if (twin.has(id)) assert.equal(place.pack, twin.get(id));
        }
      };
      for (const one of loaded) add(one);
      compare();
      for (const one of later) add(one);
      compare();
    }),
    { numRuns: 100 },
  );
});

test('a chunk is marked as used once, wherever it moves', () => {
  const count = 5000;
  const ids = idWords(new Uint8Array(randomBytes(32 * count)));
  const index = new ChunkIndex();
  index.addPack(ids.subarray(0, 2000 * 8), 7, []);
  const place: ChunkPlace = { pack: 0, position: 0 };
  const marked = new Set<number>();
  for (let step = 0; step < 20_000; step++) {
    const id = (step * 7919) % count;
    if (step % 3 === 0 || !index.find(ids, id * 8, place)) index.set(ids, id * 8, 8 + step, id);
    assert.equal(index.markUsed(), !marked.has(id));
    marked.add(id);
  }
});

test('ids that share their table slot stay apart, over many growths', () => {
  const count = 3000;
  const words = new Uint32Array(count * 8);
  for (let id = 0; id < count; id++) words.set([id % 7, 0xfffffff0, id * 3, id % 11], id * 8);
  const index = new ChunkIndex();
  for (let id = 0; id < count; id++) index.set(words, id * 8, id + 1, id % 65_536);
  const place: ChunkPlace = { pack: 0, position: 0 };
  for (let id = 0; id < count; id++) {
    assert.ok(index.find(words, id * 8, place));
    assert.deepEqual([place.pack, place.position], [id + 1, id % 65_536]);
  }
});

const spoilers: Readonly<Record<string, (path: string) => Promise<void>>> = {
  deleted: (path) => rm(path),
  truncated: (path) => truncate(path, 3000),
  empty: (path) => truncate(path, 0),
  'junk at its end': async (path) => writeFile(path, Buffer.concat([await readFile(path), randomBytes(5000)])),
  'all junk': (path) => writeFile(path, randomBytes(50_000)),
  'a flipped byte in a record': async (path) => {
    const bytes = await readFile(path);
    bytes[bytes.length - 700] = (bytes[bytes.length - 700] ?? 0) ^ 1;
    await writeFile(path, bytes);
  },
  'a flipped byte in its head': async (path) => {
    const bytes = await readFile(path);
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    await writeFile(path, bytes);
  },
};

for (const [how, spoil] of Object.entries(spoilers)) {
  test(`a cache that is ${how} is rebuilt, and nothing is sent again`, async () => {
    await inTemporaryFolder(async (folder) => {
      const { repository, secret } = makeMemoryRepository();
      const archives = { app: tarOf({ 'a.sql': sqlText(30_000, 3) }) };
      await withSession(repository, secret, (session) => pushBytes(session, folder, archives));
      await spoil(join(folder, 'index'));
      for (let night = 0; night < 2; night++) {
        const result = await withSession(repository, secret, (session) => pushBytes(session, folder, archives));
        assert.deepEqual([result.counters.newBytes, result.counters.packsSent], [0, 0]);
      }
      assert.ok(repository.directoryCalls <= 1, `asked the server ${repository.directoryCalls} times`);
    });
  });
}

test('a stale cache: packs that went away count as missing, and are sent again', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const archives = { app: sqlText(30_000, 3) };
    await withSession(repository, secret, (session) => pushBytes(session, folder, archives));
    // Retention took the snapshot and its packs: nothing is lost, nothing is there.
    repository.files.length = 0;
    repository.packs.clear();
    const result = await withSession(repository, secret, (session) => pushBytes(session, folder, archives));
    assert.ok(result.counters.newBytes >= archives.app.byteLength);
    assert.equal(result.snapshot.packsDamaged.isEmpty, true);
  });
});

test('a cache of another generation is void', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const archives = { app: sqlText(30_000, 3) };
    await withSession(repository, secret, (session) => pushBytes(session, folder, archives));
    repository.generation = 'another';
    const result = await withSession(repository, secret, (session) => pushBytes(session, folder, archives));
    assert.equal(repository.directoryCalls, 1);
    assert.equal(result.counters.newBytes, 0);
  });
});

test('a cache that cannot be written costs a rebuild, and no push', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const archives = { app: sqlText(30_000, 3) };
    await mkdir(join(folder, 'index'));
    for (let night = 0; night < 2; night++) {
      const result = await withSession(repository, secret, (session) => pushBytes(session, folder, archives));
      assert.equal(result.counters.newBytes === 0, night > 0);
    }
  });
});
