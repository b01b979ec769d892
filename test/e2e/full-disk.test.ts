// Full disks, on small tmpfs mounts: the server's, and the client's.
import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommand, startServe, tryCommand } from '../../bench/command.ts';
import { withSmallDisk } from '../support/small-disk.ts';
import { nightArchives, restoreArchives, sameArchives, withStory, writeArchives } from './story.ts';

test('the server’s disk fills up: the push says so, the last snapshot is whole, and with room the push goes through', async (context) => {
  await withSmallDisk(
    16,
    (why) => context.skip(why),
    async (disk) => {
      await withStory(
        async (story) => {
          const folder = join(story.folder, 'archives');
          const first = nightArchives(1, 2);
          await writeArchives(folder, first);
          await runCommand(['push', folder, '--state', story.state]);
          const second = nightArchives(2, 20);
          await writeArchives(folder, second);
          const full = await tryCommand(['push', folder, '--state', story.state, '--json']);
          assert.equal(full.exitCode, 1, full.stderr);
          assert.match(full.stderr + full.stdout, /SERVER_FULL/);
          assert.match(full.stderr + full.stdout, /space/i);
          const restored = await restoreArchives(story, 'latest', join(story.folder, 'restored'));
          assert.ok(sameArchives(first, restored));
          disk.resize(100);
          await runCommand(['push', folder, '--state', story.state]);
          assert.ok(sameArchives(second, await restoreArchives(story, 'latest', join(story.folder, 'restored'))));
          await runCommand(['check', '--read-data', '--state', story.state]);
        },
        join(disk.folder, 'store'),
      );
    },
  );
});

test('the client’s disk is too small for a restore: nothing is left there', async (context) => {
  await withSmallDisk(
    8,
    (why) => context.skip(why),
    async (disk) => {
      await withStory(async (story) => {
        const folder = join(story.folder, 'archives');
        await writeArchives(folder, nightArchives(1, 20));
        await runCommand(['push', folder, '--state', story.state]);
        const failed = await tryCommand(['restore', 'latest', 'app', '--to', disk.folder, '--state', story.state]);
        assert.equal(failed.exitCode, 1);
        assert.match(failed.stderr, /DISK_FULL/);
        assert.deepEqual(await readdir(disk.folder), []);
      });
    },
  );
});

test('the server’s disk is full to the last page: it starts, gives back, and retention runs; so does a restore from the folder', async (context) => {
  await withSmallDisk(
    120,
    (why) => context.skip(why),
    async (disk) => {
      await withStory(
        async (story) => {
          const folder = join(story.folder, 'archives');
          const archives = nightArchives(1, 2);
          await writeArchives(folder, archives);
          await runCommand(['push', folder, '--state', story.state]);
          const again = async (): Promise<void> => {
            story.server = await startServe(story.store, ['--reserve', '1MB'], story.port);
            assert.ok(sameArchives(archives, await restoreArchives(story, 'latest', join(story.folder, 'restored'))));
          };
          const fromFolder = async (): Promise<void> => {
            const to = join(story.folder, 'from-folder');
            const key = ['--dir', story.store, '--passphrase-file', story.passphrase];
            await runCommand(['restore', 'latest', 'app', '--to', to, ...key]);
            await rm(to, { recursive: true });
          };
          // Killed, it leaves the files that the database needs to be open; stopped, it does not.
          await story.server.kill();
          disk.fillUp();
          await again();
          disk.fillUp();
          await fromFolder();
          await story.server.stop();
          disk.fillUp();
          await fromFolder();
          await runCommand(['retention', '--dir', story.store]);
          await again();
          await story.server.stop();
          disk.mountReadOnly();
          await fromFolder();
          await again();
        },
        join(disk.folder, 'store'),
      );
    },
  );
});
