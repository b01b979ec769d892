// Push and restore over a repository in memory: what goes in comes out, and only what is missing is sent.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { isFallbackError } from '../../src/errors/fallback-error.ts';
import { parseEpoch } from '../../src/format/ids.ts';
import { openFileSource } from '../../src/sync/push/byte-source.ts';
import { newRestoreCounters, restoreArchiveToFile } from '../../src/sync/restore/restore-archive.ts';
import { findArchive, findSnapshot } from '../../src/sync/snapshots.ts';
import { makeMemoryRepository, pushBytes, testConfiguration, withSession } from '../support/client-fixture.ts';
import { restoreBytes } from '../support/restore-bytes.ts';
import { photo, sqlText, tarOf } from '../support/sample-archives.ts';
import { inTemporaryFolder } from '../support/temporary-folder.ts';

for (const engine of ['fallback', 'fastcdc-wasm'] as const) {
  test(`archives come back byte for byte, and an unchanged night sends next to nothing (${engine})`, async () => {
    await inTemporaryFolder(async (folder) => {
      const { repository, secret } = makeMemoryRepository({ ...testConfiguration, engine });
      const system = tarOf({ 'a.sql': sqlText(60_000, 3), 'photo.jpg': photo(3_000_000), 'b.txt': sqlText(100) });
      const archives = { system, app: new Uint8Array(randomBytes(700_000)), empty: new Uint8Array(0) };
      const first = await withSession(repository, secret, (session) => pushBytes(session, folder, archives));
      assert.equal(first.snapshot.number, 1);
      const second = await withSession(repository, secret, (session) => pushBytes(session, folder, archives));
      assert.deepEqual([second.counters.newBytes, second.counters.packsSent], [0, 0]);
      assert.equal(repository.directoryCalls, 0, 'the cache served');
      assert.ok(second.snapshotBytes < 1500, `a snapshot of ${second.snapshotBytes} bytes`);
      await withSession(repository, secret, async (session) => {
        const snapshot = await findSnapshot(session, 'latest');
        for (const [name, bytes] of Object.entries(archives)) {
          const path = join(folder, name);
          await restoreArchiveToFile({
            session,
            archive: findArchive(snapshot, name),
            path,
            counters: newRestoreCounters(),
            overwrite: false,
          });
          assert.ok((await readFile(path)).equals(bytes), name);
          assert.ok((await restoreBytes(session, name)).equals(bytes), name);
        }
      });
      assert.deepEqual((await readdir(folder)).sort(), [
        'app',
        'empty',
        'index',
        'index.archives',
        'index.numbers',
        'index.spans',
        'index.usage',
        'system',
      ]);
    });
  });
}

test('small edits cost little', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const dump = Buffer.from(sqlText(100_000));
    const photos = photo(2_000_000);
    await withSession(repository, secret, (session) =>
      pushBytes(session, folder, { app: tarOf({ 'db.sql': dump, 'p.jpg': photos }) }),
    );
    const edited = Buffer.concat([dump.subarray(0, 1_000_000), Buffer.from('inserted'), dump.subarray(1_000_000)]);
    const moved = tarOf({ 'folder/p.jpg': photos, 'db.sql': edited }, 1_758_300_000.5);
    const result = await withSession(repository, secret, (session) => pushBytes(session, folder, { app: moved }));
    assert.ok(result.counters.newBytes < 150_000, `${result.counters.newBytes} new bytes`);
    await withSession(repository, secret, async (session) =>
      assert.ok((await restoreBytes(session, 'app')).equals(moved)),
    );
  });
});

test('any bytes come back, whatever was pushed before', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 5000 }),
      fc.nat(3000).map((lines) => sqlText(lines)),
      fc.nat(200_000).map((size) => new Uint8Array(size)),
    );
    const archive = fc.array(piece, { maxLength: 4 }).map((pieces) => new Uint8Array(Buffer.concat(pieces)));
    await fc.assert(
      fc.asyncProperty(fc.array(archive, { minLength: 1, maxLength: 3 }), async (archives) => {
        const named = Object.fromEntries(archives.map((bytes, index) => [`a${index}`, bytes]));
        await withSession(repository, secret, async (session) => {
          await pushBytes(session, folder, named);
          for (const [name, bytes] of Object.entries(named))
            assert.ok((await restoreBytes(session, name)).equals(bytes));
        });
      }),
      { numRuns: 15 },
    );
  });
});

test('a gzipped archive is told by its bytes and comes back as a plain tar', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const tar = tarOf({ 'a.sql': sqlText(20_000) });
    await writeFile(join(folder, 'x.bin'), gzipSync(tar));
    await withSession(repository, secret, async (session) => {
      await pushBytes(session, folder, { x: tar });
      const archives = [{ name: 'x', open: () => openFileSource(join(folder, 'x.bin')) }];
      const second = await pushBytes(session, folder, {}, { archives });
      assert.equal(second.counters.newBytes, 0);
      assert.ok((await restoreBytes(session, 'x')).equals(tar));
    });
  });
});

test('a broken gzip stream fails the push and publishes nothing', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    await writeFile(join(folder, 'x.tar.gz'), gzipSync(sqlText(20_000)).subarray(0, 5000));
    const archives = [{ name: 'x', open: () => openFileSource(join(folder, 'x.tar.gz')) }];
    await withSession(repository, secret, async (session) => {
      await assert.rejects(pushBytes(session, folder, {}, { archives }), (error) =>
        isFallbackError(error, 'ARCHIVE_UNREADABLE'),
      );
    });
    assert.equal(repository.files.length, 0);
    assert.equal(repository.lease, undefined, 'the lease is given back');
  });
});

test('an archive that changes while it is read fails the push', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const path = join(folder, 'x.tar');
    await writeFile(path, sqlText(1000));
    const archives = [
      {
        name: 'x',
        async open() {
          const source = await openFileSource(path);
          await writeFile(path, sqlText(1001));
          return source;
        },
      },
    ];
    await withSession(repository, secret, (session) =>
      assert.rejects(pushBytes(session, folder, {}, { archives }), (error) =>
        isFallbackError(error, 'ARCHIVE_CHANGED'),
      ),
    );
  });
});

test('a push that dies half-way is run again and sends little twice', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const archives = { a: new Uint8Array(randomBytes(8_000_000)) };
    repository.onPutPack = () => {
      if (repository.packs.size >= 2) throw new Error('the network is gone');
    };
    await withSession(repository, secret, (session) => assert.rejects(pushBytes(session, folder, archives), /network/));
    const sent = repository.packs.size;
    assert.ok(sent >= 1, `${sent} packs arrived`);
    repository.onPutPack = () => undefined;
    const again = await withSession(repository, secret, (session) => pushBytes(session, folder, archives));
    assert.ok(again.counters.newBytes < 8_000_000 - (sent - 1) * 192 * 1024, `${again.counters.newBytes} sent again`);
    await withSession(repository, secret, async (session) =>
      assert.ok((await restoreBytes(session, 'a')).equals(archives.a)),
    );
  });
});

test('two pushes at once: the second is told that the repository is busy', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    repository.onPutPack = () => gate;
    const first = withSession(repository, secret, (session) => pushBytes(session, folder, { a: sqlText(50_000) }));
    while (repository.putPackCalls === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await withSession(repository, secret, (session) =>
      assert.rejects(pushBytes(session, join(folder, 'other'), { a: sqlText(10) }), (error) =>
        isFallbackError(error, 'BUSY'),
      ),
    );
    release();
    assert.equal((await first).snapshot.number, 1);
  });
});

test('a fenced machine cannot push', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    await repository.raiseEpoch(parseEpoch(1));
    await withSession(repository, secret, (session) =>
      assert.rejects(pushBytes(session, folder, { a: sqlText(10) }), (error) => isFallbackError(error, 'FENCED')),
    );
  });
});

test('an archive that failed tonight stays as it was last night, in a partial snapshot', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const good = { wiki: tarOf({ 'w.sql': sqlText(40_000, 5) }), blog: sqlText(3000, 7) };
    await withSession(repository, secret, (session) => pushBytes(session, folder, good));
    await withSession(repository, secret, async (session) => {
      const last = await findSnapshot(session, 'latest');
      const newer = sqlText(3100, 7);
      const archives = [
        { kept: findArchive(last, 'wiki') },
        {
          name: 'blog',
          open: async () => (await import('../../src/sync/push/byte-source.ts')).openFileSource(join(folder, 'blog')),
        },
      ];
      await writeFile(join(folder, 'blog'), newer);
      const result = await pushBytes(session, folder, {}, { archives, finish: () => ({ complete: false }) });
      assert.equal(result.snapshot.complete, false);
      assert.equal(result.archives[0]?.status, 'kept');
      assert.ok((await restoreBytes(session, 'wiki')).equals(good.wiki));
      assert.ok((await restoreBytes(session, 'blog')).equals(newer));
    });
  });
});

test('the same name twice, or a name that is no file name, is refused', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const open = () => openFileSource('/dev/null');
    for (const names of [['a', 'a'], ['../a'], [''], ['.a'], ['a\nb']]) {
      await withSession(repository, secret, (session) =>
        assert.rejects(pushBytes(session, folder, {}, { archives: names.map((name) => ({ name, open })) }), (error) =>
          isFallbackError(error, 'USAGE'),
        ),
      );
    }
    assert.equal(repository.files.length, 0);
  });
});
