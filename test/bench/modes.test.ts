// Every mode of the bench at a tiny scale: that it runs, that its tables have numbers, and that nothing is left behind.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { endEverythingAtExit, WorkFolder } from '../../bench/measure/work-folder.ts';
import { chunker } from '../../bench/modes/chunker.ts';
import { dedup } from '../../bench/modes/dedup.ts';
import { fifty } from '../../bench/modes/fifty.ts';
import { memory } from '../../bench/modes/memory.ts';
import type { Mode } from '../../bench/modes/mode.ts';
import { nights100 } from '../../bench/modes/nights100.ts';
import { push } from '../../bench/modes/push.ts';
import { scale } from '../../bench/modes/scale.ts';
import { scaleRebuild } from '../../bench/modes/scale-rebuild.ts';
import { scaleServer } from '../../bench/modes/scale-server.ts';
import { seal } from '../../bench/modes/seal.ts';
import { generateNights } from '../../bench/nights/prepare-nights.ts';
import { parseOptions } from '../../bench/options.ts';
import { describeMachine } from '../../bench/report/machine.ts';
import { Report } from '../../bench/report/report.ts';

endEverythingAtExit();

async function runMode(
  name: string,
  mode: Mode,
  argv: readonly string[],
): Promise<{ report: Report; printed: string }> {
  const results = await mkdtemp(join(tmpdir(), 'fallback-bench-'));
  let printed = '';
  const report = new Report(name, describeMachine(), (text) => {
    printed += text;
  });
  let folder = '';
  try {
    await using work = await WorkFolder.make();
    folder = work.path;
    await mode({ options: parseOptions([name, ...argv], results), report, work });
    await report.finish(results);
    const json: unknown = JSON.parse(await readFile(join(results, `${name}.json`), 'utf8'));
    assert.ok(typeof json === 'object' && json !== null && 'machine' in json);
    for (const file of await readdir(results)) {
      const text = await readFile(join(results, file), 'utf8');
      assert.doesNotMatch(text, /NaN|undefined|\/tmp\//, file);
    }
  } finally {
    await rm(results, { recursive: true });
  }
  assert.ok(!existsSync(folder), 'the work folder is gone');
  assert.ok(report.tables.length > 0 && report.tables.every(({ rows }) => rows.length > 0));
  return { report, printed };
}

test('chunker', async () => {
  const { report } = await runMode('chunker', chunker, ['--scale', '0.001']);
  assert.equal(report.tables[0]?.rows.length, 5);
});

test('nights100', async () => {
  const { report } = await runMode('nights100', nights100, ['--scale', '0.002', '--nights', '3']);
  assert.deepEqual(
    report.goals.map(({ unit }) => unit),
    ['', '', ''],
  );
});

test('seal', async () => {
  await runMode('seal', seal, ['--scale', '0.002']);
});

test('scale', async () => {
  const { report } = await runMode('scale', scale, ['--millions', '0.02']);
  assert.equal(report.tables[0]?.rows[0]?.[0], 20_000);
});

test('scale-server: retention deletes what the rules drop, and not what snapshots need', async () => {
  const { report } = await runMode('scale-server', scaleServer, ['--packs', '300', '--snapshots', '30', '--runs', '1']);
  const [, retention] = report.tables;
  const deleted = (retention?.rows ?? []).map((row) => [row[4], row[6]]);
  assert.deepEqual(
    deleted.map(([snapshots, packs]) => [Number(snapshots) > 0, Number(packs) > 0]),
    [
      [true, false],
      [false, true],
      [false, false],
      [false, false],
      [false, false],
    ],
  );
});

test('scale-rebuild', async () => {
  const { report } = await runMode('scale-rebuild', scaleRebuild, ['--millions', '0.02']);
  assert.deepEqual(
    report.tables[0]?.rows.map((row) => row[1]),
    [40, 0],
  );
});

test('fifty', async () => {
  const { report } = await runMode('fifty', fifty, ['--clients', '2', '--sizes', '0.001']);
  assert.equal(report.goals.find(({ what }) => what === 'failed pushes')?.value, 0);
});

test('dedup over a folder of nights that the user names: a night that is the same again costs next to nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fallback-bench-'));
  try {
    await generateNights(folder, 1, 0.003);
    await cp(join(folder, 'night-001'), join(folder, 'night-002'), { recursive: true });
    const { report } = await runMode('dedup', (context) => dedup(context, false), [folder]);
    const rows = (report.tables[0]?.rows ?? []).slice(1);
    assert.equal(rows.length, 10);
    for (const [name, first, second] of rows) assert.ok(Number(second) < Number(first) / 20, `${name}: ${second}`);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('push', async () => {
  const { report } = await runMode('push', push, ['--scale', '0.003', '--nights', '1', '--runs', '1']);
  const overhead = report.goals.find(({ what }) => what.startsWith('bytes on the wire'));
  assert.ok(overhead !== undefined && overhead.value > 0);
});

test('memory', async () => {
  await runMode('memory', (context) => memory(context, 2), ['--sizes', '0.01']);
});
