// What a push counts of its packs, held equal to what the snapshot's recipes say; and its file.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { openPackDirectory } from '../../../src/crypto/sealed-pack.ts';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { limits } from '../../../src/format/limits.ts';
import type { Run } from '../../../src/format/recipe.ts';
import type { RepositoryReader } from '../../../src/store/repository-store.ts';
import { decodeUsage, encodeUsage, PackUsage, readUsage } from '../../../src/sync/push/pack-usage.ts';
import { noResentBudget } from '../../../src/sync/push/resent-budget.ts';
import { loadRuns } from '../../../src/sync/read/load-runs.ts';
import { PackReader } from '../../../src/sync/read/pack-reader.ts';
import type { RepositorySession } from '../../../src/sync/repository-session.ts';
import { findSnapshot } from '../../../src/sync/snapshots.ts';
import { makeMemoryRepository, pushBytes, withSession } from '../../support/client-fixture.ts';
import { photo, sqlText, tarOf } from '../../support/sample-archives.ts';
import { inTemporaryFolder } from '../../support/temporary-folder.ts';

/** The twin: every position that some recipe of the newest snapshot names, and the lengths of these. */
async function usageByRecipes(session: RepositorySession<RepositoryReader>): Promise<[number, number][]> {
  const positions = new Map<number, Set<number>>();
  const note = ({ pack, first, count }: Pick<Run, 'pack' | 'first' | 'count'>): void => {
    const used = positions.get(pack) ?? new Set();
    positions.set(pack, used);
    for (let position = first; position < first + count; position++) used.add(position);
  };
  const reader = new PackReader(session);
  for (const { recipe, catalogue } of (await findSnapshot(session, 'latest')).record.archives) {
    for (const one of [recipe, catalogue]) {
      if (one === undefined) continue;
      for (const run of one.runs) note(run);
      const runs = await loadRuns(reader, one);
      for (let run = 0; run < runs.length; run++)
        note({ pack: runs.packAt(run), first: runs.firstAt(run), count: runs.countAt(run) });
    }
  }
  const usage: [number, number][] = [];
  for (const [pack, used] of [...positions].sort(([a], [b]) => a - b)) {
    const { directory } = openPackDirectory(session.keys, await session.repository.pack(pack), pack);
    usage.push([pack, [...used].reduce((sum, position) => sum + (directory.lengths[position] ?? 0), 0)]);
  }
  return usage;
}

test('the push counts what the recipes say, night after night', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const same = photo(900_000);
    for (let night = 1; night <= 5; night++) {
      const archives = {
        // Long enough for nested recipes; the same zeros and the same photo more than once.
        app: tarOf({ 'db.sql': sqlText(30_000, 3 + (night % 2)), 'z.bin': new Uint8Array(500_000), 'p.jpg': same }),
        other: tarOf({ 'again.jpg': same, 'notes.txt': sqlText(4000 * night, 5) }),
        random: new Uint8Array(randomBytes(300_000)),
      };
      await withSession(repository, secret, async (session) => {
        const { sha256 } = await pushBytes(session, folder, archives);
        const kept = await readUsage(join(folder, 'index.usage'), sha256);
        assert.deepEqual(kept?.usage.entries(), await usageByRecipes(session));
      });
    }
  });
});

test('a pack that a kept archive needs counts as used to the last byte', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    await withSession(repository, secret, async (session) => {
      await pushBytes(session, folder, { app: sqlText(9000, 3) });
      const [kept] = (await findSnapshot(session, 'latest')).record.archives;
      assert.ok(kept !== undefined);
      const archives = [{ kept }];
      const { sha256 } = await pushBytes(session, folder, {}, { archives });
      const usage = (await readUsage(join(folder, 'index.usage'), sha256))?.usage;
      assert.ok((usage?.of(1) ?? 0) > 16 * 1024 * 1024);
    });
  });
});

const entry = fc.tuple(fc.integer({ min: 1, max: limits.packNumberMax }), fc.integer({ min: 1, max: 2 ** 24 }));

test('the file comes back as it was written', () => {
  void fc.assert(
    fc.property(
      fc.array(entry),
      fc.array(fc.nat(), { minLength: 3, maxLength: 3 }),
      (entries, [a = 0, b = 0, c = 0]) => {
        const usage = new PackUsage();
        for (const [pack, bytes] of new Map(entries)) usage.add(pack, bytes);
        const snapshotSha256 = new Uint8Array(randomBytes(32));
        const budget = { averageEarnedBytes: a, freeBytes: b, debtBytes: c };
        const decoded = decodeUsage(encodeUsage({ snapshotSha256, usage, budget }));
        assert.deepEqual(decoded.usage.entries(), usage.entries());
        assert.deepEqual([decoded.snapshotSha256, decoded.budget], [snapshotSha256, budget]);
      },
    ),
  );
});

test('a file that is cut, junk or another snapshot’s is no file', async () => {
  await inTemporaryFolder(async (folder) => {
    const path = join(folder, 'usage');
    const usage = new PackUsage();
    for (let pack = 1; pack < 50; pack++) usage.add(pack * 3, pack * 1000);
    const snapshotSha256 = new Uint8Array(32).fill(7);
    const whole = encodeUsage({ snapshotSha256, usage, budget: noResentBudget });
    for (let length = 0; length < whole.byteLength; length++) {
      assert.throws(
        () => decodeUsage(whole.subarray(0, length)),
        (error) => isFallbackError(error, 'FORMAT_INVALID'),
      );
    }
    assert.equal(await readUsage(path, snapshotSha256), undefined);
    for (const spoilt of [new Uint8Array(0), randomBytes(500), Buffer.concat([whole, Buffer.alloc(1)])]) {
      await writeFile(path, spoilt);
      assert.equal(await readUsage(path, snapshotSha256), undefined);
    }
    await writeFile(path, whole);
    assert.equal(await readUsage(path, new Uint8Array(32)), undefined);
    assert.equal((await readUsage(path, snapshotSha256))?.usage.of(3), 1000);
    assert.ok((await readFile(path)).equals(whole));
  });
});
