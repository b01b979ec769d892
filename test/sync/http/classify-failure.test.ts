// Each row of the failure table, met as it comes from Node, undici or a server's answer.
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type ErrorCode, errorCodes } from '../../../src/errors/error-codes.ts';
import { parseEpoch } from '../../../src/format/ids.ts';
import { makeSelfSignedCertificate } from '../../../src/server/certificate-der.ts';
import { statusOfCode } from '../../../src/server/problem.ts';
import {
  answerCodes,
  classifyNetworkError,
  networkFailureFamilies,
  networkFailures,
  statusFailures,
} from '../../../src/sync/http/classify-failure.ts';
import { HttpRepository } from '../../../src/sync/http/http-repository.ts';
import { failureOfAnswer } from '../../../src/sync/http/read-problem.ts';
import { clientEnvironment, hastyLimits } from '../../server/server-fixture.ts';
import { fakePack, newLeaseId, newRepositoryId } from '../../support/fake-objects.ts';

const html = Buffer.from('<html><body><h1>It works!</h1></body></html>');

for (const [code, row] of Object.entries(networkFailures)) {
  test(`network: ${code} is ${row.code}`, () => {
    const bare = Object.assign(new Error('as planned'), { code });
    const wrapped = new TypeError('fetch failed', { cause: bare });
    const tried = Object.assign(new AggregateError([bare, new Error('another')]), { code: 'ETIMEDOUT' });
    for (const error of [bare, wrapped, tried]) {
      const failure = classifyNetworkError(error);
      assert.equal(failure?.error.code, row.code);
      assert.equal(failure?.repeat, row.repeat);
      assert.equal(failure?.error.message, row.message);
    }
    // What is no trust but a network failure is worth another try, and the other way round.
    assert.equal(row.repeat === 'yes', row.code === 'UNREACHABLE' || row.code === 'TIMEOUT');
  });
}

for (const [prefix, row] of networkFailureFamilies) {
  test(`network: ${prefix}… is ${row.code}`, () => {
    assert.equal(classifyNetworkError(Object.assign(new Error('x'), { code: `${prefix}OTHER` }))?.error.code, row.code);
  });
}

test('a defect is no failure of the network', () => {
  assert.equal(classifyNetworkError(new TypeError('undefined is not a function')), undefined);
  assert.equal(classifyNetworkError('text'), undefined);
});

for (const [status, row] of Object.entries(statusFailures)) {
  test(`a proxy’s page with status ${status} is ${row.code}`, () => {
    const failure = failureOfAnswer(Number(status), { 'content-type': 'text/html', 'retry-after': '7' }, html);
    assert.equal(failure.error.code, row.code);
    assert.equal(failure.repeat, row.repeat);
    assert.equal(failure.retryAfterMs, 7_000);
  });
}

test('any other answer is no fallback server’s', () => {
  for (const status of [200, 204, 301, 302, 400, 401, 403, 404, 405, 501]) {
    assert.equal(failureOfAnswer(status, { 'content-type': 'text/html' }, html).error.code, 'PROTOCOL');
  }
});

test('every code that a server may answer with is known to the client, with the server’s own words made harmless', () => {
  assert.deepEqual(Object.keys(answerCodes).sort(), Object.keys(statusOfCode).sort());
  for (const [code, status] of Object.entries(statusOfCode)) {
    const problem = {
      code,
      title: 'Said\u001b[2J by\nthe server',
      hint: 'rm -rf /',
      details: { missing: [{ first: 1, last: 2 }, 'x'], a: 1, b: {} },
    };
    const headers = { 'content-type': 'application/problem+json' };
    const { error, repeat } = failureOfAnswer(status, headers, Buffer.from(JSON.stringify(problem)));
    assert.equal(error.code, code);
    assert.equal(repeat, answerCodes[code as ErrorCode]);
    assert.equal(error.message, 'Said [2J by the server');
    assert.equal(error.hint, errorCodes[code as ErrorCode].hint);
    assert.deepEqual(error.details, { missing: [{ first: 1, last: 2 }], a: 1 });
  }
});

test('a hostile server cannot make the client say what only the client may say', () => {
  const headers = { 'content-type': 'application/problem+json' };
  for (const code of [
    'KEY_WRONG',
    'CERTIFICATE_MISMATCH',
    'TRUST_ROLLBACK',
    'USAGE',
    '__proto__',
    'toString',
    7,
    null,
  ]) {
    assert.equal(failureOfAnswer(409, headers, Buffer.from(JSON.stringify({ code }))).error.code, 'PROTOCOL');
  }
  assert.equal(failureOfAnswer(507, headers, Buffer.from('{')).error.code, 'SERVER_FULL');
});

type Answering = (response: ServerResponse, url: string, count: number) => void;

/** A scripted server, and a client of it. */
async function withScript(answer: Answering, run: (repository: HttpRepository) => Promise<void>): Promise<number> {
  const { keyPem, certificatePem } = makeSelfSignedCertificate('fallback.invalid');
  let count = 0;
  const server = createTlsServer({ key: keyPem, cert: certificatePem }, (request, response) => {
    answer(response, request.url ?? '', count++);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const { port } = server.address() as AddressInfo;
  const repository = new HttpRepository({
    server: { host: '127.0.0.1', port, trust: { kind: 'pinned', certificatePem } },
    // Only waits count against the time for trying, not how long a busy machine takes for an attempt; nothing here is about silence.
    environment: { ...clientEnvironment, monotonicMs: () => 0 },
    repositoryId: newRepositoryId(),
    token: new Uint8Array(32),
    limits: { ...hastyLimits, silenceMs: 60_000, connectMs: 60_000 },
  });
  try {
    await run(repository);
  } finally {
    await repository.close();
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
  return count;
}

const problem = (response: ServerResponse, status: number, code: string): void => {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ code, title: 'as planned' }));
};

for (const [status, code] of [
  [413, 'LIMIT_EXCEEDED'],
  [401, 'UNAUTHORIZED'],
  [507, 'SERVER_FULL'],
  [409, 'LEASE_LOST'],
] as const) {
  test(`an early ${status} during an upload is seen, not a broken connection`, async () => {
    const { file, sha256, number } = fakePack(newRepositoryId(), 1, { bodyBytes: 12_000_000 });
    const count = await withScript(
      (response) => problem(response, status, code),
      async (repository) => {
        for (let turn = 0; turn < 3; turn++) {
          await assert.rejects(repository.putPack(newLeaseId(), number, [file], sha256), { code });
        }
      },
    );
    assert.equal(count, 3);
  });
}

test('a server’s trouble is waited out, within limits; Retry-After is honoured', async () => {
  const times: number[] = [];
  const count = await withScript(
    (response, _url, index) => {
      times.push(performance.now());
      if (index === 2) response.setHeader('retry-after', '1');
      if (index < 3) problem(response, 503, 'SERVER_ERROR');
      else response.writeHead(204).end();
    },
    async (repository) => {
      // A second is more than these limits allow: the wait that the server asked for counts.
      await assert.rejects(repository.releaseLease(newLeaseId()), { code: 'SERVER_ERROR' });
      await repository.releaseLease(newLeaseId());
    },
  );
  assert.equal(count, 4);
});

test('what must not be repeated is not', async () => {
  for (const code of ['CONFLICT', 'FENCED', 'BUSY', 'UNAUTHORIZED', 'LEASE_LOST', 'QUOTA_EXCEEDED'] as const) {
    const count = await withScript(
      (response) => problem(response, statusOfCode[code], code),
      async (repository) => {
        const request = { leaseId: newLeaseId(), epoch: parseEpoch(1), holder: 'x' };
        await assert.rejects(repository.acquireLease(request), { code });
      },
    );
    assert.equal(count, 1);
  }
  const twice = await withScript(
    (response) => problem(response, 400, 'DIGEST_MISMATCH'),
    async (repository) => assert.rejects(repository.putKeyDocument(2, new Uint8Array(5)), { code: 'DIGEST_MISMATCH' }),
  );
  assert.equal(twice, 3);
});

test('answers that lie: too long, too short, not JSON, endless, of another repository', async () => {
  const refused = async (
    answer: Answering,
    code: ErrorCode,
    call: (repository: HttpRepository) => Promise<unknown>,
  ) => {
    await withScript(answer, async (repository) => {
      await assert.rejects(call(repository), { code });
    });
  };
  const status = (repository: HttpRepository): Promise<unknown> => repository.status();
  await refused((response) => response.end('{}'), 'PROTOCOL', status);
  await refused((response) => response.end('<html>'), 'PROTOCOL', status);
  await refused((response) => response.writeHead(302, { location: 'https://example.com/' }).end(), 'PROTOCOL', status);
  await refused(
    (response) => response.writeHead(200, { 'content-length': '99999999999' }).flushHeaders(),
    'LIMIT_EXCEEDED',
    (repository) => repository.configuration(),
  );
  await refused(
    (response) => {
      const timer = setInterval(() => response.write(Buffer.alloc(10_000)), 1);
      response.on('close', () => clearInterval(timer));
    },
    'LIMIT_EXCEEDED',
    (repository) => repository.configuration(),
  );
  await refused(
    (response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('x');
      setTimeout(() => response.destroy(), 20);
    },
    'UNREACHABLE',
    (repository) => repository.configuration(),
  );
  await refused(
    (response) => response.writeHead(206, { 'content-range': 'bytes 0-9/100' }).end('x'.repeat(10)),
    'PROTOCOL',
    (repository) => repository.pack(1, { start: 10, end: 20 }),
  );
  await refused(
    (response) => response.end('not a pack header at all, and longer than forty bytes'),
    'FORMAT_INVALID',
    async (repository) => {
      for await (const bytes of repository.directories(1)) assert.fail(String(bytes.byteLength));
    },
  );
});
