// Peers that are slow, silent, many, or speak something else.
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type LeaseId, parseEpoch } from '../../src/format/ids.ts';
import { defaultServerLimits, type ServerLimits } from '../../src/server/server-limits.ts';
import { defaultClientLimits } from '../../src/sync/http/client-limits.ts';
import { fakePack, fakeSnapshot, newLeaseId } from '../support/fake-objects.ts';
import type { PairedRepository } from '../support/temporary-store.ts';
import { ask, bearer, certificateOf, digestHeader, eventually, RawConnection } from './raw-client.ts';
import { ServerFixture } from './server-fixture.ts';

const quick: Partial<ServerLimits> = {
  headMs: 300,
  handshakeMs: 300,
  idleConnectionMs: 300,
  bodyWindowMs: 200,
  bodyBytesPerWindowMin: 1_000,
  replyStallMs: 300,
  processingMs: 50,
};

const millisecondsUntil = async (done: Promise<void>): Promise<number> => {
  const startedMs = performance.now();
  await done;
  return performance.now() - startedMs;
};

test('a silent peer is dropped: before TLS, before a request, within a head, and when idle', async () => {
  await using fixture = await ServerFixture.start(quick);
  const silent = connect(fixture.port, '127.0.0.1');
  silent.on('error', () => {}).resume();
  assert.ok((await millisecondsUntil(new Promise((resolve) => silent.once('close', () => resolve())))) < 3_000);

  const wordless = await RawConnection.open(fixture);
  await wordless.closed;

  const loris = await RawConnection.open(fixture);
  const drip = setInterval(() => loris.socket.write('x'), 50);
  loris.socket.write('GET /v1/server HTTP/1.1\r\nhost: x\r\nx-slow: ');
  await loris.closed;
  clearInterval(drip);
  assert.match(loris.received, /^HTTP\/1\.1 408 .*\r\n[\s\S]*"code":"TIMEOUT"/);

  const idle = await RawConnection.open(fixture);
  idle.socket.write('GET /v1/server HTTP/1.1\r\nhost: x\r\n\r\n');
  await idle.closed;
  assert.match(idle.received, /^HTTP\/1\.1 200 OK/);
});

/** The head of an upload on a bare connection. */
function uploadHead(fixture: ServerFixture, leaseId: string, pack: Uint8Array): string {
  const { id, pushToken } = fixture.tenant;
  return [
    `PUT /v1/repositories/${id}/packs/1 HTTP/1.1`,
    'host: x',
    `authorization: ${bearer(pushToken)}`,
    `fallback-lease: ${leaseId}`,
    'content-type: application/octet-stream',
    `content-length: ${pack.byteLength}`,
    `content-digest: ${digestHeader(pack)}`,
    '\r\n',
  ].join('\r\n');
}

async function leased(fixture: ServerFixture): Promise<string> {
  const repository = await fixture.open();
  const lease = { leaseId: newLeaseId(), epoch: parseEpoch(1), holder: 'me' };
  await repository.acquireLease(lease);
  return lease.leaseId;
}

test('a body slower than the minimum is dropped; a slow one that keeps moving is not, and hears that it is alive', async () => {
  await using fixture = await ServerFixture.start(quick);
  const leaseId = await leased(fixture);
  const { file } = fakePack(fixture.tenant.id, 1, { bodyBytes: 12_000 });
  const slow = await RawConnection.open(fixture);
  slow.socket.write(uploadHead(fixture, leaseId, file));
  for (let at = 0; at < file.byteLength; at += 500) {
    slow.socket.write(file.subarray(at, at + 500));
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  await eventually('an answer', () => slow.received.includes('204 No Content'));
  assert.match(slow.received, /HTTP\/1\.1 102 Processing/);
  slow.socket.destroy();

  const slower = await RawConnection.open(fixture);
  slower.socket.write(uploadHead(fixture, leaseId, file) + 'x'.repeat(100));
  assert.ok((await millisecondsUntil(slower.closed)) < 2_000);
});

test('a proxy is sent no sign of life: it would take it for the answer', async () => {
  await using fixture = await ServerFixture.start(quick, { transport: { kind: 'behind-proxy' } });
  const { id, pushToken } = fixture.tenant;
  const socket = connect(fixture.port, '127.0.0.1');
  let received = '';
  socket.on('data', (bytes) => {
    received += bytes.toString('latin1');
  });
  const body = Buffer.alloc(6_000);
  const head = `PUT /v1/repositories/${id}/keys/2 HTTP/1.1\r\nhost: x\r\nauthorization: ${bearer(pushToken)}\r\n`;
  socket.write(
    `${head}content-type: application/octet-stream\r\ncontent-length: ${body.byteLength}\r\ncontent-digest: ${digestHeader(body)}\r\n\r\n`,
  );
  for (let at = 0; at < body.byteLength; at += 500) {
    socket.write(body.subarray(at, at + 500));
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  await eventually('an answer', () => received.includes('HTTP/1.1'));
  assert.match(received, /^HTTP\/1\.1 4\d\d /);
  socket.destroy();
});

test('a peer that hangs up in the middle of a body is no refusal in the log', async () => {
  await using fixture = await ServerFixture.start();
  const { file } = fakePack(fixture.tenant.id, 1, { bodyBytes: 60_000 });
  const peer = await RawConnection.open(fixture);
  peer.socket.end(`${uploadHead(fixture, await leased(fixture), file)}x`);
  await peer.closed;
  await eventually('the request is logged', () => fixture.lines.some((line) => line.includes('"PUT"')));
  assert.ok(!fixture.lines.some((line) => line.includes('"refused"')), fixture.lines.join('\n'));
});

/** A connection that announces a snapshot of a tenant and sends nothing of it. */
async function announce(fixture: ServerFixture, tenant: PairedRepository, leaseId: string, bytes = 16 * 2 ** 20) {
  const connection = await RawConnection.open(fixture);
  connection.socket.write(
    [
      `POST /v1/repositories/${tenant.id}/snapshots HTTP/1.1`,
      'host: x',
      `authorization: ${bearer(tenant.pushToken)}`,
      `fallback-lease: ${leaseId}`,
      'content-type: application/octet-stream',
      `content-length: ${bytes}`,
      `content-digest: ${digestHeader(new Uint8Array(0))}`,
      '\r\n',
    ].join('\r\n'),
  );
  return connection;
}

test('announced snapshots of one tenant keep no other from committing', async () => {
  await using fixture = await ServerFixture.start();
  const other = await fixture.anotherTenant();
  for (let count = 0; count < 4; count++) {
    const leaseless = await announce(fixture, fixture.tenant, newLeaseId());
    await eventually('a refusal', () => leaseless.received.includes('LEASE_LOST'));
    leaseless.socket.destroy();
  }
  const leaseId = await leased(fixture);
  const held = await announce(fixture, fixture.tenant, leaseId);
  for (let count = 0; count < 4; count++) {
    const more = await announce(fixture, fixture.tenant, leaseId);
    await eventually('a refusal', () => more.received.includes('"code":"RATE_LIMITED"'));
    assert.match(more.received, /^HTTP\/1\.1 429 [\s\S]*\r\nretry-after: \d/i);
    more.socket.destroy();
  }
  const repository = await fixture.open({ repositoryId: other.id, token: other.pushToken });
  const lease = await repository.acquireLease({ leaseId: newLeaseId(), epoch: parseEpoch(1), holder: 'other' });
  const file = fakeSnapshot(other.id, undefined, [], { sealedBytes: 100_000 });
  assert.equal((await repository.commitSnapshot(lease.leaseId, file)).number, 1);
  // The answer was lost, and the lease is gone: the same bytes are accepted again.
  await repository.releaseLease(lease.leaseId);
  assert.equal((await repository.commitSnapshot(lease.leaseId, file)).number, 1);
  held.socket.destroy();
  await held.closed;
  const mine = await fixture.open();
  const first = fakeSnapshot(fixture.tenant.id, undefined, [], { sealedBytes: 100_000 });
  assert.equal((await mine.commitSnapshot(leaseId as LeaseId, first)).number, 1, 'the place is free again');
});

test('a snapshot that would take for ever is dropped, however steadily it comes', async () => {
  const limits = { ...quick, wholeBodyGraceMs: 500, wholeBodyBytesPerSecondMin: 1_000_000 };
  await using fixture = await ServerFixture.start(limits);
  const slow = await announce(fixture, fixture.tenant, await leased(fixture), 500_000);
  const drip = setInterval(() => slow.socket.write(new Uint8Array(1_000)), 20);
  const tookMs = await millisecondsUntil(slow.closed);
  clearInterval(drip);
  assert.ok(tookMs > 700 && tookMs < 5_000, `${tookMs} ms`);
  await eventually('the log says so', () => fixture.lines.some((line) => line.includes('the body took too long')));
});

test('a reader that takes nothing is dropped', async () => {
  await using fixture = await ServerFixture.start(quick);
  const { id, readToken } = fixture.tenant;
  const leaseId = await leased(fixture);
  const repository = await fixture.open();
  const lease = (await repository.acquireLease({ leaseId: newLeaseId(), epoch: parseEpoch(1), holder: 'me' })).leaseId;
  assert.notEqual(lease, leaseId);
  const { file, sha256 } = fakePack(id, 1, { bodyBytes: 15_000_000 });
  await repository.putPack(lease, 1, [file], sha256);
  const reader = await RawConnection.open(fixture);
  reader.socket.pause();
  reader.socket.write(
    `GET /v1/repositories/${id}/packs/1 HTTP/1.1\r\nhost: x\r\nauthorization: ${bearer(readToken)}\r\n\r\n`,
  );
  await eventually('the log says so', () => fixture.lines.some((line) => line.includes('took nothing for too long')));
  reader.socket.destroy();
});

/** A connection on which a token was accepted, and which stays open. */
async function known(fixture: ServerFixture): Promise<RawConnection> {
  const { id, readToken } = fixture.tenant;
  const connection = await RawConnection.open(fixture);
  connection.socket.write(
    `GET /v1/repositories/${id} HTTP/1.1\r\nhost: x\r\nauthorization: ${bearer(readToken)}\r\n\r\n`,
  );
  await eventually('an answer', () => connection.received.startsWith('HTTP/1.1 200'));
  return connection;
}

for (const limits of [{ connectionsPerAddressMax: 8 }, { connectionsMax: 8 }]) {
  test(`silent connections make way, the oldest first: ${JSON.stringify(limits)}`, async () => {
    await using fixture = await ServerFixture.start(limits);
    const friend = await known(fixture);
    const silent: Socket[] = [];
    for (let count = 0; count < 20; count++) {
      const socket = connect(fixture.port, '127.0.0.1');
      socket.on('error', () => {}).resume();
      await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
      silent.push(socket);
    }
    await eventually('the oldest are ended', () => silent.filter((socket) => socket.closed).length === 13);
    assert.ok(silent.slice(0, 13).every((socket) => socket.closed));
    const { id, readToken: token } = fixture.tenant;
    assert.equal((await ask(fixture, { path: `/v1/repositories/${id}`, token })).status, 200);
    assert.equal(friend.socket.closed, false, 'whoever was let in stays');
    for (const socket of [...silent, friend.socket]) socket.destroy();
  });
}

test('connections of one address are limited, and others are served again once they end', async () => {
  await using fixture = await ServerFixture.start({ connectionsPerAddressMax: 3 });
  const held = [await known(fixture), await known(fixture), await known(fixture)];
  await assert.rejects(ask(fixture, { path: '/v1/server' }));
  for (const connection of held) connection.socket.destroy();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal((await ask(fixture, { path: '/v1/server' })).status, 200);
});

test('fifty main servers behind one router are within the limits, and leave half of the connections to others', () => {
  const { connectionsPerAddressMax, connectionsMax } = defaultServerLimits;
  assert.ok(connectionsPerAddressMax >= 50 * defaultClientLimits.connectionsMax);
  assert.ok(connectionsPerAddressMax <= connectionsMax / 2);
});

test('TLS 1.2 and plain HTTP get nowhere', async () => {
  await using fixture = await ServerFixture.start();
  const old = connectTls({
    host: '127.0.0.1',
    port: fixture.port,
    ca: [certificateOf(fixture)],
    servername: 'fallback.invalid',
    maxVersion: 'TLSv1.2',
  });
  await assert.rejects(new Promise((_resolve, reject) => old.once('error', reject)), /protocol version|alert/i);
  await assert.rejects(ask(fixture, { path: '/v1/server', plain: true }));
});

test('plain HTTP is served on a loopback address only', async () => {
  await using fixture = await ServerFixture.start({}, { transport: { kind: 'behind-proxy' } });
  assert.equal(fixture.server?.certificateSha256, undefined);
  assert.equal((await ask(fixture, { path: '/v1/server', plain: true })).status, 200);
  await assert.rejects(
    ServerFixture.start({}, { transport: { kind: 'behind-proxy' }, listen: { host: '0.0.0.0', port: 0 } }),
    { code: 'CONFIG_INVALID' },
  );
});

test('broken heads are answered as problems', async () => {
  await using fixture = await ServerFixture.start();
  for (const [head, status] of [
    ['GARBAGE\r\n\r\n', 400],
    ['GET /v1/server HTTP/1.1\r\nbad header\r\n\r\n', 400],
    ['GET /v1/server HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 400],
    ['GET /v1/server HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n', 400],
    ['CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n', 405],
    ['GET /v1/server HTTP/1.1\r\n\r\n', 400],
  ] as const) {
    const connection = await RawConnection.open(fixture);
    connection.socket.write(head);
    await eventually(`an answer to ${JSON.stringify(head)}`, () => connection.received.includes('\r\n\r\n'));
    assert.match(connection.received, new RegExp(`^HTTP/1.1 ${status} `), head);
    connection.socket.destroy();
  }
});
