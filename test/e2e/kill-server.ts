// The server killed with SIGKILL at random moments of pushes, and the pushes repeated: every acknowledged snapshot restores.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand, startServe, tryCommand } from '../../bench/command.ts';
import {
  type Archives,
  nightArchives,
  restoreArchives,
  type Story,
  sameArchives,
  withStory,
  writeArchives,
} from './story.ts';

/** Pushes until it succeeds. @returns the snapshot's number. */
async function pushUntilDone(story: Story, folder: string): Promise<number> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const { exitCode, json, stderr } = await tryCommand(['push', folder, '--state', story.state, '--json']);
    if (exitCode === 0) return snapshotNumber(json);
    assert.ok(exitCode === 1 || exitCode === 10, `exit ${exitCode}: ${stderr}`);
  }
  throw new Error('five pushes failed in a row');
}

const snapshotNumber = (json: unknown): number => (json as { snapshot: number }).snapshot;

/** One push with a kill in it, and the push again. */
async function pushThroughKill(
  story: Story,
  folder: string,
  acknowledged: Map<number, Archives>,
  archives: Archives,
): Promise<void> {
  const running = tryCommand(['push', folder, '--state', story.state, '--json']);
  await sleep(randomInt(150, 2200));
  await story.server.kill();
  story.server = await startServe(story.store, [], story.port);
  const { exitCode, json, stderr } = await running;
  if (exitCode === 0) acknowledged.set(snapshotNumber(json), archives);
  else assert.ok(exitCode === 1 || exitCode === 10, `exit ${exitCode}: ${stderr}`);
  acknowledged.set(await pushUntilDone(story, folder), archives);
}

/** Kills the server `kills` times; then restores every acknowledged snapshot and compares it. */
export async function killServerOften(kills: number): Promise<void> {
  await withStory(async (story) => {
    const acknowledged = new Map<number, Archives>();
    const folder = join(story.folder, 'archives');
    for (let night = 1; night <= kills; night++) {
      const archives = nightArchives(night);
      await writeArchives(folder, archives);
      await pushThroughKill(story, folder, acknowledged, archives);
    }
    await runCommand(['check', '--read-data', '--state', story.state]);
    for (const [number, archives] of acknowledged) {
      const restored = await restoreArchives(story, String(number), join(story.folder, 'restored'));
      assert.ok(sameArchives(archives, restored), `snapshot ${number} is not what was pushed`);
    }
    await story.server.stop();
    await runCommand(['scrub', '--dir', story.store]);
    story.server = await startServe(story.store, [], story.port);
  });
}
