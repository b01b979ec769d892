// A server whose database is rebuilt behind its back ends with a failure, so that whoever started it starts it again.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { runCommand, startServe } from '../../bench/command.ts';
import { nightArchives, restoreArchives, sameArchives, withStory, writeArchives } from './story.ts';

test('its database is replaced by another process: the server says so, exits with 1, and started again it takes the push that waits', async () => {
  await withStory(async (story) => {
    const folder = join(story.folder, 'archives');
    const archives = nightArchives(1, 1);
    await writeArchives(folder, archives);
    for (const suffix of ['', '-wal', '-shm']) await rm(join(story.store, `metadata.sqlite${suffix}`), { force: true });
    await runCommand(['repositories', '--dir', story.store]);
    const { process: server } = story.server;
    assert.ok(server.stdout !== null && server.stderr !== null);
    const [log, errors] = [text(server.stdout), text(server.stderr)];
    const ended = once(server, 'close');
    const pushed = runCommand(['push', folder, '--state', story.state]);
    pushed.catch(() => undefined);
    assert.deepEqual(await ended, [1, null]);
    assert.match(await log, /"event":"error","error":"[^"]*removed or replaced[^"]*","stopping":true/);
    assert.match(await errors, /STORE_INVALID/);
    story.server = await startServe(story.store, ['--reserve', '1MB'], story.port);
    await pushed;
    assert.ok(sameArchives(archives, await restoreArchives(story, 'latest', join(story.folder, 'restored'))));
  });
});
