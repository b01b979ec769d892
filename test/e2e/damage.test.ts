// Damage and lies on a real server: scrub finds it, the next push heals it, and a client that remembers refuses older states.
import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommand, startServe, tryCommand } from '../../bench/command.ts';
import { nightArchives, restoreArchives, type Story, sameArchives, withStory, writeArchives } from './story.ts';

async function packFiles(store: string): Promise<string[]> {
  const [repository = ''] = await readdir(join(store, 'repositories'));
  const packs = join(store, 'repositories', repository, 'packs');
  const names = await readdir(packs, { recursive: true });
  return names.filter((name) => name.endsWith('.pack')).map((name) => join(packs, name));
}

async function flipByte(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  await writeFile(path, bytes);
}

async function pushNight(story: Story, night: number) {
  const archives = nightArchives(night, 6);
  await writeArchives(join(story.folder, 'archives'), archives);
  await runCommand(['push', join(story.folder, 'archives'), '--state', story.state]);
  return archives;
}

test('one pack flipped, one deleted: scrub names them, check exits with 4, the next push heals the old snapshot', async () => {
  await withStory(async (story) => {
    const archives = await pushNight(story, 1);
    const packs = (await packFiles(story.store)).sort();
    assert.ok(packs.length >= 2);
    await flipByte(packs[0] ?? '', 5000);
    await rm(packs[1] ?? '');
    const scrub = await tryCommand(['scrub', '--dir', story.store]);
    assert.equal(scrub.exitCode, 4, scrub.stdout + scrub.stderr);
    assert.match(scrub.stdout + scrub.stderr, /snapshot/i);
    const check = await tryCommand(['check', '--state', story.state]);
    assert.equal(check.exitCode, 4, check.stdout + check.stderr);
    const refused = await tryCommand(['restore', '1', '--to', join(story.folder, 'broken'), '--state', story.state]);
    assert.equal(refused.exitCode, 4, refused.stderr);
    assert.match(refused.stderr, /Another night may be whole: fallback snapshots.*fallback restore 1 \S+ "\*\*" --to/);
    await runCommand(['push', join(story.folder, 'archives'), '--state', story.state]);
    for (const snapshot of ['1', '2']) {
      assert.ok(
        sameArchives(archives, await restoreArchives(story, snapshot, join(story.folder, 'restored'))),
        snapshot,
      );
    }
    await runCommand(['check', '--read-data', '--state', story.state]);
    await runCommand(['scrub', '--dir', story.store]);
  });
});

test('a flipped byte that no scrub has found yet: restore refuses and names the pack, nothing wrong comes out', async () => {
  await withStory(async (story) => {
    await pushNight(story, 1);
    for (const path of await packFiles(story.store)) await flipByte(path, 9000);
    const target = join(story.folder, 'restored');
    const refused = await tryCommand(['restore', 'latest', 'app', '--to', target, '--state', story.state]);
    assert.equal(refused.exitCode, 4);
    assert.match(refused.stderr, /pack \d+/i);
    assert.deepEqual(await readdir(target).catch(() => []), []);
  });
});

test('a store that shows an older state than this machine has seen is refused, for pushing and for reading', async () => {
  await withStory(async (story) => {
    await pushNight(story, 1);
    await story.server.stop();
    await cp(story.store, join(story.folder, 'older'), { recursive: true });
    story.server = await startServe(story.store, [], story.port);
    const archives = await pushNight(story, 2);
    await story.server.stop();
    story.server = await startServe(join(story.folder, 'older'), [], story.port);
    for (const command of [
      ['push', join(story.folder, 'archives')],
      ['restore', 'latest', '--to', join(story.folder, 'restored')],
    ]) {
      const refused = await tryCommand([...command, '--state', story.state]);
      assert.equal(refused.exitCode, 5, refused.stderr);
      assert.match(refused.stderr, /TRUST_ROLLBACK/);
    }
    // As THREAT-MODEL.md says: whoever knows that the store came from a backup removes the trust record, and pushes.
    await rm(join(story.state, 'trust.json'));
    await runCommand(['push', join(story.folder, 'archives'), '--state', story.state]);
    assert.ok(sameArchives(archives, await restoreArchives(story, 'latest', join(story.folder, 'restored'))));
    await runCommand(['check', '--read-data', '--state', story.state]);
  });
});

test('damage that only a check knows of: the next push does not build on it, and scrub and another push heal the rest', async () => {
  await withStory(async (story) => {
    const archives = await pushNight(story, 1);
    const [pack = ''] = (await packFiles(story.store)).sort();
    await flipByte(pack, 5000);
    const check = await tryCommand(['check', '--read-data', '--state', story.state]);
    assert.equal(check.exitCode, 4, check.stdout + check.stderr);
    assert.match(check.stderr, /fallback scrub/);
    const push = ['push', join(story.folder, 'archives'), '--state', story.state];
    await runCommand(push);
    const restored = join(story.folder, 'restored');
    assert.ok(sameArchives(archives, await restoreArchives(story, '2', restored)));
    assert.equal((await tryCommand(['restore', '1', '--to', `${restored}-1`, '--state', story.state])).exitCode, 4);
    await tryCommand(['scrub', '--dir', story.store]);
    await runCommand(push);
    for (const snapshot of ['1', '2', '3'])
      assert.ok(sameArchives(archives, await restoreArchives(story, snapshot, restored)), snapshot);
    await runCommand(['check', '--read-data', '--state', story.state]);
    assert.ok(!(await readdir(story.state)).includes('index.damaged'));
  });
});
