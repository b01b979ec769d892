// What the server lets in and what it refuses, request by request.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { statusOfCode } from '../../src/server/problem.ts';
import { routes } from '../../src/server/routes.ts';
import { fakePack, newLeaseId, newRepositoryId } from '../support/fake-objects.ts';
import { ask, type RawAnswer, type RawRequest } from './raw-client.ts';
import { ServerFixture } from './server-fixture.ts';

function assertProblem(answer: RawAnswer, status: number, code: string): void {
  assert.equal(answer.json?.['code'], code, answer.body.toString());
  assert.equal(answer.status, status);
  assert.equal(answer.headers['content-type'], 'application/problem+json');
  assert.equal(answer.json?.['status'], status);
  assert.equal(answer.json?.['type'], `urn:fallback:error:${code}`);
  for (const field of ['title', 'hint', 'instance']) assert.equal(typeof answer.json?.[field], 'string');
}

const json = (value: unknown): Partial<RawRequest> => ({
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(JSON.stringify(value)),
});

test('the server says what it is, and no more', async () => {
  await using fixture = await ServerFixture.start();
  const answer = await ask(fixture, { path: '/v1/server' });
  assert.deepEqual([answer.status, answer.json], [200, { server: 'fallback', protocol: 1 }]);
});

test('unknown token, missing token, unknown repository and another repository’s token have one answer', async () => {
  await using fixture = await ServerFixture.start();
  const other = await fixture.anotherTenant();
  const { id, readToken } = fixture.tenant;
  const here = `/v1/repositories/${id}`;
  const attempts: RawRequest[] = [
    { path: here },
    { path: here, token: randomBytes(32) },
    { path: here, token: other.pushToken },
    { path: here, token: randomBytes(31) },
    { path: here, headers: { authorization: 'Basic dTpw' } },
    { path: here, headers: { authorization: `Bearer ${'A'.repeat(2000)}` } },
    { path: `/v1/repositories/${newRepositoryId()}`, token: readToken },
    { path: `/v1/repositories/${newRepositoryId()}` },
    { path: `${here}/packs/1`, token: other.readToken },
    { path: '/v1/recovery', token: randomBytes(32) },
  ];
  const bodies = new Set<string>();
  for (const attempt of attempts) {
    const answer = await ask(fixture, attempt);
    assertProblem(answer, 401, 'UNAUTHORIZED');
    assert.equal(answer.headers['www-authenticate'], 'Bearer');
    bodies.add(JSON.stringify({ ...answer.json, instance: '' }));
  }
  assert.equal(bodies.size, 1);
  assert.equal((await ask(fixture, { path: here, token: readToken })).status, 200);
});

test('failed attempts are all answered after the same time', async () => {
  await using fixture = await ServerFixture.start({ failedAnswerMs: 150 });
  const other = await fixture.anotherTenant();
  for (const token of [undefined, randomBytes(32), other.pushToken]) {
    const startedMs = performance.now();
    await ask(fixture, { path: `/v1/repositories/${fixture.tenant.id}`, ...(token && { token }) });
    assert.ok(performance.now() - startedMs >= 149);
  }
});

test('an address with too many failed attempts is told to wait, and a valid token still passes', async () => {
  await using fixture = await ServerFixture.start({ failedAttemptsMax: 3, failedAttemptForgivenMs: 60_000 });
  const path = `/v1/repositories/${fixture.tenant.id}`;
  const statuses: number[] = [];
  for (let count = 0; count < 5; count++) statuses.push((await ask(fixture, { path, token: randomBytes(32) })).status);
  assert.deepEqual(statuses, [401, 401, 401, 429, 429]);
  const refused = await ask(fixture, { path, token: randomBytes(32) });
  assertProblem(refused, 429, 'RATE_LIMITED');
  assert.ok(Number(refused.headers['retry-after']) >= 1);
  assert.equal((await ask(fixture, { path, token: fixture.tenant.readToken })).status, 200);
});

test('a read token may not push, and a push token may not take over', async () => {
  await using fixture = await ServerFixture.start();
  const { id, readToken, pushToken } = fixture.tenant;
  const lease = newLeaseId();
  const path = `/v1/repositories/${id}/leases/${lease}`;
  const body = json({ epoch: 1, holder: 'x' });
  assertProblem(await ask(fixture, { method: 'PUT', path, token: readToken, ...body }), 403, 'FORBIDDEN');
  assert.equal((await ask(fixture, { method: 'PUT', path, token: pushToken, ...body })).status, 200);
  const epoch = { method: 'PUT', path: `/v1/repositories/${id}/epoch`, ...json({ expected: 1 }) };
  assertProblem(await ask(fixture, { ...epoch, token: pushToken }), 403, 'FORBIDDEN');
  assert.equal((await ask(fixture, { ...epoch, token: await fixture.takeoverToken() })).json?.['epoch'], 2);
});

test('a body needs its length, its type and its digest, and must be within the route’s limit', async () => {
  await using fixture = await ServerFixture.start();
  const { id, pushToken: token } = fixture.tenant;
  const pack = fakePack(id, 1).file;
  const put: RawRequest = {
    method: 'PUT',
    path: `/v1/repositories/${id}/packs/1`,
    token,
    body: pack,
    headers: { 'fallback-lease': newLeaseId() },
  };
  const having = (headers: Record<string, string>): RawRequest => ({ ...put, headers: { ...put.headers, ...headers } });
  assertProblem(await ask(fixture, put), 409, 'LEASE_LOST');
  assertProblem(await ask(fixture, having({ 'content-digest': 'md5=:AAAA:' })), 400, 'REQUEST_INVALID');
  assertProblem(await ask(fixture, having({ 'content-type': 'text/plain' })), 415, 'REQUEST_INVALID');
  assertProblem(await ask(fixture, having({ 'content-encoding': 'gzip' })), 415, 'REQUEST_INVALID');
  assertProblem(await ask(fixture, having({ 'transfer-encoding': 'chunked' })), 411, 'REQUEST_INVALID');
  assertProblem(await ask(fixture, having({ 'fallback-lease': '../x' })), 400, 'REQUEST_INVALID');
  assertProblem(await ask(fixture, { ...put, body: new Uint8Array(21 << 20) }), 413, 'LIMIT_EXCEEDED');
  const get: RawRequest = { path: `/v1/repositories/${id}`, token, body: Buffer.from('x') };
  assertProblem(await ask(fixture, get), 413, 'LIMIT_EXCEEDED');
});

test('a changed body is refused, and nothing is stored', async () => {
  await using fixture = await ServerFixture.start();
  const { id, pushToken: token } = fixture.tenant;
  const repository = await fixture.open();
  const leaseId = newLeaseId();
  await ask(fixture, {
    method: 'PUT',
    path: `/v1/repositories/${id}/leases/${leaseId}`,
    token,
    ...json({ epoch: 1, holder: 'x' }),
  });
  const headers = { 'fallback-lease': leaseId, 'content-digest': `sha-256=:${randomBytes(32).toString('base64')}:` };
  for (const path of ['packs/1', 'snapshots', 'keys/2']) {
    const method = path === 'snapshots' ? 'POST' : 'PUT';
    const answer = await ask(fixture, {
      method,
      path: `/v1/repositories/${id}/${path}`,
      token,
      headers,
      body: fakePack(id, 1).file,
    });
    assertProblem(answer, 400, 'DIGEST_MISMATCH');
  }
  assert.equal((await repository.status()).lastPack, 0);
});

test('an upload that asks first is refused before its body', async () => {
  await using fixture = await ServerFixture.start();
  const { id, pushToken: token } = fixture.tenant;
  const repository = await fixture.open();
  const pack = fakePack(id, 1, { bodyBytes: 100_000 });
  const put: RawRequest = { method: 'PUT', path: `/v1/repositories/${id}/packs/1`, token, body: pack.file };
  const headers = { expect: '100-continue', 'fallback-lease': newLeaseId() };
  const refused = await ask(fixture, { ...put, headers });
  assertProblem(refused, 409, 'LEASE_LOST');
  assert.equal(refused.continued, false);
  const leaseId = newLeaseId();
  await repository.acquireLease({ leaseId, epoch: (await repository.status()).epoch, holder: 'me' });
  const taken = await ask(fixture, { ...put, headers: { ...headers, 'fallback-lease': leaseId } });
  assert.deepEqual([taken.status, taken.continued], [204, true]);
});

test('JSON bodies: wrong types, unknown fields, deep nesting and broken text are refused', async () => {
  await using fixture = await ServerFixture.start();
  const { id, pushToken: token } = fixture.tenant;
  const path = `/v1/repositories/${id}/leases/${newLeaseId()}`;
  const bodies = [
    '',
    '[]',
    'null',
    '{',
    '"x"',
    '{"epoch":1}',
    '{"epoch":"1","holder":"x"}',
    '{"epoch":1.5,"holder":"x"}',
    '{"epoch":-1,"holder":"x"}',
    '{"epoch":1e400,"holder":"x"}',
    '{"epoch":1,"holder":7}',
    '{"epoch":1,"holder":"x","more":1}',
    `{"epoch":1,"holder":${JSON.stringify('x'.repeat(300))}}`,
    '{"epoch":1,"holder":"\\ud800"}',
    `${'['.repeat(30_000)}${']'.repeat(30_000)}`,
    '{"__proto__":{"epoch":1}}',
  ];
  for (const text of bodies) {
    const headers = { 'content-type': 'application/json' };
    const answer = await ask(fixture, { method: 'PUT', path, token, headers, body: Buffer.from(text) });
    assertProblem(answer, 400, 'REQUEST_INVALID');
  }
  const notText = { headers: { 'content-type': 'application/json' }, body: Buffer.from([0x22, 0xff, 0x22]) };
  assertProblem(await ask(fixture, { method: 'PUT', path, token, ...notText }), 400, 'REQUEST_INVALID');
});

test('paths have one spelling; other methods are named', async () => {
  await using fixture = await ServerFixture.start();
  const { id, pushToken: token } = fixture.tenant;
  const root = `/v1/repositories/${id}`;
  for (const path of [
    '/',
    '/v1',
    '/v1/',
    `${root}/`,
    `/${root}`,
    `${root}/packs/01`,
    `${root}/packs/0`,
    `${root}/packs/-1`,
    `${root}/packs/1e3`,
    `${root}/packs/%31`,
    `${root}/packs/99999999999999999999`,
    `${root}/packs/..%2f..`,
    `${root}/../${id}`,
    `/v1/repositories/${id.toUpperCase().replace(/^\d*/, 'F')}`,
    `${root}/packs/1/`,
    '/v1/server/..',
    `/v2/server`,
  ]) {
    assertProblem(await ask(fixture, { path, token }), 404, 'NOT_FOUND');
  }
  for (const query of ['?x=1', '?from=a', '?from=1&from=2', '?from=-1', '?from=%31']) {
    assertProblem(await ask(fixture, { path: `${root}/directories${query}`, token }), 400, 'REQUEST_INVALID');
  }
  const wrong = await ask(fixture, { method: 'DELETE', path: `${root}/packs/1`, token });
  assertProblem(wrong, 405, 'REQUEST_INVALID');
  assert.equal(wrong.headers['allow'], 'GET, PUT');
  assertProblem(await ask(fixture, { path: `/v1/${'x'.repeat(3000)}` }), 414, 'REQUEST_INVALID');
  const many = Object.fromEntries(Array.from({ length: 70 }, (_, index) => [`x-${index}`, 'y']));
  assertProblem(await ask(fixture, { path: '/v1/server', headers: many }), 431, 'REQUEST_INVALID');
  const long = { 'x-long': 'y'.repeat(20_000) };
  assertProblem(await ask(fixture, { path: '/v1/server', headers: long }), 431, 'REQUEST_INVALID');
  assertProblem(await ask(fixture, { path: '/v1/server', headers: { expect: 'magic' } }), 417, 'REQUEST_INVALID');
});

test('ranges: one range, by RFC 9110', async () => {
  await using fixture = await ServerFixture.start();
  const { id, pushToken: token } = fixture.tenant;
  const repository = await fixture.open();
  const { leaseId, status } = await repository.acquireLease({
    leaseId: newLeaseId(),
    epoch: (await repository.status()).epoch,
    holder: 'me',
  });
  assert.equal(status.lastPack, 0);
  const { file, sha256 } = fakePack(id, 1);
  await repository.putPack(leaseId, 1, [file], sha256);
  const get = async (range: string): Promise<RawAnswer> =>
    await ask(fixture, { path: `/v1/repositories/${id}/packs/1`, token, headers: { range } });
  const size = file.byteLength;
  const cases: [string, number, number, number][] = [
    ['bytes=0-0', 206, 0, 1],
    ['bytes=10-19', 206, 10, 20],
    [`bytes=100-${size + 50}`, 206, 100, size],
    ['bytes=100-', 206, 100, size],
    ['bytes=-10', 206, size - 10, size],
    ['bytes=-99999', 206, 0, size],
    ['bytes=5-2', 200, 0, size],
    ['bytes=0-1,3-4', 200, 0, size],
    ['bytes=-', 200, 0, size],
    ['lines=1-2', 200, 0, size],
  ];
  for (const [range, wanted, start, end] of cases) {
    const answer = await get(range);
    assert.equal(answer.status, wanted, range);
    assert.ok(answer.body.equals(file.subarray(start, end)), range);
    if (wanted === 206) assert.equal(answer.headers['content-range'], `bytes ${start}-${end - 1}/${size}`);
  }
  for (const range of [`bytes=${size}-`, 'bytes=-0']) {
    const answer = await get(range);
    assertProblem(answer, 416, 'LIMIT_EXCEEDED');
    assert.equal(answer.headers['content-range'], `bytes */${size}`);
  }
});

test('one token cannot use up all requests', async () => {
  await using fixture = await ServerFixture.start({ requestsPerTokenMax: 1 });
  const { id, pushToken: token } = fixture.tenant;
  const path = `/v1/repositories/${id}`;
  const put: RawRequest = { method: 'PUT', path: `${path}/keys/2`, token, body: new Uint8Array(100) };
  // The first asks for permission and never sends its body, so that it runs on.
  const running = ask(fixture, { ...put, headers: { expect: '100-continue', 'content-length': '101' } }).catch(
    () => 'cut',
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertProblem(await ask(fixture, { path, token }), 429, 'RATE_LIMITED');
  assert.equal((await ask(fixture, { path, token: fixture.tenant.readToken })).status, 200);
  await fixture.server?.stop(0);
  assert.equal(await running, 'cut');
});

test('strangers cannot keep out whoever has a token', async () => {
  await using fixture = await ServerFixture.start({
    requestsMax: 2,
    openRequestsMax: 2,
    openRequestsPerAddressMax: 2,
    failedAnswerMs: 500,
  });
  const { id, pushToken: token } = fixture.tenant;
  const stranger = new Uint8Array(16);
  const pairing: RawRequest = { method: 'POST', path: '/v1/pairing', body: new Uint8Array(100) };
  const jsonType = { 'content-type': 'application/json' };
  // Without an invitation a body is not even waited for.
  const wordless = { ...jsonType, 'content-length': '101' };
  assertProblem(await ask(fixture, { ...pairing, token: stranger, headers: wordless }), 401, 'PAIRING_INVALID');
  // Pairings whose bodies never come.
  const invite = await fixture.temporary.store.createInvite('slow', 60_000);
  const waiting = [1, 2].map(() =>
    ask(fixture, {
      ...pairing,
      token: invite,
      headers: { ...wordless, expect: '100-continue' },
    }).catch(() => 'cut'),
  );
  // Failed attempts that wait for their answer.
  const failing = [1, 2, 3].map(() => ask(fixture, { path: `/v1/repositories/${id}`, token: stranger }));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal((await ask(fixture, { path: `/v1/repositories/${id}`, token })).status, 200);
  assertProblem(await ask(fixture, { path: '/v1/server' }), 503, 'RATE_LIMITED');
  assert.equal((await ask(fixture, { path: '/v1/recovery', token: fixture.tenant.accessToken })).status, 200);
  for (const answer of await Promise.all(failing)) assert.equal(answer.status, 401);
  await fixture.server?.stop(0);
  assert.deepEqual(await Promise.all(waiting), ['cut', 'cut']);
});

test('repositories cannot see each other', async () => {
  await using fixture = await ServerFixture.start({ failedAttemptsMax: 1_000 });
  const other = await fixture.anotherTenant();
  const mine = await fixture.open();
  const { leaseId } = await mine.acquireLease({
    leaseId: newLeaseId(),
    epoch: (await mine.status()).epoch,
    holder: 'me',
  });
  const { file, sha256 } = fakePack(fixture.tenant.id, 1);
  await mine.putPack(leaseId, 1, [file], sha256);
  for (const route of routes.filter((one) => one.path.includes('{repository}'))) {
    const path = route.path
      .replace('{repository}', fixture.tenant.id)
      .replace('{number}', '1')
      .replace('{lease}', leaseId);
    const body =
      route.body === undefined ? {} : { body: new Uint8Array(10), headers: { 'content-type': route.body.type } };
    for (const token of [other.pushToken, other.readToken]) {
      assertProblem(await ask(fixture, { method: route.method, path, token, ...body }), 401, 'UNAUTHORIZED');
    }
  }
  const own = await fixture.open({ repositoryId: other.id, token: other.pushToken });
  assert.equal((await own.status()).lastPack, 0);
});

test('every code has a status that HTTP knows as an error', () => {
  for (const status of Object.values(statusOfCode)) assert.ok(status >= 400 && status < 600);
});
