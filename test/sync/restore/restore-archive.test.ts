// Whole archives: shared packs once, sparse files, full disks, kills, memory.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { type FallbackError, isFallbackError } from '../../../src/errors/fallback-error.ts';
import type { Run } from '../../../src/format/recipe.ts';
import {
  newRestoreCounters,
  restoreArchivesToFolder,
  restoreArchiveToFile,
} from '../../../src/sync/restore/restore-archive.ts';
import { restoreArchiveToStream } from '../../../src/sync/restore/restore-stream.ts';
import { findSnapshot } from '../../../src/sync/snapshots.ts';
import { makeMemoryRepository } from '../../support/client-fixture.ts';
import {
  counting,
  inFolder,
  lines,
  noise,
  pushNights,
  tarOf,
  withArchive,
  withQuickSession,
} from '../read/archives.ts';
import { addPack, archiveOf } from './synthetic-archive.ts';

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (isFallbackError(error) ? error.code : String(error)),
  );

test('a whole snapshot: NAME.tar for each archive, packs that they share fetched once; damage costs one archive only', async () => {
  const shared = noise(700_000, 1);
  const archives = {
    app: tarOf([
      ['a', shared],
      ['b', lines(9000, 2)],
    ]),
    system: tarOf([
      ['copy', shared],
      ['c', noise(300_000, 3)],
    ]),
    empty: new Uint8Array(0),
  };
  const fixture = await pushNights([archives]);
  await withQuickSession(fixture.repository, fixture.secret, async (plain) => {
    const { session, fetched } = counting(plain);
    const { record } = await findSnapshot(session, 'latest');
    await inFolder(async (outside) => {
      const folder = join(outside, 'restored');
      const counters = newRestoreCounters();
      const results = await restoreArchivesToFolder({
        session,
        archives: record.archives,
        folder,
        counters,
        overwrite: false,
      });
      assert.deepEqual(
        results.map(({ archive, error }) => [archive.name, error]),
        Object.keys(archives).map((name) => [name, undefined]),
      );
      for (const [name, bytes] of Object.entries(archives)) {
        assert.ok((await readFile(join(folder, `${name}.tar`))).equals(bytes), name);
      }
      assert.equal(counters.writtenBytes, counters.totalBytes);
      assert.equal(
        counters.packsFetched,
        new Set(record.archives.flatMap(({ recipe }) => recipe.runs.map((run) => run.pack))).size,
      );
      assert.ok(
        [...fetched.values()].every((count) => count === 1),
        'each pack once',
      );
      const again = restoreArchivesToFolder({ session, archives: record.archives, folder, counters, overwrite: false });
      assert.equal(await codeOf(again), 'ALREADY_EXISTS');
      const packsOf = (name: string) =>
        new Set(record.archives.find((one) => one.name === name)?.recipe.runs.map((run) => run.pack));
      const lost = [...packsOf('system')].find((pack) => !packsOf('app').has(pack)) ?? 0;
      fixture.repository.packs.delete(lost);
      const rest = await restoreArchivesToFolder({
        session,
        archives: record.archives,
        folder: join(outside, 'rest'),
        counters,
        overwrite: false,
      });
      assert.deepEqual(
        rest.map(({ error }) => error?.code),
        [undefined, 'NOT_FOUND', undefined],
      );
      assert.deepEqual((await readdir(join(outside, 'rest'))).sort(), ['app.tar', 'empty.tar']);
    });
  });
});

test('zero regions are left sparse, and the rest is as it was', async () => {
  const bytes = Buffer.concat([noise(50_001, 1), Buffer.alloc(20_000_000), noise(70_000, 2), Buffer.alloc(3_000_000)]);
  await withArchive(bytes, async (session, archive) => {
    await inFolder(async (outside) => {
      const path = join(outside, 'app.tar');
      await restoreArchiveToFile({ session, archive, path, counters: newRestoreCounters(), overwrite: false });
      assert.ok((await readFile(path)).equals(bytes));
      const { blocks } = await stat(path);
      assert.ok(blocks * 512 < 1_000_000, `${blocks} blocks`);
    });
  });
});

test('existing files are replaced only when asked; an abort leaves nothing', async () => {
  await withArchive(noise(900_000, 1), async (session, archive) => {
    await inFolder(async (outside) => {
      const path = join(outside, 'app.tar');
      await writeFile(path, 'mine');
      const base = { session, archive, path, counters: newRestoreCounters() };
      assert.equal(await codeOf(restoreArchiveToFile({ ...base, overwrite: false })), 'ALREADY_EXISTS');
      assert.equal(await readFile(path, 'utf8'), 'mine');
      const signal = AbortSignal.abort(new Error('stopped'));
      assert.match(await codeOf(restoreArchiveToFile({ ...base, overwrite: true, signal })), /stopped/);
      assert.equal(await readFile(path, 'utf8'), 'mine');
      await restoreArchiveToFile({ ...base, overwrite: true });
      assert.ok((await readFile(path)).equals(noise(900_000, 1)));
      assert.deepEqual(await readdir(outside), ['app.tar']);
    });
  });
});

/** Runs with a file system of one MiB; false where none can be mounted. */
async function onSmallDisk(work: (folder: string) => Promise<void>): Promise<boolean> {
  return await inFolder(async (outside) => {
    const folder = join(outside, 'small');
    await mkdir(folder);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', folder], { stdio: 'ignore' });
    } catch {
      return false;
    }
    try {
      await work(folder);
    } finally {
      execFileSync('umount', [folder]);
    }
    return true;
  });
}

test('a full disk: told before anything is fetched, or in the middle; nothing is left behind', async (context) => {
  const didRun = await onSmallDisk(async (folder) => {
    await withArchive(noise(3_000_000, 1), async (session, archive, { repository }) => {
      repository.packs.clear();
      const path = join(folder, 'app.tar');
      const error = await restoreArchiveToFile({
        session,
        archive,
        path,
        counters: newRestoreCounters(),
        overwrite: false,
      }).then(
        () => assert.fail('restored'),
        (thrown: FallbackError) => thrown,
      );
      assert.equal(error.code, 'DISK_FULL');
      assert.match(error.message, /\d [kMGT]?B free, and \d.* [kMGT]?B are needed/);
      assert.ok(Number(error.details['neededBytes']) > Number(error.details['freeBytes']));
    });
    // Equal chunks in a row look like zeros to the look ahead, and are none: the disk fills while it writes.
    await withArchive(Buffer.alloc(3_000_000, 7), async (session, archive) => {
      const path = join(folder, 'app.tar');
      const restoring = restoreArchiveToFile({
        session,
        archive,
        path,
        counters: newRestoreCounters(),
        overwrite: false,
      });
      assert.equal(await codeOf(restoring), 'DISK_FULL');
    });
    assert.deepEqual(await readdir(folder), []);
  });
  if (!didRun) context.skip('no tmpfs can be mounted here');
});

test('killed in the middle: only a partial file is left, which the next run removes', async () => {
  await inFolder(async (outside) => {
    const script = join(import.meta.dirname, 'killed-restore.ts');
    const child = spawn(process.execPath, [script, outside], { stdio: ['ignore', 'pipe', 'inherit'] });
    const closed = new Promise<'closed'>((resolve) => child.once('close', () => resolve('closed')));
    const halfWay = new Promise<'half-way'>((resolve) => child.stdout.once('data', () => resolve('half-way')));
    assert.equal(await Promise.race([halfWay, closed]), 'half-way');
    child.kill('SIGKILL');
    await closed;
    const left = await readdir(outside);
    assert.equal(left.length, 1);
    assert.match(left[0] ?? '', /^\..*\.partial$/);
    await withArchive(noise(300_000, 1), async (session, archive) => {
      await restoreArchiveToFile({
        session,
        archive,
        path: join(outside, 'app.tar'),
        counters: newRestoreCounters(),
        overwrite: false,
      });
    });
    assert.deepEqual(await readdir(outside), ['app.tar']);
  });
});

test('to a stream: in order, in flat memory, each pack fetched once where that is possible', async () => {
  const fixture = makeMemoryRepository();
  // Forty packs of 4 MiB; of each, every round needs the next hundredth, as in an archive after many nights.
  const chunk = 40 * 1024;
  const packs = 40;
  const perPack = 100;
  const contents = new Map<number, Uint8Array>();
  for (let pack = 1; pack <= packs; pack++) {
    const bytes = noise(chunk * perPack, pack);
    contents.set(pack, bytes);
    addPack(
      fixture,
      pack,
      Array.from({ length: perPack }, (_, at) => bytes.subarray(at * chunk, (at + 1) * chunk)),
    );
  }
  const runs: Run[] = [];
  for (let first = 0; first < perPack; first++) {
    for (let pack = 1; pack <= packs; pack++)
      if (first < 20 || pack === 1) runs.push({ pack, first, count: 1, bytes: chunk });
  }
  const contentsOf = ({ pack, first, bytes }: Run) =>
    contents.get(pack)?.subarray(first * chunk, first * chunk + bytes) ?? new Uint8Array(0);
  const archive = archiveOf('app', runs, contentsOf);
  await withQuickSession(fixture.repository, fixture.secret, async (plain) => {
    const { session, fetched } = counting(plain);
    let at = 0;
    let run = 0;
    const stream = new Writable({
      write(piece: Uint8Array, _encoding, done) {
        assert.ok(Buffer.from(piece).equals(contentsOf(runs[run++] ?? { pack: 0, first: 0, count: 0, bytes: 0 })));
        at += piece.byteLength;
        done();
      },
    });
    await restoreArchiveToStream({ session, archive, stream, counters: newRestoreCounters() });
    assert.equal(at, archive.recipe.lengthBytes);
    // All packs together have 160 MiB, twice the cache; what is needed of them again has 32.
    assert.deepEqual([...new Set(fetched.values())], [1]);
    await assert.rejects(
      restoreArchiveToStream({
        session,
        archive,
        stream: new Writable({ write: (_piece, _encoding, done) => done(new Error('EPIPE')) }),
        counters: newRestoreCounters(),
      }),
    );
    const wrong = { ...archive, recipe: { ...archive.recipe, sha256: new Uint8Array(32) } };
    const sink = new Writable({ write: (_piece, _encoding, done) => done() });
    assert.equal(
      await codeOf(restoreArchiveToStream({ session, archive: wrong, stream: sink, counters: newRestoreCounters() })),
      'DAMAGED',
    );
  });
});
