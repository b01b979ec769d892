// A repository with a million packs and a thousand snapshots: records only, for the files would fill the disk.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { parseEpoch, parseOrigin, sha256FromBytes } from '../../src/format/ids.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import { applyRetention } from '../../src/store/retention.ts';
import { TemporaryStore } from '../support/temporary-store.ts';
import { TestWriter } from '../support/writer.ts';

const packCount = 1_000_000;
const snapshotCount = 1_000;

/** Every snapshot needs a few hundred ranges of packs, as old histories do. */
function packsOf(snapshot: number): PackRanges {
  const ranges: { first: number; last: number }[] = [];
  for (let first = 1 + (snapshot % 50); first < packCount; first += 3_000) ranges.push({ first, last: first + 2_500 });
  return PackRanges.from(ranges.filter(({ last }) => last <= packCount));
}

async function timed<T>(
  context: { diagnostic(text: string): void },
  what: string,
  msMax: number,
  work: () => Promise<T>,
) {
  // Processor time: what other programs do meanwhile must not make a test fail.
  const [started, before] = [performance.now(), process.cpuUsage()];
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  const ms = (user + system) / 1000;
  context.diagnostic(
    `${what}: ${ms.toFixed(1)} ms of processor time, ${(performance.now() - started).toFixed(1)} ms in all`,
  );
  assert.ok(ms < msMax, `${what} took ${ms} ms, more than ${msMax}`);
  return result;
}

async function fill(temporary: TemporaryStore): Promise<void> {
  const { context } = await temporary.repository();
  const receivedAtMs = temporary.environment.timeMs;
  const sha256 = new Uint8Array(randomBytes(32));
  const common = {
    revision: 0,
    state: 'whole' as const,
    fileBytes: 4_000_000,
    prefixBytes: 18_000,
    condemnedAtMs: undefined,
  };
  await context.write(async (change) => {
    for (let number = 1; number <= packCount; number++) {
      await change.putPack(context.id, { ...common, number, sha256, receivedAtMs });
    }
    for (let number = 1; number <= snapshotCount; number++) {
      await change.putSnapshot(context.id, {
        number,
        state: 'whole',
        sha256,
        receivedAtMs: receivedAtMs + number * 86_400_000,
        epoch: parseEpoch(1),
        origin: parseOrigin('main'),
        complete: true,
        fileBytes: 10_000,
        packs: packsOf(number),
        deletedAfterMs: undefined,
      });
    }
    await context.changeDocument(change, {
      head: { number: snapshotCount, sha256: sha256FromBytes(sha256) },
      reservedPacks: packCount,
    });
    const { document } = await context.state(change);
    await change.putRepository({ document, lastPack: packCount, settledPack: packCount });
  });
  temporary.environment.timeMs += (snapshotCount + 0.1) * 86_400_000;
}

test('a million packs and a thousand snapshots', async (context) => {
  const temporary = await TemporaryStore.create();
  try {
    await timed(context, 'fill', 120_000, () => fill(temporary));
    await timed(context, 'open', 2_000, () => temporary.reopen());
    const repository = await temporary.repository();
    await timed(context, 'first status', 2_000, () => repository.status());
    await timed(context, 'status', 100, () => repository.status());
    const snapshots = await timed(context, 'list of snapshots', 200, () => repository.snapshots());
    assert.equal(snapshots.length, snapshotCount);
    const writer = await timed(context, 'lease', 300, () => TestWriter.begin(repository));
    await writer.putNew();
    await timed(context, 'pack', 100, () => writer.putNew());
    await writer.commit([1, 5, 500_000, packCount + 1]);
    await timed(context, 'commit', 100, () => writer.commit([1, 5, 500_000, packCount + 2]));
    await writer.end();
    await timed(context, 'dry run of retention', 30_000, () => applyRetention(repository, { dryRun: true }));
  } finally {
    await temporary.dispose();
  }
});
