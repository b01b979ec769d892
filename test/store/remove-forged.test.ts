// What only the store's admin may do: dropping key documents and a forged head, with crashes in between.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { dropKeyDocument, dropNewestSnapshot } from '../../src/store/remove-forged.ts';
import { fakeKeyDocument } from '../support/fake-objects.ts';
import { TemporaryStore } from '../support/temporary-store.ts';
import { pushOnce, TestWriter } from '../support/writer.ts';
import { rejectsWith } from './repository-conformance.ts';

let temporary: TemporaryStore;

beforeEach(async () => {
  temporary = await TemporaryStore.create();
});
afterEach(() => temporary.dispose());

describe('what a thief added', () => {
  test('a key document goes, with the access that its phrase gave; the last one stays', async () => {
    const repository = await temporary.repository();
    const { id, accessToken } = temporary.paired;
    await rejectsWith(dropKeyDocument(repository, 1), 'CONFLICT');
    const newer = randomBytes(32);
    await repository.putKeyDocument(2, fakeKeyDocument(id, 2, newer));
    assert.equal((await temporary.store.findRecovery(accessToken)).length, 1);
    await dropKeyDocument(repository, 1);
    assert.deepEqual(await repository.keyDocumentNumbers(), [2]);
    assert.equal((await temporary.store.findRecovery(accessToken)).length, 0);
    assert.equal((await temporary.store.findRecovery(newer)).length, 1);
    await rejectsWith(dropKeyDocument(repository, 1), 'NOT_FOUND');
    await temporary.reopen();
    assert.deepEqual(await (await temporary.repository()).keyDocumentNumbers(), [2]);
  });

  test('the newest snapshot goes, the one before is the head again, and pushes go on from it', async () => {
    const repository = await temporary.repository();
    await pushOnce(repository, 2);
    const { head: first } = await repository.status();
    await pushOnce(repository, 1, [1]);
    await rejectsWith(dropNewestSnapshot(repository, 1), 'CONFLICT');
    await dropNewestSnapshot(repository, 2);
    assert.deepEqual((await repository.status()).head, first);
    assert.equal((await repository.snapshots()).length, 1);
    await temporary.reopen();
    const again = await temporary.repository();
    await pushOnce(again, 1, [1]);
    assert.deepEqual(
      (await again.snapshots()).map(({ number }) => number),
      [1, 2],
    );
  });

  test('the newest snapshot: a lease that is asked for meanwhile does not bring it back', async () => {
    const repository = await temporary.repository();
    await pushOnce(repository, 2);
    await pushOnce(repository, 1, [1]);
    const second = await temporary.open();
    const { objects } = repository.context;
    const remove = objects.remove.bind(objects);
    let racing: Promise<TestWriter> | undefined;
    const removeLate = async (keys: readonly string[]): Promise<void> => {
      const other = await second.repository(temporary.paired.id);
      racing = TestWriter.begin(other);
      await sleep(200);
      await remove(keys);
    };
    Object.assign(objects, { remove: removeLate });
    await dropNewestSnapshot(repository, 2);
    assert.equal((await racing)?.head?.number, 1);
    assert.equal((await repository.status()).head?.number, 1);
    await second.close();
  });

  test('the newest snapshot: a crash on the way leaves it to be dropped again, or gone', async () => {
    for (const isBefore of [true, false]) {
      const repository = await temporary.repository();
      await pushOnce(repository, 2);
      await pushOnce(repository, 1, [1]);
      const number = (await repository.status()).head?.number ?? 0;
      const { objects } = repository.context;
      const replace = objects.replace.bind(objects);
      const crash = async (...args: Parameters<typeof replace>): Promise<void> => {
        if (!isBefore) await replace(...args);
        throw new Error('crash');
      };
      Object.assign(objects, { replace: crash });
      await assert.rejects(dropNewestSnapshot(repository, number), /crash/);
      await temporary.reopen();
      const again = await temporary.repository();
      if (isBefore) await dropNewestSnapshot(again, number);
      assert.equal((await again.status()).head?.number, number - 1);
      assert.ok((await again.snapshots()).every((one) => one.number < number));
      assert.equal((await pushOnce(again, 1, [1])).head?.number, number);
    }
  });
});
