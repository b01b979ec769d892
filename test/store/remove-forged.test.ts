// What only the store's admin may do: dropping key documents and a forged head, with crashes in between.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { dropKeyDocument, dropNewestSnapshot } from '../../src/store/remove-forged.ts';
import { fakeKeyDocument } from '../support/fake-objects.ts';
import { TemporaryStore } from '../support/temporary-store.ts';
import { pushOnce } from '../support/writer.ts';
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
});
