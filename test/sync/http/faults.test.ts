// The network breaks, everywhere: cut at any byte, answers lost, silence, a server that restarts in the middle.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../../bench/measure/ports.ts';
import { parseEpoch } from '../../../src/format/ids.ts';
import type { SnapshotPointer } from '../../../src/store/repository-store.ts';
import type { HttpRepository } from '../../../src/sync/http/http-repository.ts';
import { createRateLimiter } from '../../../src/sync/http/rate-limiter.ts';
import { clientEnvironment, hastyLimits, ServerFixture } from '../../server/server-fixture.ts';
import { fakePack, fakeSnapshot, newLeaseId, sha256 } from '../../support/fake-objects.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

const limits = { ...hastyLimits, retryReachedMs: 5_000, retryUnreachedMs: 5_000 };

/** A small push: lease, two packs, snapshot, and everything read back. */
async function smallPush(repository: HttpRepository, previous: SnapshotPointer | undefined): Promise<SnapshotPointer> {
  const { leaseId, firstPack } = await repository.acquireLease({
    leaseId: newLeaseId(),
    epoch: parseEpoch(1),
    holder: 'me',
  });
  const packs = [fakePack(repository.repositoryId, firstPack), fakePack(repository.repositoryId, firstPack + 1)];
  for (const { number, file, sha256: digest } of packs) await repository.putPack(leaseId, number, [file], digest);
  const file = fakeSnapshot(repository.repositoryId, previous, [firstPack, firstPack + 1]);
  const summary = await repository.commitSnapshot(leaseId, file);
  assert.deepEqual(Buffer.from(summary.sha256), Buffer.from(sha256(file)));
  await repository.releaseLease(leaseId);
  for (const { number, file: bytes } of packs) {
    assert.deepEqual(Buffer.from(await repository.pack(number)), Buffer.from(bytes));
  }
  const numbers: number[] = [];
  for await (const bytes of repository.directories(firstPack)) numbers.push(bytes.byteLength);
  assert.equal(numbers.length, 2);
  return { number: summary.number, sha256: summary.sha256 };
}

for (const direction of ['sent', 'received'] as const) {
  test(`connections cut after any number of bytes ${direction}: the push goes on, once`, async () => {
    await using fixture = await ServerFixture.start();
    await using proxy = await TcpProxy.start(() => fixture.port);
    const server = await fixture.trusted(proxy.port);
    let head: SnapshotPointer | undefined;
    for (let round = 0; round < 6; round++) {
      const repository = await fixture.open({ server, limits });
      // Each connection carries a little more than the last one, until one carries all: every message meets a cut.
      const firstIndex = proxy.connections;
      proxy.plan = (index) => {
        const bytes = 200 + (index - firstIndex) * 260 + round * 43;
        return direction === 'sent' ? { cutAfterSentBytes: bytes } : { cutAfterReceivedBytes: bytes + 700 };
      };
      head = await smallPush(repository, head);
      await repository.close();
      assert.ok(proxy.connections - firstIndex > 3);
    }
    const direct = await fixture.open();
    const snapshots = await direct.snapshots();
    assert.equal(snapshots.length, 6);
    assert.equal((await direct.status()).lastPack, 12);
  });
}

test('an answer that is lost after the commit: the same request again is accepted, and commits once', async () => {
  await using fixture = await ServerFixture.start();
  await using proxy = await TcpProxy.start(() => fixture.port);
  const repository = await fixture.open({ server: await fixture.trusted(proxy.port), limits });
  const { leaseId } = await repository.acquireLease({ leaseId: newLeaseId(), epoch: parseEpoch(1), holder: 'me' });
  await repository.close();
  // About 1,500 bytes from the server are the handshake: the answer to the first request is swallowed.
  const lossy = await fixture.open({ server: await fixture.trusted(proxy.port), limits });
  const first = proxy.connections;
  proxy.plan = (index) => (index === first ? { swallowAfterReceivedBytes: 1_500 } : {});
  const pack = fakePack(fixture.tenant.id, 1);
  await lossy.putPack(leaseId, 1, [pack.file], pack.sha256);
  const second = proxy.connections;
  assert.equal(second, first + 2);
  await lossy.close();
  const again = await fixture.open({ server: await fixture.trusted(proxy.port), limits });
  proxy.plan = (index) => (index === second ? { swallowAfterReceivedBytes: 1_500 } : {});
  const file = fakeSnapshot(fixture.tenant.id, undefined, [1]);
  assert.equal((await again.commitSnapshot(leaseId, file)).number, 1);
  assert.equal(proxy.connections, second + 2);
  assert.equal((await again.snapshots()).length, 1);
});

test('a server that falls silent is given up on and asked again', async () => {
  await using fixture = await ServerFixture.start();
  await using proxy = await TcpProxy.start(() => fixture.port);
  const server = await fixture.trusted(proxy.port);
  const first = proxy.connections;
  proxy.plan = (index) => (index === first ? { silentAfterReceivedBytes: 1_500 } : {});
  const repository = await fixture.open({ server, limits: { ...limits, silenceMs: 300 } });
  const startedMs = performance.now();
  assert.equal((await repository.status()).epoch, 1);
  assert.ok(performance.now() - startedMs >= 299);
  proxy.plan = () => ({ silentAfterReceivedBytes: 1_500 });
  const hopeless = await fixture.open({ server, limits: { ...hastyLimits, silenceMs: 200 } });
  await assert.rejects(hopeless.status(), { code: 'TIMEOUT' });
  proxy.plan = () => ({ silentAfterReceivedBytes: 0 });
  const deaf = await fixture.open({ server, limits: { ...hastyLimits, connectMs: 200 } });
  await assert.rejects(deaf.status(), { code: 'TIMEOUT' });
});

test('requests one after the other go over one connection', async () => {
  await using fixture = await ServerFixture.start();
  await using proxy = await TcpProxy.start(() => fixture.port);
  const repository = await fixture.open({ server: await fixture.trusted(proxy.port), limits });
  const first = proxy.connections;
  await smallPush(repository, undefined);
  await repository.status();
  assert.equal(proxy.connections, first + 1);
  await Promise.all([repository.status(), repository.status()]);
  assert.equal(proxy.connections, first + 2);
});

test('requests that arrive late and twice do no harm', async () => {
  await using fixture = await ServerFixture.start();
  await using proxy = await TcpProxy.start(() => fixture.port);
  proxy.plan = () => ({ delayMs: 30 });
  const repository = await fixture.open({ server: await fixture.trusted(proxy.port), limits });
  const { leaseId } = await repository.acquireLease({ leaseId: newLeaseId(), epoch: parseEpoch(1), holder: 'me' });
  const pack = fakePack(fixture.tenant.id, 1);
  const put = (): Promise<void> => repository.putPack(leaseId, 1, [pack.file], pack.sha256);
  await Promise.all([put(), put(), put()]);
  const file = fakeSnapshot(fixture.tenant.id, undefined, [1]);
  const commits = await Promise.all([
    repository.commitSnapshot(leaseId, file),
    repository.commitSnapshot(leaseId, file),
  ]);
  assert.deepEqual(commits[0], commits[1]);
  assert.equal((await repository.snapshots()).length, 1);
});

test('the server restarts in the middle of a push, and the push goes on under its lease', async () => {
  const port = await freePort();
  await using fixture = await ServerFixture.start({}, { listen: { host: '127.0.0.1', port } });
  const repository = await fixture.open({
    limits,
    uploadLimiter: createRateLimiter(400, clientEnvironment),
  });
  const { leaseId } = await repository.acquireLease({ leaseId: newLeaseId(), epoch: parseEpoch(1), holder: 'me' });
  const packs = [1, 2, 3].map((number) => fakePack(fixture.tenant.id, number, { bodyBytes: 150_000 }));
  const uploads = Promise.all(
    packs.map(({ number, file, sha256: digest }) => repository.putPack(leaseId, number, [file], digest)),
  );
  await sleep(150);
  await fixture.server?.stop(0);
  await fixture.temporary.reopen();
  await sleep(300);
  await fixture.listen(port);
  await uploads;
  assert.equal(
    (await repository.commitSnapshot(leaseId, fakeSnapshot(fixture.tenant.id, undefined, [1, 2, 3]))).number,
    1,
  );
});

test('a server that was never reached is given up on soon, one that was reached is waited for', async () => {
  await using fixture = await ServerFixture.start();
  const server = await fixture.trusted();
  const stranger = await fixture.open({ server, limits: { ...limits, retryUnreachedMs: 200, retryReachedMs: 1_000 } });
  const friend = await fixture.open({ server, limits: { ...limits, retryUnreachedMs: 200, retryReachedMs: 1_000 } });
  await friend.status();
  await fixture.server?.stop(0);
  const time = async (promise: Promise<unknown>): Promise<number> => {
    const startedMs = performance.now();
    await assert.rejects(promise, { code: 'UNREACHABLE' });
    return performance.now() - startedMs;
  };
  assert.ok((await time(stranger.status())) < 500);
  assert.ok((await time(friend.status())) > 500);
});

test('closing ends what runs', async () => {
  await using fixture = await ServerFixture.start();
  const repository = await fixture.open({ uploadLimiter: createRateLimiter(10, clientEnvironment) });
  const { leaseId } = await repository.acquireLease({ leaseId: newLeaseId(), epoch: parseEpoch(1), holder: 'me' });
  const pack = fakePack(fixture.tenant.id, 1, { bodyBytes: 100_000 });
  const upload = repository.putPack(leaseId, 1, [pack.file], pack.sha256);
  const rejected = assert.rejects(upload, { code: 'INTERRUPTED' });
  await sleep(100);
  await repository.close();
  await rejected;
});
