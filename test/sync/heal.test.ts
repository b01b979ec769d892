// Healing: packs that were lost come back, with the same chunks at the same places, from archives that still hold them.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isFallbackError } from '../../src/errors/fallback-error.ts';
import { makeMemoryRepository, pushBytes, withSession } from '../support/client-fixture.ts';
import type { MemoryRepository } from '../support/memory-repository.ts';
import { restoreBytes } from '../support/restore-bytes.ts';
import { photo, sqlText, tarOf } from '../support/sample-archives.ts';
import { inTemporaryFolder } from '../support/temporary-folder.ts';

function lose(repository: MemoryRepository, numbers: Iterable<number>, keepDirectory: boolean): void {
  for (const number of numbers) {
    const file = repository.packs.get(number);
    if (file !== undefined && keepDirectory) repository.quarantine.set(number, file);
    repository.packs.delete(number);
  }
}

const archives = () => ({
  app: tarOf({ 'a.sql': sqlText(40_000, 3), 'p.jpg': photo(1_500_000) }),
  text: sqlText(9000, 11),
});

for (const [where, dropCache] of [
  ['the index cache', false],
  ['the quarantined files', true],
] as const) {
  test(`all packs lost, the same archives again: every old snapshot is whole (directories from ${where})`, async () => {
    await inTemporaryFolder(async (folder) => {
      const { repository, secret } = makeMemoryRepository();
      const night = archives();
      await withSession(repository, secret, (session) => pushBytes(session, folder, night));
      lose(repository, [...repository.packs.keys()], dropCache);
      if (dropCache) await rm(join(folder, 'index'));
      const healed = await withSession(repository, secret, (session) => pushBytes(session, folder, night));
      assert.ok(healed.counters.healedPacks > 5);
      await withSession(repository, secret, async (session) => {
        for (const snapshot of ['1', '2']) {
          for (const [name, bytes] of Object.entries(night))
            assert.ok((await restoreBytes(session, name, snapshot)).equals(bytes));
        }
      });
    });
  });
}

test('a lost pack of which only a part comes back has holes, and a later night fills them', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const night = { one: sqlText(1000, 3), two: sqlText(1000, 5) };
    await withSession(repository, secret, (session) => pushBytes(session, folder, night));
    assert.equal(repository.packs.size, 1);
    lose(repository, [1], false);
    await withSession(repository, secret, (session) => pushBytes(session, folder, { one: night.one }));
    assert.equal((await repository.status()).holed.has(1), true);
    await withSession(repository, secret, async (session) => {
      assert.ok((await restoreBytes(session, 'one', '1')).equals(night.one));
      await assert.rejects(restoreBytes(session, 'two', '1'), (error) => isFallbackError(error, 'DAMAGED'));
    });
    const last = await withSession(repository, secret, (session) => pushBytes(session, folder, { two: night.two }));
    assert.equal(last.counters.healedPacks, 1);
    assert.equal((await repository.status()).holed.isEmpty, true);
    await withSession(repository, secret, async (session) => {
      for (const [name, bytes] of Object.entries(night))
        assert.ok((await restoreBytes(session, name, '1')).equals(bytes));
    });
  });
});

test('lost packs whose chunks are nowhere stay lost, and tonight’s snapshot does not need them', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    await withSession(repository, secret, (session) => pushBytes(session, folder, { a: sqlText(5000, 3) }));
    lose(repository, [1], false);
    const other = sqlText(5000, 13);
    const result = await withSession(repository, secret, (session) => pushBytes(session, folder, { a: other }));
    assert.equal(result.counters.healedPacks, 0);
    await withSession(repository, secret, async (session) =>
      assert.ok((await restoreBytes(session, 'a', '2')).equals(other)),
    );
  });
});
