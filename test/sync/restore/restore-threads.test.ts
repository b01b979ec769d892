// Restores by real threads that read the packs' files themselves, as from a store's folder: whole, damaged, cut short.
import assert from 'node:assert/strict';
import { open, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { OpenPackFile, RepositoryReader } from '../../../src/store/repository-store.ts';
import type { RepositorySession } from '../../../src/sync/repository-session.ts';
import { newRestoreCounters, restoreArchivesToFolder } from '../../../src/sync/restore/restore-archive.ts';
import { findSnapshot } from '../../../src/sync/snapshots.ts';
import { withSession } from '../../support/client-fixture.ts';
import { inFolder, lines, noise, pushNights } from '../read/archives.ts';

/** The same repository with its packs as files of a folder, and how many of these are open. */
async function asFiles(
  session: RepositorySession<RepositoryReader>,
  packs: ReadonlyMap<number, Uint8Array>,
  folder: string,
): Promise<{ session: RepositorySession; pathOf: (pack: number) => string; openFiles: () => number }> {
  const pathOf = (pack: number): string => join(folder, `${pack}.pack`);
  // A trailer of the store stands behind each pack, as in a real one.
  for (const [pack, bytes] of packs) await writeFile(pathOf(pack), Buffer.concat([bytes, Buffer.alloc(48, 1)]));
  let openFiles = 0;
  const packFile = async (pack: number): Promise<OpenPackFile> => {
    const file = await open(pathOf(pack));
    openFiles++;
    const close = async (): Promise<void> => {
      openFiles--;
      await file.close();
    };
    return { descriptor: file.fd, sizeBytes: packs.get(pack)?.byteLength ?? 0, close };
  };
  const repository = new Proxy(session.repository, {
    get: (target, key) => (key === 'packFile' ? packFile : Reflect.get(target, key).bind(target)),
  });
  return { session: { ...session, repository }, pathOf, openFiles: () => openFiles };
}

test('threads restore from files; a pack that is cut short or changed costs its archives only', async () => {
  const archives: Record<string, Uint8Array> = {};
  for (let index = 0; index < 5; index++) {
    archives[`app${index}`] = Buffer.concat([
      noise(2_000_000, index),
      Buffer.from(lines(40_000, index)),
      Buffer.alloc(3_000_000),
    ]);
  }
  const { repository, secret } = await pushNights([archives]);
  await inFolder(async (outside) => {
    await withSession(repository as RepositoryReader, secret, async (plain) => {
      const { session, pathOf, openFiles } = await asFiles(plain, repository.packs, outside);
      const { record } = await findSnapshot(session, 'latest');
      const restore = async (name: string) => {
        const folder = join(outside, name);
        const counters = newRestoreCounters();
        const results = await restoreArchivesToFolder({
          ...{ session, archives: record.archives, folder, counters, overwrite: false },
        });
        for (const { archive, path, error } of results) {
          if (error !== undefined) continue;
          assert.ok((await readFile(path)).equals(archives[archive.name] ?? new Uint8Array(0)), archive.name);
        }
        assert.equal(openFiles(), 0);
        return Object.fromEntries(results.map(({ archive, error }) => [archive.name, error]));
      };
      assert.deepEqual(Object.values(await restore('whole')), [undefined, undefined, undefined, undefined, undefined]);
      const packsOf = (name: string): Set<number> =>
        new Set(record.archives.find((one) => one.name === name)?.recipe.runs.map(({ pack }) => pack));
      const onlyOf = (name: string): number => {
        const others = new Set(
          record.archives.filter((one) => one.name !== name).flatMap((one) => [...packsOf(one.name)]),
        );
        return [...packsOf(name)].find((pack) => !others.has(pack)) ?? assert.fail(`${name} has no pack of its own`);
      };
      await truncate(pathOf(onlyOf('app1')), 1000);
      const changed = await readFile(pathOf(onlyOf('app3')));
      changed[changed.byteLength - 100] = (changed[changed.byteLength - 100] ?? 0) ^ 1;
      await writeFile(pathOf(onlyOf('app3')), changed);
      const errors = await restore('damaged');
      assert.deepEqual(
        Object.values(errors).map((error) => error?.code),
        [undefined, 'DAMAGED', undefined, 'SEAL_BROKEN', undefined],
      );
      assert.match(errors['app1']?.message ?? '', /cut short/);
    });
  });
});
