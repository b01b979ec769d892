import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { scrubRepository } from '../../src/store/scrub.ts';
import { TemporaryStore } from '../support/temporary-store.ts';
import { pushOnce, TestWriter } from '../support/writer.ts';
import { checkAcknowledged, killSweep, startWriter } from './kill-sweep.ts';
import { rejectsWith } from './repository-conformance.ts';

describe('processes', () => {
  test('a writer killed at 12 random moments: what it was told is there, and the next one goes on', async () => {
    await killSweep(12);
  });

  test('three processes push into one repository at once: one chain, nothing lost', async () => {
    const temporary = await TemporaryStore.create({ reserveFreeBytes: 0 });
    temporary.environment.nowMs = () => Date.now();
    try {
      const children = ['one', 'two', 'three'].map((holder) => startWriter(temporary, holder, 8));
      for (const child of children) await child.end();
      await checkAcknowledged(
        temporary,
        children.flatMap((child) => child.lines),
      );
      const repository = await temporary.repository();
      assert.equal((await repository.snapshots()).length, 24);
      assert.equal((await repository.status()).present.toText(), '1-96');
      assert.deepEqual((await scrubRepository(repository)).damage, []);
    } finally {
      await temporary.dispose();
    }
  });

  test('a full disk: the push is told, what was there stays, and goes on once there is space', async (context) => {
    const folder = await mkdtemp(join(tmpdir(), 'fallback-full-'));
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m,mode=0700', 'tmpfs', folder]);
    if (mounted.status !== 0) {
      await rmdir(folder);
      context.skip('mounting a tmpfs needs root');
      return;
    }
    try {
      const temporary = await TemporaryStore.create({ reserveFreeBytes: 0 }, folder);
      const repository = await temporary.repository();
      await pushOnce(repository, 2);
      await writeFile(join(folder, 'ballast'), Buffer.alloc(2 * 1024 * 1024));
      const writer = await TestWriter.begin(repository);
      await assert.rejects(
        async () => {
          for (;;) await writer.putNew({ bodyBytes: 500_000 });
        },
        (error: unknown) => error instanceof Error && 'code' in error && error.code === 'SERVER_FULL',
      );
      // Not one byte more: every next attempt is refused as clearly.
      for (let count = 0; count < 5; count++) await rejectsWith(writer.putNew({ bodyBytes: 1_000_000 }), 'SERVER_FULL');
      assert.deepEqual(await readdir(join(temporary.folder, 'repositories', temporary.paired.id, 'tmp')), []);
      for (const pack of writer.packs.values())
        assert.deepEqual(Buffer.from(await repository.pack(pack.number)), Buffer.from(pack.file));
      await rm(join(folder, 'ballast'));
      await writer.putNew({ bodyBytes: 500_000 });
      await writer.commit([...writer.packs.keys()]);
      assert.deepEqual((await scrubRepository(repository)).damage, []);
      await temporary.dispose();
    } finally {
      spawnSync('umount', [folder]);
      await rmdir(folder);
    }
  });
});
