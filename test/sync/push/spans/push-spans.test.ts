// Pushes that remember spans: the same snapshots as without, whatever became of the memory.
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { FallbackError, isFallbackError } from '../../../../src/errors/fallback-error.ts';
import type { CryptoRunner } from '../../../../src/sync/workers/worker-pool.ts';
import { makeMemoryRepository, pushBytes, withSession } from '../../../support/client-fixture.ts';
import { hashedBytes } from '../../../support/hashed-bytes.ts';
import { restoreBytes } from '../../../support/restore-bytes.ts';
import { photo, sqlText, tarOf } from '../../../support/sample-archives.ts';
import { inTemporaryFolder } from '../../../support/temporary-folder.ts';

const dump = Buffer.from(sqlText(100_000));
const photos = photo(3_000_000);

/** The archives of a night: each edits the dump in one place. */
const nightOf = (number: number) => ({
  app: tarOf({
    'a.sql': Buffer.concat([dump.subarray(0, 900_000), Buffer.from(`night ${number}`), dump.subarray(900_000)]),
    'p.jpg': photos,
    'z.txt': sqlText(30_000, 7),
  }),
  system: tarOf({ 'b.sql': sqlText(20_000, 5), [`log${number}`]: sqlText(500, number) }),
});

type Spoil = (spansFolder: string, night: number) => Promise<void>;

async function eachFile(folder: string, change: (path: string) => Promise<void>): Promise<void> {
  for (const name of await readdir(folder)) await change(join(folder, name));
}

const spoils: Readonly<Record<string, Spoil>> = {
  'left alone': async () => undefined,
  'removed every night': async (folder) => await rm(folder, { recursive: true }),
  'cut short': async (folder) =>
    await eachFile(folder, async (path) => await writeFile(path, (await readFile(path)).subarray(0, -100))),
  'with a damaged block': async (folder) =>
    await eachFile(folder, async (path) => {
      const bytes = await readFile(path);
      bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200);
      await writeFile(path, bytes);
    }),
  'of other archives': async (folder) => {
    const names = await readdir(folder);
    const files = await Promise.all(names.map((name) => readFile(join(folder, name))));
    await Promise.all(names.map((name, index) => writeFile(join(folder, name), files.at(index - 1) ?? '')));
  },
};

for (const [what, spoil] of Object.entries(spoils)) {
  test(`the memory of spans ${what}: every night comes back byte for byte, and only what is new is sent`, async () => {
    await inTemporaryFolder(async (folder) => {
      const { repository, secret } = makeMemoryRepository();
      const nights = [0, 1, 2].map(nightOf);
      for (const [number, night] of nights.entries()) {
        await withSession(repository, secret, async (session) => {
          const { counters } = await pushBytes(session, folder, night);
          if (number > 0) assert.ok(counters.newBytes < 400_000, `${counters.newBytes} new bytes`);
          const again = await pushBytes(session, folder, night);
          assert.equal(again.counters.newBytes, again.counters.resentBytes);
        });
        await spoil(join(folder, 'index.spans'), number);
      }
      await withSession(repository, secret, async (session) => {
        for (const [number, night] of nights.entries())
          for (const [name, bytes] of Object.entries(night))
            assert.ok((await restoreBytes(session, name, String(2 * number + 1))).equals(bytes), `${name}, ${number}`);
      });
    });
  });
}

test('chunks that are known from memory and gone from the store are sent again', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const night = nightOf(1);
    await withSession(repository, secret, (session) => pushBytes(session, folder, night));
    for (const pack of [...repository.packs.keys()]) repository.packs.delete(pack);
    await withSession(repository, secret, async (session) => {
      const { counters } = await pushBytes(session, folder, night);
      assert.ok(counters.newBytes > 3_000_000, `${counters.newBytes} new bytes`);
      for (const [name, bytes] of Object.entries(night))
        assert.ok((await restoreBytes(session, name)).equals(bytes), name);
    });
  });
});

test('a push that broke off remembers what it saw whole, and nothing of an archive that it did not', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    await withSession(repository, secret, async (session) => {
      await pushBytes(session, folder, nightOf(0));
      repository.onPutPack = () => {
        throw new Error('the line is cut');
      };
      await assert.rejects(pushBytes(session, folder, { ...nightOf(1), more: photo(9_000_000) }));
      repository.onPutPack = () => undefined;
      const left = await readdir(join(folder, 'index.spans'));
      assert.ok(!left.some((name) => name.endsWith('.partial')), left.join(' '));
      await pushBytes(session, folder, nightOf(1));
      for (const [name, bytes] of Object.entries(nightOf(1)))
        assert.ok((await restoreBytes(session, name)).equals(bytes), name);
      assert.equal((await readdir(join(folder, 'index.spans'))).length, 2);
    });
  });
});

test('a pack that does not open again costs the memory of spans: it may be what is wrong', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const path = join(folder, 'index.spans');
    await withSession(repository, secret, (session) => pushBytes(session, folder, nightOf(1)));
    assert.equal((await readdir(path)).length, 2);
    await withSession(repository, secret, async (session) => {
      const failing: CryptoRunner = {
        run: async (task, affinity) => {
          if (task.kind === 'seal') throw new FallbackError('VERIFY_FAILED', 'as planned');
          return await session.crypto.run(task, affinity);
        },
        close: () => session.crypto.close(),
      };
      const pushing = pushBytes({ ...session, crypto: failing }, folder, nightOf(2));
      await assert.rejects(pushing, (error) => isFallbackError(error, 'VERIFY_FAILED'));
    });
    assert.deepEqual(await readdir(path), []);
    const { counters } = await withSession(repository, secret, (session) => pushBytes(session, folder, nightOf(2)));
    assert.ok(counters.newBytes < 400_000);
  });
});

test('every block of spans is cut and hashed anew now and then: what was put wrong into the memory does not last', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const night = nightOf(1);
    let lot = 0;
    const push = () =>
      withSession(repository, secret, async (session) => {
        let hashed = 0;
        const counting: CryptoRunner = {
          run: async (task, affinity) => {
            if (task.kind === 'ids') hashed += hashedBytes(task);
            return await session.crypto.run(task, affinity);
          },
          close: () => session.crypto.close(),
        };
        // The lot is the only single byte that a push draws.
        const randomBytes = (count: number) =>
          count === 1 ? Uint8Array.of(lot) : session.environment.randomBytes(count);
        const environment = { ...session.environment, randomBytes };
        const { counters } = await pushBytes({ ...session, crypto: counting, environment }, folder, night);
        return { newBytes: counters.newBytes - counters.resentBytes, hashed };
      });
    assert.ok((await push()).hashed > 0);
    // The larger archive has two blocks of spans, or three, as the key lets them end.
    for (lot of [16, 31, 48]) assert.deepEqual(await push(), { newBytes: 0, hashed: 0 });
    let hashed = 0;
    for (lot of [0, 1, 2, 224]) {
      const anew = await push();
      assert.equal(anew.newBytes, 0);
      assert.ok(lot === 2 || anew.hashed > 0, `${lot}`);
      if (lot < 3) hashed += anew.hashed;
    }
    assert.ok(hashed >= night.app.byteLength, `${hashed}`);
  });
});
