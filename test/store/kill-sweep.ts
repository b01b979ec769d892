// Kills a writing process again and again, and holds what is there against what it was told.
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { toHex } from '../../src/bytes/hex.ts';
import { parseSnapshotNumber } from '../../src/format/ids.ts';
import { scrubRepository } from '../../src/store/scrub.ts';
import { ScriptProcess } from '../support/child-process.ts';
import { sha256 } from '../support/fake-objects.ts';
import { TemporaryStore } from '../support/temporary-store.ts';

const script = resolve(import.meta.dirname, 'child-writer.ts');

export function startWriter(temporary: TemporaryStore, holder: string, rounds = 0): ScriptProcess {
  return new ScriptProcess(script, [temporary.folder, temporary.paired.id, '1', holder, String(rounds)]);
}

/** Everything that the lines of a writer acknowledge is there, whole, and every snapshot's packs with it. */
export async function checkAcknowledged(temporary: TemporaryStore, lines: Iterable<string>): Promise<void> {
  const repository = await temporary.repository();
  for (const line of lines) {
    const [what, number, digest] = line.split(' ');
    if (what === 'pack') assert.equal(toHex(sha256(await repository.pack(Number(number)))), digest, line);
    if (what === 'snapshot') {
      const file = await repository.snapshot(parseSnapshotNumber(Number(number)));
      assert.equal(toHex(sha256(file)), digest, line);
    }
  }
  const { present } = await repository.status();
  const { context } = repository;
  const snapshots = await context.read((view) => view.snapshots(context.id));
  assert.deepEqual(
    snapshots.map((one) => one.number),
    snapshots.map((_, index) => index + 1),
  );
  for (const snapshot of snapshots) assert.ok(snapshot.packs.minus(present).isEmpty, `snapshot ${snapshot.number}`);
}

/** `kills` times: a writer is started on the same folder and killed at a random moment. */
export async function killSweep(kills: number): Promise<void> {
  const temporary = await TemporaryStore.create({ reserveFreeBytes: 0 });
  temporary.environment.nowMs = () => Date.now();
  try {
    const all: string[] = [];
    for (let count = 0; count < kills; count++) {
      const child = startWriter(temporary, 'the same holder');
      await child.line('ready');
      await new Promise((done) => setTimeout(done, Math.random() * 700));
      await child.kill();
      all.push(...child.lines);
      await temporary.reopen();
      await checkAcknowledged(temporary, child.lines);
    }
    await checkAcknowledged(temporary, all);
    assert.ok(
      all.some((line) => line.startsWith('snapshot')),
      'nothing was committed',
    );
    const repository = await temporary.repository();
    const report = await scrubRepository(repository);
    assert.deepEqual([report.damage, report.strangers], [[], []]);
    const leftovers = await readdir(join(temporary.folder, 'repositories', temporary.paired.id, 'tmp'));
    assert.deepEqual(leftovers, []);
  } finally {
    await temporary.dispose();
  }
}
