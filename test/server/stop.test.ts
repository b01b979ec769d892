// Stopping: running uploads finish within the limit or are cut cleanly, and what was acknowledged stays.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { parseEpoch } from '../../src/format/ids.ts';
import { stopOnSignals } from '../../src/server/stop-on-signals.ts';
import { createRateLimiter } from '../../src/sync/http/rate-limiter.ts';
import { fakePack, newLeaseId } from '../support/fake-objects.ts';
import { ask, eventually } from './raw-client.ts';
import { clientEnvironment, hastyLimits, ServerFixture } from './server-fixture.ts';

async function uploading(fixture: ServerFixture, kibPerSecond: number) {
  const repository = await fixture.open({
    uploadLimiter: createRateLimiter(kibPerSecond, clientEnvironment),
    limits: hastyLimits,
  });
  const { leaseId } = await repository.acquireLease({ leaseId: newLeaseId(), epoch: parseEpoch(1), holder: 'me' });
  const { file, sha256 } = fakePack(fixture.tenant.id, 1, { bodyBytes: 400_000 });
  const outcome = repository.putPack(leaseId, 1, [file], sha256).then(
    () => 'stored',
    (error: { code: string }) => error.code,
  );
  await new Promise((resolve) => setTimeout(resolve, 200));
  return { outcome, file };
}

test('a running upload finishes, new requests are sent away, and then the server is gone', async () => {
  await using fixture = await ServerFixture.start();
  const { outcome, file } = await uploading(fixture, 600);
  const stopped = fixture.server?.stop(10_000);
  await assert.rejects(ask(fixture, { path: '/v1/server' }));
  assert.equal(await outcome, 'stored');
  await stopped;
  const stored = await (await fixture.temporary.repository()).pack(1);
  assert.deepEqual(Buffer.from(stored), Buffer.from(file));
  assert.ok(fixture.lines.at(-1)?.includes('"event":"stopped"'));
});

test('an upload that takes too long is cut, and leaves nothing behind', async () => {
  await using fixture = await ServerFixture.start();
  const { outcome } = await uploading(fixture, 20);
  const startedMs = performance.now();
  await fixture.server?.stop(300);
  assert.ok(performance.now() - startedMs < 2_000);
  assert.equal(await outcome, 'UNREACHABLE');
  assert.equal((await (await fixture.temporary.repository()).status()).lastPack, 0);
});

test('the first signal stops, the second cuts', async () => {
  await using fixture = await ServerFixture.start();
  const { outcome } = await uploading(fixture, 20);
  const source = new EventEmitter();
  assert.ok(fixture.server !== undefined);
  const done = stopOnSignals(fixture.server, source);
  source.emit('SIGTERM');
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(!fixture.lines.some((line) => line.includes('"stopped"')));
  source.emit('SIGTERM');
  await done;
  assert.equal(await outcome, 'UNREACHABLE');
  assert.equal(source.listenerCount('SIGTERM'), 0);
});

test('maintenance runs now and then, one piece at a time, survives its failures, and ends with the server', async () => {
  const ran: string[] = [];
  let running = 0;
  const task = (name: string) => ({
    name,
    everyMs: 20,
    run: async (signal: AbortSignal) => {
      assert.equal(++running, 1);
      await new Promise((resolve) => setTimeout(resolve, 10));
      running--;
      ran.push(signal.aborted ? 'aborted' : name);
      if (name === 'fails') throw new Error('as planned');
    },
  });
  await using fixture = await ServerFixture.start({}, { maintenance: [task('works'), task('fails')] });
  await eventually('both ran twice', () =>
    ['works', 'fails'].every((name) => ran.filter((one) => one === name).length > 1),
  );
  await fixture.server?.stop();
  const { length } = ran;
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(ran.length, length);
  assert.ok(fixture.lines.some((line) => line.includes('as planned')));
});
