// Ten thousand requests of a hostile client: each gets a well-formed problem or a cut connection, and the server lives on.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:https';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseEpoch } from '../../src/format/ids.ts';
import { statusOfCode } from '../../src/server/problem.ts';
import { routes } from '../../src/server/routes.ts';
import { newLeaseId } from '../support/fake-objects.ts';
import { bearer, certificateOf, digestHeader } from './raw-client.ts';
import { ServerFixture } from './server-fixture.ts';

const requestsMin = 10_000;
const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

interface Fuzzed {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
  readonly digest: 'right' | 'wrong' | 'none';
  readonly token: 'push' | 'read' | 'other' | 'none';
}

/** Texts that may stand in a request line or header: Node refuses others before they are sent. */
const word = fc.stringMatching(/^[!-~]{0,40}$/).map((text) => text.replace(/[\s#]/g, 'x'));
const mostly = <T>(usual: fc.Arbitrary<T>, other: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 5, arbitrary: usual }, { weight: 1, arbitrary: other });
const number = mostly(
  fc.constantFrom('1', '2', '7'),
  fc.oneof(fc.constantFrom('0', '01', '-1', '9007199254740993', '1099511627777', 'NaN'), word),
);
const methods = fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND');
const query = fc.oneof(
  fc.constant(''),
  fc.constantFrom('?from=1', '?after=1', '?from=1&bytes=0'),
  word.map((text) => `?${text}`),
);
const headerNames = fc.constantFrom(
  'range',
  'fallback-lease',
  'content-type',
  'content-encoding',
  'if-match',
  'cookie',
);
const headerValues = fc.oneof(word, fc.constantFrom('bytes=0-1', 'bytes=-1', 'bytes=9-1', 'a'.repeat(32)));
const json = fc.oneof(
  fc.json(),
  fc.record({ epoch: fc.integer(), holder: fc.string() }).map((value) => JSON.stringify(value)),
  fc.record({ expected: fc.nat() }).map((value) => JSON.stringify(value)),
);

/** Near a request that is in order, so that it comes as far as the store; then wrong in some ways. */
function arbitraryRequest(id: string, otherId: string, lease: string): fc.Arbitrary<Fuzzed> {
  const near = fc.constantFrom(...routes).chain((route) =>
    fc.record({
      method: mostly(fc.constant<string>(route.method), methods),
      path: fc
        .tuple(
          mostly(fc.constant(id), fc.constantFrom(otherId, 'x'.repeat(32))),
          number,
          mostly(fc.constant(lease), fc.constantFrom('b'.repeat(32), 'zz')),
          mostly(fc.constant(''), query),
        )
        .map(
          ([repository, value, leaseId, tail]) =>
            route.path.replace('{repository}', repository).replace('{number}', value).replace('{lease}', leaseId) +
            tail,
        ),
      headers: fc.dictionary(headerNames, headerValues, { maxKeys: 2 }).map((headers) => ({
        ...(route.body === undefined ? {} : { 'content-type': route.body.type, 'fallback-lease': lease }),
        ...headers,
      })),
      body:
        route.body === undefined
          ? mostly(fc.constant(new Uint8Array(0)), fc.uint8Array({ maxLength: 100 }))
          : fc.oneof(
              json.map((text) => new Uint8Array(Buffer.from(text))),
              fc.uint8Array({ maxLength: 2_000 }),
            ),
      digest: mostly(fc.constant('right' as const), fc.constantFrom('wrong' as const, 'none' as const)),
      token: mostly(fc.constant('push' as const), fc.constantFrom('read' as const, 'other' as const, 'none' as const)),
    }),
  );
  const far = fc.record({
    method: methods,
    path: word.map((text) => `/${text}`),
    headers: fc.dictionary(headerNames, headerValues, { maxKeys: 4 }).map((headers) => ({ ...headers })),
    body: fc.uint8Array({ maxLength: 200 }),
    digest: fc.constantFrom('right' as const, 'none' as const),
    token: fc.constantFrom('push' as const, 'none' as const),
  });
  return mostly(near, far);
}

async function send(fixture: ServerFixture, agent: Agent, fuzzed: Fuzzed, other: Uint8Array): Promise<string> {
  const tokens = { push: fixture.tenant.pushToken, read: fixture.tenant.readToken, other, none: undefined };
  const token = tokens[fuzzed.token];
  const headers: Record<string, string> = { ...fuzzed.headers, 'content-length': String(fuzzed.body.byteLength) };
  if (token !== undefined) headers['authorization'] = bearer(token);
  if (fuzzed.digest === 'right') headers['content-digest'] = digestHeader(fuzzed.body);
  if (fuzzed.digest === 'wrong') headers['content-digest'] = digestHeader(Buffer.from('else'));
  const { method, path } = fuzzed;
  const sent = request({ host: '127.0.0.1', port: fixture.port, method, path, headers, agent });
  sent.end(fuzzed.body);
  const [response] = await once(sent, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('latin1');
  const { statusCode: status } = response;
  if (status < 400) return 'served';
  assert.notEqual(status, 500, `${method} ${path}: ${text}`);
  assert.equal(response.headers['content-type'], 'application/problem+json', `${method} ${path}: ${text}`);
  if (method === 'HEAD') return 'refused';
  const problem = JSON.parse(text) as { code: string; status: number; title: string };
  assert.ok(Object.hasOwn(statusOfCode, problem.code), problem.code);
  assert.equal(problem.status, status);
  return problem.code;
}

test(`ten thousand fuzzed requests (FUZZ_SEED=${seed})`, async () => {
  await using fixture = await ServerFixture.start({ failedAnswerMs: 0, failedAttemptsMax: 1e9 });
  const other = await fixture.anotherTenant();
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 8,
    ca: [certificateOf(fixture)],
    servername: 'fallback.invalid',
  });
  const seen = new Map<string, number>();
  const { leaseId } = await (await fixture.open()).acquireLease({
    leaseId: newLeaseId(),
    epoch: parseEpoch(1),
    holder: 'x',
  });
  const samples = fc.sample(arbitraryRequest(fixture.tenant.id, other.id, leaseId), { numRuns: requestsMin, seed });
  const memoryBefore = process.memoryUsage().rss;
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let fuzzed = samples[next++]; fuzzed !== undefined; fuzzed = samples[next++]) {
      const outcome = await send(fixture, agent, fuzzed, other.pushToken);
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  agent.destroy();
  // The samples reach far enough: a fuzzer that only ever meets one refusal proves nothing.
  for (const code of [
    'served',
    'UNAUTHORIZED',
    'FORBIDDEN',
    'NOT_FOUND',
    'REQUEST_INVALID',
    'DIGEST_MISMATCH',
    'FORMAT_INVALID',
    'LIMIT_EXCEEDED',
  ]) {
    assert.ok((seen.get(code) ?? 0) > 10, `${code}: ${JSON.stringify([...seen])}`);
  }
  assert.ok(process.memoryUsage().rss - memoryBefore < 200 * 1024 * 1024);
  assertNoSecrets(fixture, [other.pushToken, other.readToken]);
  assert.equal((await (await fixture.open()).status()).repositoryId, fixture.tenant.id);
});

/** No line of the log holds a token, in any of the ways in which it could be written. */
function assertNoSecrets(fixture: ServerFixture, more: readonly Uint8Array[]): void {
  const { pushToken, readToken, accessToken } = fixture.tenant;
  const log = fixture.lines.join('\n');
  for (const token of [pushToken, readToken, accessToken, ...more]) {
    for (const encoding of ['hex', 'base64', 'base64url'] as const) {
      assert.ok(!log.includes(Buffer.from(token).toString(encoding)));
    }
  }
  for (const line of fixture.lines) assert.equal(typeof JSON.parse(line), 'object');
}
