// Healing: packs that were lost come back, with the same chunks at the same places, from archives that still hold them.
import assert from 'node:assert/strict';
import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { FallbackError, isFallbackError } from '../../src/errors/fallback-error.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
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

/** Two archives in one pack, of which the pack then has only the first. */
async function withHoledPack(
  work: (
    night: { one: Uint8Array; two: Uint8Array },
    push: (archives: Record<string, Uint8Array>) => ReturnType<typeof pushBytes>,
    repository: MemoryRepository,
    folder: string,
    isWhole: (name: 'one' | 'two') => Promise<boolean>,
  ) => Promise<void>,
): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const night = { one: sqlText(1000, 3), two: sqlText(1000, 5) };
    const push = (archives: Record<string, Uint8Array>) =>
      withSession(repository, secret, (session) => pushBytes(session, folder, archives));
    const isWhole = (name: 'one' | 'two') =>
      withSession(repository, secret, async (session) => {
        try {
          return (await restoreBytes(session, name, '1')).equals(night[name]);
        } catch (error) {
          if (isFallbackError(error, 'DAMAGED') || isFallbackError(error, 'NOT_FOUND')) return false;
          throw error;
        }
      });
    await push(night);
    assert.equal(repository.packs.size, 1);
    lose(repository, [1], true);
    await copyFile(join(folder, 'index'), join(folder, 'index.old'));
    await push({ one: night.one });
    assert.deepEqual([await isWhole('one'), await isWhole('two')], [true, false]);
    await work(night, push, repository, folder, isWhole);
  });
}

for (const cache of ['an older directory', 'no directory'] as const) {
  test(`a holed pack keeps what it has when the index cache knows ${cache} of it`, async () => {
    await withHoledPack(async (night, push, repository, folder, isWhole) => {
      if (cache === 'no directory') await rm(join(folder, 'index'));
      else await rename(join(folder, 'index.old'), join(folder, 'index'));
      repository.quarantine.clear();
      // What it has already heals nothing.
      if (cache === 'an older directory') assert.equal((await push({ one: night.one })).counters.healedPacks, 0);
      assert.equal((await push({ two: night.two })).counters.healedPacks, 1);
      assert.deepEqual([await isWhole('one'), await isWhole('two')], [true, true]);
      assert.ok((await repository.status()).holed.isEmpty);
    });
  });
}

test('a holed pack that cannot be read tonight is left as it is, and healed another night', async () => {
  await withHoledPack(async (night, push, repository, _folder, isWhole) => {
    const { pack } = repository;
    repository.pack = async () => {
      throw new FallbackError('UNREACHABLE', 'the line is cut');
    };
    assert.equal((await push({ two: night.two })).counters.healedPacks, 0);
    repository.pack = pack;
    assert.deepEqual([await isWhole('one'), await isWhole('two')], [true, false]);
    assert.equal((await push({ two: night.two })).counters.healedPacks, 1);
    assert.deepEqual([await isWhole('one'), await isWhole('two')], [true, true]);
  });
});

test('a pack that was healed in part and is lost again is healed again', async () => {
  await withHoledPack(async (night, push, repository, _folder, isWhole) => {
    lose(repository, [1], true);
    assert.equal(await isWhole('one'), false);
    assert.equal((await push({ one: night.one })).counters.healedPacks, 1);
    assert.deepEqual([await isWhole('one'), await isWhole('two')], [true, false]);
  });
});

test('without room for what is set aside nothing is healed, and the push goes through', async () => {
  await withHoledPack(async (night, push, repository, folder, isWhole) => {
    await mkdir(join(folder, 'spool'));
    const { counters, snapshot } = await push({ two: night.two });
    assert.deepEqual([counters.healedPacks, snapshot.number as number], [0, 3]);
    assert.deepEqual([await isWhole('one'), await isWhole('two')], [true, false]);
    await rm(join(folder, 'spool'), { recursive: true });
    assert.equal((await push({ two: night.two })).counters.healedPacks, 1);
    assert.ok((await repository.status()).holed.isEmpty);
  });
});

test('a server that claims to have lost more than it can have had is not asked for all of it', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const status = repository.status.bind(repository);
    repository.status = async () => ({ ...(await status()), lost: PackRanges.from([{ first: 5, last: 2 ** 40 - 1 }]) });
    let asked = 0;
    repository.lostDirectory = async () => {
      asked++;
      return undefined;
    };
    await withSession(repository, secret, (session) => pushBytes(session, folder, { a: sqlText(1000, 3) }));
    assert.equal(asked, 10_000);
  });
});
