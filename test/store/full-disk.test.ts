// A disk that is full to the last page, or mounted read-only: what rescues and what frees space works all the same.
import assert from 'node:assert/strict';
import { chmod, cp, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { ballastName } from '../../src/fs/ballast.ts';
import type { FolderRepository } from '../../src/store/folder-repository.ts';
import { createStore, openStore } from '../../src/store/open-store.ts';
import { applyRetention } from '../../src/store/retention.ts';
import { dayMs } from '../../src/store/retention-policy.ts';
import { type SmallDisk, withSmallDisk } from '../support/small-disk.ts';
import { TemporaryStore } from '../support/temporary-store.ts';
import { pushOnce } from '../support/writer.ts';
import { rejectsWith } from './repository-conformance.ts';

const ballastBytes = 2 * 1024 * 1024;
const strict = { keepDays: 1, daily: 0, weekly: 0, monthly: 0, floor: 1, graceDays: 0 };

async function withStore(
  context: TestContext,
  work: (temporary: TemporaryStore, disk: SmallDisk) => Promise<void>,
  options: { readonly ballastBytes: number } = { ballastBytes },
): Promise<void> {
  await withSmallDisk(
    24,
    (why) => context.skip(why),
    async (disk) => {
      const temporary = await TemporaryStore.create({ reserveFreeBytes: 0, ...options }, disk.folder);
      const repository = await temporary.repository();
      for (let count = 0; count < 3; count++) await pushOnce(repository, 2);
      temporary.environment.timeMs += 40 * dayMs;
      await work(temporary, disk);
    },
  );
}

/** Without a grace time the first run condemns packs, and the second one deletes them. */
async function deletePacks(repository: FolderRepository): Promise<string> {
  await applyRetention(repository, { policy: strict, acceptClock: true });
  return (await applyRetention(repository, { policy: strict, acceptClock: true })).deletedPacks.toText();
}

const sizeOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ size }) => size,
    () => undefined,
  );

describe('a full disk', () => {
  test('a store that was closed cleanly opens, gives back, and frees space; then the ballast is there again', async (context) => {
    await withStore(context, async (temporary, disk) => {
      const ballast = join(temporary.folder, ballastName);
      assert.equal(await sizeOf(ballast), ballastBytes);
      await temporary.store.close();
      disk.fillUp();
      temporary.store = await temporary.open();
      assert.equal(await sizeOf(ballast), undefined);
      const repository = await temporary.repository();
      await repository.pack(1);
      (await temporary.store.lock('serve', 'fallback serve')).release();
      const lock = await temporary.store.lock('maintenance', 'fallback retention');
      assert.equal(await deletePacks(repository), '1-4');
      lock.release();
      await disk.empty();
      await applyRetention(repository, { policy: strict });
      assert.equal(await sizeOf(ballast), ballastBytes);
      await temporary.store.close();
    });
  });

  test('beside a server that runs on, retention gives the ballast up and frees space', async (context) => {
    await withStore(context, async (temporary, disk) => {
      disk.fillUp();
      const repository = await temporary.repository();
      const lock = await temporary.store.lock('maintenance', 'fallback retention');
      assert.equal(await deletePacks(repository), '1-4');
      lock.release();
      await temporary.store.close();
    });
  });

  test('a lock is held without the note of who holds it', async (context) => {
    await withStore(context, async (temporary, disk) => {
      (await temporary.store.lock('serve', 'one')).release();
      disk.fillUp();
      const lock = await temporary.store.lock('serve', 'two');
      await rejectsWith(temporary.store.lock('serve', 'three'), 'STORE_LOCKED');
      lock.release();
      (await temporary.store.lock('serve', 'three')).release();
      await temporary.store.close();
    });
  });

  test('a takeover may raise the epoch, and a stricter policy be set', async (context) => {
    for (const work of ['takeover', 'policy']) {
      await withStore(context, async (temporary, disk) => {
        disk.fillUp();
        const repository = await temporary.repository();
        const { epoch } = await repository.status();
        if (work === 'takeover') assert.equal(await repository.raiseEpoch(epoch), epoch + 1);
        else await temporary.store.changeSettings(temporary.paired.id, { quotaBytes: undefined, retention: strict });
        await temporary.store.close();
      });
    }
  });

  test('without ballast it says that the disk is full', async (context) => {
    await withStore(
      context,
      async (temporary, disk) => {
        await temporary.store.close();
        assert.deepEqual(
          (await readdir(temporary.folder)).filter((name) => name === ballastName),
          [],
        );
        disk.fillUp();
        await rejectsWith(temporary.open(), 'DISK_FULL');
        await disk.empty();
        await (await temporary.open()).close();
      },
      { ballastBytes: 0 },
    );
  });

  test('where there is little room none is kept', async (context) => {
    await withStore(
      context,
      async (temporary) => {
        assert.equal(await sizeOf(join(temporary.folder, ballastName)), undefined);
        await temporary.store.close();
      },
      { ballastBytes: 8 * 1024 * 1024 },
    );
  });
});

describe('a disk that is mounted read-only', () => {
  test('the store opens, whether it was closed or its process was killed, gives back, and may be served', async (context) => {
    await withStore(context, async (temporary, disk) => {
      const { environment, folder } = temporary;
      (await temporary.store.lock('serve', 'before')).release();
      const killed = join(disk.folder, 'killed');
      await cp(folder, killed, { recursive: true });
      await chmod(killed, 0o700);
      await temporary.store.close();
      disk.mountReadOnly();
      for (const one of [folder, killed]) {
        const store = await createStore({ folder: one, environment });
        const lock = await store.lock('serve', 'fallback serve');
        const repository = await store.repository(temporary.paired.id);
        await repository.pack(6);
        assert.equal((await repository.snapshots()).length, 3);
        lock.release();
        await store.close();
        await (await openStore({ folder: one, environment })).close();
      }
    });
  });
});
