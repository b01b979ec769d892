// Damage that is known before a push: the push does not build on it, and healing it never costs the push.
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/errors/error-codes.ts';
import { FallbackError, isFallbackError } from '../../src/errors/fallback-error.ts';
import { decodePackHeader, packHeaderBytes } from '../../src/format/pack.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import { decodeSnapshotFile } from '../../src/format/snapshot.ts';
import { newCheckCounters } from '../../src/sync/check/check-report.ts';
import { checkRepository } from '../../src/sync/check/check-repository.ts';
import { readDamagedPacks, writeDamagedPacks } from '../../src/sync/index/damaged-packs.ts';
import { LostPacks, lostChunksMax } from '../../src/sync/index/lost-packs.ts';
import {
  type ClientFixture,
  makeMemoryRepository,
  pushBytes,
  testEnvironment,
  withSession,
} from '../support/client-fixture.ts';
import type { MemoryRepository } from '../support/memory-repository.ts';
import { restoreBytes } from '../support/restore-bytes.ts';
import { photo, sqlText, tarOf } from '../support/sample-archives.ts';
import { inTemporaryFolder } from '../support/temporary-folder.ts';

const random = testEnvironment.randomBytes;
const night = { app: tarOf({ 'a.sql': sqlText(20_000, 3), 'p.jpg': photo(900_000) }), text: sqlText(4000, 11) };

const pushNight = ({ repository, secret }: ClientFixture, folder: string) =>
  withSession(repository, secret, (session) => pushBytes(session, folder, night));

function flip(repository: MemoryRepository, pack: number, at: (file: Uint8Array) => number): void {
  const file = new Uint8Array(repository.packs.get(pack) ?? []);
  file[at(file)] = (file[at(file)] ?? 0) ^ 1;
  repository.packs.set(pack, file);
}

async function isWhole({ repository, secret }: ClientFixture, snapshot: string): Promise<boolean> {
  return await withSession(repository, secret, async (session) => {
    try {
      for (const [name, bytes] of Object.entries(night))
        if (!(await restoreBytes(session, name, snapshot)).equals(bytes)) return false;
      return true;
    } catch (error) {
      if (isFallbackError(error)) return false;
      throw error;
    }
  });
}

const check = ({ repository, secret }: ClientFixture) =>
  withSession(repository, secret, (session) =>
    checkRepository({ session, readDataPercent: 100, counters: newCheckCounters() }),
  );

test('a push does not build on a pack that a check found damaged, and heals it once the store has lost it', async () => {
  await inTemporaryFolder(async (folder) => {
    const fixture = makeMemoryRepository();
    const { repository } = fixture;
    const indexPath = join(folder, 'index');
    const noted = () => readDamagedPacks(indexPath, repository.repositoryId);
    await pushNight(fixture, folder);
    flip(repository, 1, (file) => file.length - 40);
    // Nobody has noticed yet.
    await pushNight(fixture, folder);
    assert.ok(decodeSnapshotFile(repository.files[1] ?? new Uint8Array()).head.packs.has(1));
    const found = await check(fixture);
    assert.deepEqual([...found.packsUnusable.numbers()], [1]);
    assert.equal(found.packsSound.has(1), false);
    await writeDamagedPacks(indexPath, repository.repositoryId, found.packsUnusable, random);

    await pushNight(fixture, folder);
    assert.equal(decodeSnapshotFile(repository.files[2] ?? new Uint8Array()).head.packs.has(1), false);
    assert.deepEqual([await isWhole(fixture, '1'), await isWhole(fixture, '3')], [false, true]);
    assert.deepEqual([...(await noted()).numbers()], [1]);

    // Scrub has moved it aside.
    repository.quarantine.set(1, repository.packs.get(1) ?? new Uint8Array());
    repository.packs.delete(1);
    await pushNight(fixture, folder);
    assert.ok((await noted()).isEmpty);
    for (const snapshot of ['1', '2', '3', '4']) assert.ok(await isWhole(fixture, snapshot), snapshot);
    assert.deepEqual((await check(fixture)).problems, []);
  });
});

test('the list of damaged packs is of one repository, and a damaged list is none', async () => {
  await inTemporaryFolder(async (folder) => {
    const indexPath = join(folder, 'index');
    const [one, two] = [makeMemoryRepository().repository.repositoryId, makeMemoryRepository().repository.repositoryId];
    assert.ok((await readDamagedPacks(indexPath, one)).isEmpty);
    await writeDamagedPacks(indexPath, one, PackRanges.fromNumbers([3, 4, 9]), random);
    assert.deepEqual([...(await readDamagedPacks(indexPath, one)).numbers()], [3, 4, 9]);
    assert.ok((await readDamagedPacks(indexPath, two)).isEmpty);
    const path = `${indexPath}.damaged`;
    await writeFile(path, (await readFile(path)).subarray(0, -1));
    assert.ok((await readDamagedPacks(indexPath, one)).isEmpty);
    for (let again = 0; again < 2; again++) await writeDamagedPacks(indexPath, one, PackRanges.empty, random);
  });
});

test('a directory that does not open stops no push without a cache: its chunks are sent again', async () => {
  await inTemporaryFolder(async (folder) => {
    const fixture = makeMemoryRepository();
    const { repository } = fixture;
    await pushNight(fixture, folder);
    flip(repository, 2, (file) => packHeaderBytes + decodePackHeader(file).directoryBytes - 20);
    await rm(join(folder, 'index'));
    const { counters } = await pushNight(fixture, folder);
    assert.ok(counters.newBytes > 0);
    assert.equal(decodeSnapshotFile(repository.files[1] ?? new Uint8Array()).head.packs.has(2), false);
    assert.ok(await isWhole(fixture, '2'));
  });
});

for (const code of ['QUOTA_EXCEEDED', 'SERVER_FULL', 'CONFLICT', 'VERIFY_FAILED'] as const satisfies ErrorCode[]) {
  test(`a pack that cannot be healed (${code}) costs no push`, async () => {
    await inTemporaryFolder(async (folder) => {
      const fixture = makeMemoryRepository();
      const { repository } = fixture;
      await pushNight(fixture, folder);
      const before = repository.lastPack;
      for (const pack of [1, 2]) repository.packs.delete(pack);
      repository.onPutPack = (number) => {
        if (number <= before) throw new FallbackError(code, 'as planned');
      };
      assert.equal((await pushNight(fixture, folder)).counters.healedPacks, 0);
      assert.ok(await isWhole(fixture, '2'));
      repository.onPutPack = () => undefined;
      assert.equal((await pushNight(fixture, folder)).counters.healedPacks, 2);
      assert.ok(await isWhole(fixture, '1'));
    });
  });
}

test('a push that loses its lease while it heals is over', async () => {
  await inTemporaryFolder(async (folder) => {
    const fixture = makeMemoryRepository();
    await pushNight(fixture, folder);
    const before = fixture.repository.lastPack;
    fixture.repository.packs.delete(1);
    fixture.repository.onPutPack = (number) => {
      if (number <= before) throw new FallbackError('LEASE_LOST', 'as planned');
    };
    await assert.rejects(pushNight(fixture, folder), (error) => isFallbackError(error, 'LEASE_LOST'));
  });
});

test('what a killed push set aside for healing is removed by the next', async () => {
  await inTemporaryFolder(async (folder) => {
    await writeFile(join(folder, 'spool'), 'contents in clear');
    await pushNight(makeMemoryRepository(), folder);
    await assert.rejects(readFile(join(folder, 'spool')), { code: 'ENOENT' });
  });
});

test('of more lost packs than one night can heal some are kept, by lot', () => {
  const chunks = 1000;
  const pack = (number: number) => ({
    number,
    fileBytes: 1,
    lengths: new Uint32Array(chunks),
    ids: new Uint32Array(chunks * 8),
    holes: new Uint32Array(0),
  });
  const kept = [1, 2].map(() => {
    const lost = new LostPacks(testEnvironment.randomBytes);
    for (let number = 1; number <= 600; number++) {
      lost.add(pack(number));
      if (number % 3 === 0) lost.add(pack(number));
    }
    assert.ok(lost.packs.size <= lostChunksMax / chunks && lost.packs.size > lostChunksMax / chunks - 2);
    return [...lost.packs.keys()];
  });
  assert.notDeepEqual(kept[0], kept[1]);
  assert.ok(kept.some((numbers) => numbers.some((number) => number < 300)));
});
