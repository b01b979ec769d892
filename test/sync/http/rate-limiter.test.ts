// --limit-upload and --limit-download: exact under a simulated clock, honest on a real one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseEpoch } from '../../../src/format/ids.ts';
import type { ClientEnvironment } from '../../../src/sync/http/client-environment.ts';
import { createRateLimiter } from '../../../src/sync/http/rate-limiter.ts';
import { clientEnvironment, ServerFixture } from '../../server/server-fixture.ts';
import { fakePack, newLeaseId } from '../../support/fake-objects.ts';

/** Time that moves only when somebody sleeps, and oversleeps as timers do. */
class SimulatedTime implements ClientEnvironment {
  timeMs = 0;
  readonly #lateMs: () => number;

  constructor(lateMs: () => number) {
    this.#lateMs = lateMs;
  }

  monotonicMs(): number {
    return this.timeMs;
  }

  async sleep(ms: number): Promise<void> {
    this.timeMs += ms + this.#lateMs();
    await Promise.resolve();
  }

  randomFraction(): number {
    return 0.5;
  }
}

test('over any pieces and late timers, the rate is kept and no tenth of a second carries more than two bursts', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 100_000 }),
      fc.array(fc.integer({ min: 1, max: 65_536 }), { minLength: 50, maxLength: 300 }),
      fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 20 }),
      async (kibPerSecond, sizes, lateness) => {
        let turn = 0;
        const time = new SimulatedTime(() => lateness[turn++ % lateness.length] ?? 0);
        const limiter = createRateLimiter(kibPerSecond, time);
        const bytesPerMs = (kibPerSecond * 1024) / 1000;
        const passed: { atMs: number; bytes: number }[] = [];
        let total = 0;
        for (const size of sizes) {
          const bytes = Math.min(size, limiter.pieceBytesMax);
          await limiter.take(bytes);
          total += bytes;
          passed.push({ atMs: time.timeMs, bytes });
          // Never more than the rate allows since the beginning, and the burst.
          assert.ok(total <= time.timeMs * bytesPerMs + limiter.burstBytes + 1);
        }
        // And not much less: what late timers cost is made up for while it fits into the burst.
        assert.ok(total >= (time.timeMs - 50) * bytesPerMs * 0.97 - limiter.burstBytes);
        for (const { atMs } of passed) {
          const within = passed.filter((one) => one.atMs >= atMs && one.atMs < atMs + 100);
          const bytes = within.reduce((sum, one) => sum + one.bytes, 0);
          assert.ok(bytes <= 2 * limiter.burstBytes + limiter.pieceBytesMax + 1);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('a pause earns a burst of a tenth of a second and no more; what was charged is paid back', async () => {
  const time = new SimulatedTime(() => 0);
  const limiter = createRateLimiter(1000, time);
  time.timeMs = 60_000;
  await limiter.take(102_400);
  assert.equal(time.timeMs, 60_000);
  await limiter.take(1_024);
  assert.ok(Math.abs(time.timeMs - 60_001) < 0.01);
  limiter.charge(1_024_000);
  await limiter.take(0);
  assert.ok(Math.abs(time.timeMs - 61_001) < 0.01);
});

test('one that gives up returns its bytes and holds up nobody', async () => {
  const limiter = createRateLimiter(10, clientEnvironment);
  const abort = new AbortController();
  const waiting = limiter.take(1_000_000, abort.signal);
  const next = limiter.take(100);
  setTimeout(() => abort.abort(new Error('enough')), 20);
  await assert.rejects(waiting);
  const startedMs = performance.now();
  await next;
  assert.ok(performance.now() - startedMs < 1_000);
  assert.throws(() => createRateLimiter(0, clientEnvironment), RangeError);
  assert.throws(() => createRateLimiter(Number.NaN, clientEnvironment), RangeError);
});

test('on the wire, TLS and heads included, both limits hold over four connections', async () => {
  await using fixture = await ServerFixture.start();
  const kibPerSecond = 800;
  const repository = await fixture.open({
    uploadLimiter: createRateLimiter(kibPerSecond, clientEnvironment),
    downloadLimiter: createRateLimiter(kibPerSecond, clientEnvironment),
  });
  const { leaseId } = await repository.acquireLease({ leaseId: newLeaseId(), epoch: parseEpoch(1), holder: 'me' });
  const packs = [1, 2, 3, 4].map((number) => fakePack(fixture.tenant.id, number, { bodyBytes: 750_000 }));
  const measure = async (work: () => Promise<unknown>, read: () => number): Promise<void> => {
    const [startedMs, before] = [performance.now(), read()];
    await work();
    const kib = (read() - before) / 1024 / ((performance.now() - startedMs) / 1000);
    // The burst at the start and a busy machine are what the bounds are wide for.
    assert.ok(kib > kibPerSecond * 0.85 && kib < kibPerSecond * 1.07, `${kib} KiB/s`);
  };
  await measure(
    () => Promise.all(packs.map(({ number, file, sha256 }) => repository.putPack(leaseId, number, [file], sha256))),
    () => repository.traffic().wireSentBytes,
  );
  await measure(
    () => Promise.all(packs.map(({ number }) => repository.pack(number))),
    () => repository.traffic().wireReceivedBytes,
  );
});

test('the counters are those of the wire', async () => {
  await using fixture = await ServerFixture.start();
  const repository = await fixture.open();
  const { leaseId } = await repository.acquireLease({ leaseId: newLeaseId(), epoch: parseEpoch(1), holder: 'me' });
  const before = repository.traffic();
  const { file, sha256 } = fakePack(fixture.tenant.id, 1, { bodyBytes: 3_000_000 });
  const shared = new Uint8Array(new SharedArrayBuffer(file.byteLength));
  shared.set(file);
  await repository.putPack(leaseId, 1, [shared.subarray(0, 1_000_000), shared.subarray(1_000_000)], sha256);
  assert.deepEqual(Buffer.from(await repository.pack(1)), Buffer.from(file));
  const after = repository.traffic();
  assert.equal(after.bodySentBytes - before.bodySentBytes, file.byteLength);
  assert.equal(after.bodyReceivedBytes - before.bodyReceivedBytes, file.byteLength);
  for (const bytes of [
    after.wireSentBytes - before.wireSentBytes,
    after.wireReceivedBytes - before.wireReceivedBytes,
  ]) {
    assert.ok(bytes > file.byteLength && bytes < file.byteLength * 1.01, String(bytes));
  }
});
