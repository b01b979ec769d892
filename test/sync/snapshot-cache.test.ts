// The cache of snapshot files: what is in it is not asked for again, and what is wrong in it is never used.
import assert from 'node:assert/strict';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import type { RepositorySession } from '../../src/sync/repository-session.ts';
import { SnapshotCache } from '../../src/sync/snapshot-cache.ts';
import { openListedSnapshot } from '../../src/sync/snapshots.ts';
import { makeMemoryRepository, pushBytes, withSession } from '../support/client-fixture.ts';
import { sqlText } from '../support/sample-archives.ts';
import { inTemporaryFolder } from '../support/temporary-folder.ts';

/** Lists all snapshots as `fallback snapshots` does. @returns the numbers that were fetched from the repository. */
async function list(session: RepositorySession, path: string): Promise<number[]> {
  const fetched: number[] = [];
  const { repository } = session;
  const counting = Object.assign(Object.create(repository), {
    snapshot: async (number: Parameters<typeof repository.snapshot>[0]) => {
      fetched.push(number);
      return await repository.snapshot(number);
    },
  });
  const summaries = await repository.snapshots();
  const cache = await SnapshotCache.open(nodeFileSystem, path);
  for (const summary of summaries) {
    const opened = await openListedSnapshot({ ...session, repository: counting }, summary, cache);
    assert.equal(opened.head.number, summary.number);
    assert.deepEqual(Buffer.from(opened.sha256), Buffer.from(summary.sha256));
    assert.equal(opened.record.archives[0]?.name, 'a');
  }
  await cache.save(summaries, '0123');
  return fetched;
}

async function withThree(
  work: (session: RepositorySession, path: string, pushOne: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    await withSession(repository, secret, async (session) => {
      let night = 0;
      const pushOne = (): Promise<unknown> => pushBytes(session, folder, { a: sqlText(50 * ++night) });
      for (let count = 0; count < 3; count++) await pushOne();
      await work(session, join(folder, 'snapshots'), pushOne);
    });
  });
}

test('each snapshot is fetched once, a new one when it is there; the file is for its owner only', async () => {
  await withThree(async (session, path, pushOne) => {
    assert.deepEqual(await list(session, path), [1, 2, 3]);
    assert.deepEqual(await list(session, path), []);
    await pushOne();
    assert.deepEqual(await list(session, path), [4]);
    assert.deepEqual(await list(session, path), []);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });
});

test('what the store lists no more is forgotten', async () => {
  await withThree(async (session, path) => {
    await list(session, path);
    const before = (await stat(path)).size;
    const cache = await SnapshotCache.open(nodeFileSystem, path);
    const [first, ...rest] = await session.repository.snapshots();
    assert.ok(first !== undefined && cache.find(first) !== undefined);
    await cache.save(rest, '4567');
    assert.ok((await stat(path)).size < before);
    assert.deepEqual(await list(session, path), [1]);
  });
});

test('damage: every bit of the cache’s file, a cut, a deletion; what is wrong is fetched again, and put right', async () => {
  await withThree(async (session, path) => {
    await list(session, path);
    const good = await readFile(path);
    for (let byte = 0; byte < good.length; byte += 7) {
      const bad = Buffer.from(good);
      bad[byte] = (bad[byte] ?? 0) ^ (1 << (byte & 7));
      await writeFile(path, bad);
      const fetched = await list(session, path);
      assert.ok(fetched.length > 0, `byte ${byte} does not matter`);
      assert.deepEqual(await list(session, path), []);
    }
    for (const length of [0, 3, 4, 100, good.length - 1]) {
      await writeFile(path, good.subarray(0, length));
      assert.ok((await list(session, path)).includes(3));
    }
    await rm(path);
    assert.deepEqual(await list(session, path), [1, 2, 3]);
    // Not to be written: no error, only no cache.
    assert.deepEqual(await list(session, join(path, 'nowhere')), [1, 2, 3]);
  });
});

test('a file of another repository under the same number is not used', async () => {
  await withThree(async (session, path) => {
    await withThree(async (other, otherPath) => {
      await list(other, otherPath);
      await writeFile(path, await readFile(otherPath));
      assert.deepEqual(await list(session, path), [1, 2, 3]);
    });
  });
});
