// What a server does by itself: for each repository when it is due, whatever becomes of another.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { maintenanceTasks } from '../../src/cli/maintenance-tasks.ts';
import type { World } from '../../src/cli/world.ts';
import type { RepositoryId } from '../../src/format/ids.ts';
import { dayMs } from '../../src/store/retention-policy.ts';
import { pair, TemporaryStore } from '../support/temporary-store.ts';
import { pushOnce, TestWriter } from '../support/writer.ts';

let temporary: TemporaryStore;
let second: RepositoryId;
let lines: string[];

beforeEach(async () => {
  temporary = await TemporaryStore.create();
  second = (await pair(temporary.store, 'second.example')).id;
  lines = [];
  for (const id of [temporary.paired.id, second]) await pushOnce(await temporary.store.repository(id), 1);
});
afterEach(() => temporary.dispose());

async function run(name: 'retention' | 'scrub'): Promise<void> {
  const world = { nowMs: () => temporary.environment.nowMs() } as World;
  const tasks = maintenanceTasks(temporary.store, world, (line) => lines.push(line), {
    retentionEveryMs: dayMs,
    scrubEveryMs: 30 * dayMs,
  });
  lines = [];
  await tasks.find((task) => task.name === name)?.run(new AbortController().signal);
}

/** The repositories that were worked on, and those where that failed. */
const ranFor = (): string[] => lines.map((line) => (JSON.parse(line) as { repository: string }).repository).sort();
const failedFor = (): string[] =>
  lines
    .map((line) => JSON.parse(line) as { repository: string; error?: string })
    .filter(({ error }) => error !== undefined)
    .map(({ repository }) => repository);

test('each repository has its own time: one that was paused or broken off is due, another that was done is not', async () => {
  const writer = await TestWriter.begin(await temporary.store.repository(second));
  await run('retention');
  assert.deepEqual(ranFor(), [temporary.paired.id, second].sort());
  // The second was paused for the push.
  temporary.environment.timeMs += 60_000;
  await run('retention');
  assert.deepEqual(ranFor(), [second]);
  await writer.end();
  await run('retention');
  assert.deepEqual(ranFor(), [second]);
  await run('retention');
  assert.deepEqual(ranFor(), []);
  temporary.environment.timeMs += dayMs;
  await run('retention');
  assert.deepEqual(ranFor(), [temporary.paired.id, second].sort());
});

test('one that cannot be worked on does not keep the others from it', async () => {
  const { repository } = temporary.store;
  const [first] = [temporary.paired.id, second].sort();
  temporary.store.repository = async (id) => {
    if (id === first) throw new Error('as planned');
    return await repository.call(temporary.store, id);
  };
  await run('scrub');
  assert.deepEqual([ranFor(), failedFor()], [[temporary.paired.id, second].sort(), [first]]);
  await run('scrub');
  assert.deepEqual(ranFor(), [first]);
});

test('a scrub or retention by hand comes first', async () => {
  const lock = await temporary.store.lock('maintenance', 'by hand');
  await run('scrub');
  assert.deepEqual(lines, []);
  lock.release();
  await run('scrub');
  assert.equal(lines.length, 2);
});
