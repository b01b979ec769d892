// Each message of the protocol, by the server's own table of routes: cut at many places, sent twice, sent in late pieces, and
// sent once more when the repository has long moved on. None of it has an effect that the message alone would not have had.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { routes } from '../../src/server/routes.ts';
import {
  fakeConfiguration,
  fakeKeyDocument,
  fakePack,
  fakeSnapshot,
  newLeaseId,
  newRepositoryId,
  sha256,
} from '../support/fake-objects.ts';
import { ask, bearer, digestHeader, RawConnection } from './raw-client.ts';
import { ServerFixture } from './server-fixture.ts';

interface Message {
  /** The route's method and path, as the server's table has them. */
  readonly route: string;
  readonly path: string;
  readonly token: Uint8Array | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  /** Of the message sent first, and sent again. */
  readonly status: number;
}

const methodOf = ({ route }: Message): string => route.slice(0, route.indexOf(' '));

/** Every route once, in an order in which each does what it is for. */
async function everyMessage(fixture: ServerFixture): Promise<Message[]> {
  const { id, pushToken, readToken, accessToken } = fixture.tenant;
  const takeover = await fixture.takeoverToken();
  const invite = await fixture.temporary.store.createInvite('another', 3_600_000);
  const leaseId = newLeaseId();
  const pack = fakePack(id, 1);
  const otherId = newRepositoryId();
  const lease = { 'fallback-lease': leaseId };
  const bytes = { 'content-type': 'application/octet-stream' };
  const json = { 'content-type': 'application/json' };
  const encode = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
  const pairing = {
    repositoryId: otherId,
    pushTokenSha256: Buffer.from(sha256(randomBytes(32))).toString('hex'),
    readTokenSha256: Buffer.from(sha256(randomBytes(32))).toString('hex'),
    configuration: Buffer.from(fakeConfiguration(otherId)).toString('base64'),
    keyDocument: Buffer.from(fakeKeyDocument(otherId, 1, randomBytes(32))).toString('base64'),
  };
  const root = '/v1/repositories/{repository}';
  const message = (
    route: string,
    token: Uint8Array | undefined,
    status: number,
    { headers = {}, body, number = 1 }: { headers?: Record<string, string>; body?: Uint8Array; number?: number } = {},
  ): Message => {
    const path = route
      .slice(route.indexOf(' ') + 1)
      .replace('{repository}', id)
      .replace('{lease}', leaseId)
      .replace('{number}', String(number));
    return { route, path, token, headers, body, status };
  };
  return [
    message('GET /v1/server', undefined, 200),
    message('POST /v1/pairing', invite, 201, { headers: json, body: encode(pairing) }),
    message('GET /v1/recovery', accessToken, 200),
    message(`PUT ${root}/leases/{lease}`, pushToken, 200, {
      headers: json,
      body: encode({ epoch: 1, holder: 'me' }),
    }),
    message(`POST ${root}/leases/{lease}/renewal`, pushToken, 204),
    message(`PUT ${root}/packs/{number}`, pushToken, 204, { headers: { ...bytes, ...lease }, body: pack.file }),
    message(`POST ${root}/snapshots`, pushToken, 201, {
      headers: { ...bytes, ...lease },
      body: fakeSnapshot(id, undefined, [1]),
    }),
    message(`PUT ${root}/keys/{number}`, pushToken, 204, {
      headers: bytes,
      body: fakeKeyDocument(id, 2, accessToken),
      number: 2,
    }),
    message(`GET ${root}`, readToken, 200),
    message(`GET ${root}/configuration`, readToken, 200),
    message(`GET ${root}/keys`, readToken, 200),
    message(`GET ${root}/keys/{number}`, readToken, 200),
    message(`GET ${root}/snapshots`, readToken, 200),
    message(`GET ${root}/snapshots/{number}`, readToken, 200),
    message(`GET ${root}/packs/{number}`, readToken, 200),
    message(`GET ${root}/packs/{number}/lost-directory`, readToken, 204),
    message(`GET ${root}/directories`, readToken, 200),
    message(`DELETE ${root}/leases/{lease}`, pushToken, 204),
    message(`PUT ${root}/epoch`, takeover, 200, { headers: json, body: encode({ expected: 1 }) }),
  ];
}

/** The message as it goes over the wire. */
function encodeMessage(message: Message): Buffer {
  const { body, token } = message;
  const headers: Record<string, string> = { host: 'fallback.invalid', connection: 'close', ...message.headers };
  if (token !== undefined) headers['authorization'] = bearer(token);
  if (body !== undefined) {
    headers['content-length'] = String(body.byteLength);
    headers['content-digest'] = digestHeader(body);
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `${methodOf(message)} ${message.path} HTTP/1.1\r\n${lines.join('')}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body ?? Buffer.alloc(0)]);
}

/** What the store holds, but for clocks and the disk's room. */
async function stateOf(fixture: ServerFixture): Promise<unknown> {
  const repository = await fixture.temporary.repository();
  const { present, lost, holed, serverTimeMs, freeBytes, ...rest } = await repository.status();
  const tokens = await fixture.temporary.store.tokens(fixture.tenant.id);
  return {
    ...rest,
    packs: [present, lost, holed].map((packs) => packs.toText()),
    clocks: [typeof serverTimeMs, typeof freeBytes],
    snapshots: await repository.snapshots(),
    keys: await repository.keyDocumentNumbers(),
    tokens: tokens.length,
    repositories: (await fixture.temporary.store.repositoryIds()).length,
  };
}

async function send(fixture: ServerFixture, message: Message): Promise<number> {
  const { path, token, headers, body } = message;
  const raw = { method: methodOf(message), path, headers: { ...headers } };
  const { status } = await ask(fixture, {
    ...raw,
    ...(token === undefined ? {} : { token }),
    ...(body === undefined ? {} : { body }),
  });
  return status;
}

async function sendCut(fixture: ServerFixture, wire: Buffer, bytes: number): Promise<void> {
  const connection = await RawConnection.open(fixture);
  await new Promise<void>((resolve) => connection.socket.write(wire.subarray(0, bytes), () => resolve()));
  // The bytes arrive before the end does: half the cuts leave the server time to act on them, had it a mind to.
  if (bytes % 2 === 0) await sleep(5);
  connection.socket.destroy();
  await connection.closed;
}

async function sendInPieces(fixture: ServerFixture, wire: Buffer, pieces: number): Promise<number> {
  const connection = await RawConnection.open(fixture);
  const size = Math.ceil(wire.byteLength / pieces);
  for (let at = 0; at < wire.byteLength; at += size) {
    connection.socket.write(wire.subarray(at, at + size));
    await sleep(5);
  }
  await connection.closed;
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(connection.received)?.[1]);
}

/** Places to cut at: within the request line, the head, at its end, within the body, and before the last byte. */
function cutsOf(wire: Buffer): number[] {
  const head = wire.indexOf('\r\n\r\n') + 4;
  const places = [1, 5, head >> 1, head - 2, head, head + 1, (head + wire.byteLength) >> 1, wire.byteLength - 1];
  return [...new Set(places)].filter((at) => at < wire.byteLength);
}

test('each message cut, repeated, delayed, and repeated when all is over', async () => {
  await using fixture = await ServerFixture.start({ failedAttemptsMax: 1e9 });
  const messages = await everyMessage(fixture);
  assert.deepEqual(
    messages.map(({ route }) => route).sort(),
    routes.map(({ method, path }) => `${method} ${path}`).sort(),
    'every route is here',
  );
  for (const message of messages) {
    const wire = encodeMessage(message);
    const before = await stateOf(fixture);
    for (const at of cutsOf(wire)) {
      await sendCut(fixture, wire, at);
      assert.deepEqual(await stateOf(fixture), before, `${message.route} cut after ${at} of ${wire.byteLength} bytes`);
    }
    assert.equal(await send(fixture, message), message.status, message.route);
    const after = await stateOf(fixture);
    assert.equal(await send(fixture, message), message.status, `${message.route} again`);
    assert.deepEqual(await stateOf(fixture), after, `${message.route} twice is once`);
    assert.equal(await sendInPieces(fixture, wire, 7), message.status, `${message.route} in late pieces`);
    assert.deepEqual(await stateOf(fixture), after, `${message.route} in late pieces is once`);
    if (methodOf(message) === 'GET') assert.deepEqual(after, before, `${message.route} reads`);
    else if (!message.route.endsWith('/renewal')) assert.notDeepEqual(after, before, `${message.route} does something`);
  }
  const end = await stateOf(fixture);
  for (const message of messages) {
    await send(fixture, message);
    assert.deepEqual(await stateOf(fixture), end, `${message.route} long after`);
  }
});
