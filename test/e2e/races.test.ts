// Real processes that get in each other's way: two pushes at once, and pushes beside retention.
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommand, tryCommand } from '../../bench/command.ts';
import {
  type Archives,
  nightArchives,
  restoreArchives,
  type Story,
  sameArchives,
  withStory,
  writeArchives,
} from './story.ts';

const number = (json: unknown): number => (json as { snapshot: number }).snapshot;

async function assertRestores(story: Story, expected: ReadonlyMap<number, Archives>): Promise<void> {
  for (const [snapshot, archives] of expected) {
    const restored = await restoreArchives(story, String(snapshot), join(story.folder, 'restored'));
    assert.ok(sameArchives(archives, restored), `snapshot ${snapshot}`);
  }
}

test('two pushes at once on one machine: the second says so and exits with 10', async () => {
  await withStory(async (story) => {
    const folder = join(story.folder, 'archives');
    const archives = nightArchives(1, 25);
    await writeArchives(folder, archives);
    const push = () => tryCommand(['push', folder, '--state', story.state, '--json', '--limit-upload', '12000']);
    const results = await Promise.all([push(), push()]);
    assert.deepEqual(results.map(({ exitCode }) => exitCode).sort(), [0, 10]);
    assert.match(results.map(({ stderr, stdout }) => stderr + stdout).join(), /BUSY/);
    await assertRestores(story, new Map([[1, archives]]));
  });
});

test('a copied state folder pushes at the same time: what is acknowledged restores, and the chain stays one', async () => {
  await withStory(async (story) => {
    await cp(story.state, `${story.state}2`, { recursive: true });
    const folders = [join(story.folder, 'a1'), join(story.folder, 'a2')];
    const archives = [nightArchives(1, 6), nightArchives(2, 6)];
    const acknowledged = new Map<number, Archives>();
    for (const [index, folder] of folders.entries()) await writeArchives(folder, archives[index] ?? {});
    for (let round = 0; round < 3; round++) {
      const results = await Promise.all(
        folders.map((folder, index) =>
          tryCommand(['push', folder, '--state', index === 0 ? story.state : `${story.state}2`, '--json']),
        ),
      );
      for (const [index, { exitCode, json, stderr }] of results.entries()) {
        assert.ok(exitCode === 0 || exitCode === 10 || exitCode === 1, `exit ${exitCode}: ${stderr}`);
        if (exitCode === 0) {
          assert.ok(!acknowledged.has(number(json)), 'one number is acknowledged once');
          acknowledged.set(number(json), archives[index] ?? {});
        }
      }
      assert.ok(
        results.some(({ exitCode }) => exitCode === 0),
        'one of them got through',
      );
    }
    await assertRestores(story, acknowledged);
    await runCommand(['check', '--read-data', '--state', story.state]);
  });
});

test('retention runs all the time beside pushes: nothing that is kept is harmed', async () => {
  await withStory(async (story) => {
    const policy = [
      '--keep-days',
      '0',
      '--daily',
      '1',
      '--weekly',
      '0',
      '--monthly',
      '0',
      '--floor',
      '2',
      '--grace-days',
      '0',
    ];
    await runCommand(['retention', 'policy', '--dir', story.store, ...policy]);
    let isOver = false;
    const retention = (async () => {
      let runs = 0;
      while (!isOver) {
        const { exitCode, stderr } = await tryCommand(['retention', '--dir', story.store]);
        assert.ok(exitCode === 0 || exitCode === 10, `exit ${exitCode}: ${stderr}`);
        runs++;
      }
      return runs;
    })();
    const pushed = new Map<number, Archives>();
    const folder = join(story.folder, 'archives');
    for (let night = 1; night <= 5; night++) {
      const archives = nightArchives(night, 3);
      await writeArchives(folder, archives);
      const { json } = await runCommand(['push', folder, '--state', story.state, '--json']);
      pushed.set(number(json), archives);
    }
    isOver = true;
    assert.ok((await retention) >= 3);
    await runCommand(['retention', '--dir', story.store]);
    const { json } = await runCommand(['snapshots', '--state', story.state, '--json']);
    const kept = JSON.stringify(json);
    const newest = new Map([...pushed].slice(-2));
    await assertRestores(story, newest);
    for (const snapshot of newest.keys()) assert.ok(kept.includes(String(snapshot)));
    await runCommand(['check', '--read-data', '--state', story.state]);
    await runCommand(['scrub', '--dir', story.store]);
  });
});
