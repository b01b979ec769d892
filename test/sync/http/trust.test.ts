// Whom the client talks to: the pinned certificate and no other; pairing and recovery over it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { test } from 'node:test';
import { limits } from '../../../src/format/limits.ts';
import { makeSelfSignedCertificate } from '../../../src/server/certificate-der.ts';
import { fetchCertificate } from '../../../src/sync/http/fetch-certificate.ts';
import { fetchRecovery } from '../../../src/sync/http/fetch-recovery.ts';
import { HttpRepository } from '../../../src/sync/http/http-repository.ts';
import { pairWithServer } from '../../../src/sync/http/pair-with-server.ts';
import { pinnedServerName } from '../../../src/sync/http/server-trust.ts';
import { clientEnvironment, hastyLimits, ServerFixture } from '../../server/server-fixture.ts';
import { fakeConfiguration, fakeKeyDocument, newRepositoryId, sha256 } from '../../support/fake-objects.ts';
import { expiredCertificatePem, expiredKeyPem } from './expired-certificate.ts';

/** A listening server, ended with its block. */
class Listening implements AsyncDisposable {
  readonly server: Server;

  constructor(server: Server) {
    this.server = server;
  }

  static async on(server: Server): Promise<Listening> {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    return new Listening(server);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      if ('closeAllConnections' in this.server) (this.server.closeAllConnections as () => void)();
    });
  }
}

function client(port: number, certificatePem: string): HttpRepository {
  return new HttpRepository({
    server: { host: '127.0.0.1', port, trust: { kind: 'pinned', certificatePem } },
    environment: clientEnvironment,
    repositoryId: newRepositoryId(),
    token: randomBytes(32),
    limits: hastyLimits,
  });
}

test('a certificate with another fingerprint is refused, and nothing is sent', async () => {
  await using fixture = await ServerFixture.start();
  const { address } = fixture;
  const before = fixture.lines.length;
  const wrong = { ...address, certificateSha256: randomBytes(32) };
  await assert.rejects(fetchCertificate(wrong, clientEnvironment), { code: 'CERTIFICATE_MISMATCH' });
  await assert.rejects(fetchRecovery(wrong, randomBytes(32), clientEnvironment), { code: 'CERTIFICATE_MISMATCH' });
  assert.equal(fixture.lines.length, before);
  assert.match(await fetchCertificate(address, clientEnvironment), /^-----BEGIN CERTIFICATE-----/);
});

test('a server that was set up anew is not trusted, on every connection', async () => {
  let requests = 0;
  const other = makeSelfSignedCertificate('fallback.invalid');
  const pinned = makeSelfSignedCertificate('fallback.invalid').certificatePem;
  const tls = createTlsServer({ key: other.keyPem, cert: other.certificatePem }, (_request, response) => {
    requests++;
    response.end();
  });
  await using listening = await Listening.on(tls);
  const repository = client(listening.port, pinned);
  for (let count = 0; count < 3; count++) await assert.rejects(repository.status(), { code: 'CERTIFICATE_MISMATCH' });
  await repository.close();
  assert.equal(requests, 0);
});

test('a pinned certificate of an admin’s own, with another name, is taken', async () => {
  const named = makeSelfSignedCertificate('backup.example.org');
  const tls = createTlsServer({ key: named.keyPem, cert: named.certificatePem }, (_request, response) => {
    response.writeHead(404, { 'content-type': 'text/html' }).end('<html>');
  });
  await using listening = await Listening.on(tls);
  assert.equal(pinnedServerName(named.certificatePem), 'backup.example.org');
  const repository = client(listening.port, named.certificatePem);
  // The certificate is taken: what is refused is the answer of what is no fallback server.
  await assert.rejects(repository.status(), { code: 'PROTOCOL' });
  await repository.close();
});

test('a certificate that has ended is refused, pinned or not', async () => {
  const tls = createTlsServer({ key: expiredKeyPem, cert: expiredCertificatePem }, (_request, response) =>
    response.end(),
  );
  await using listening = await Listening.on(tls);
  const repository = client(listening.port, expiredCertificatePem);
  await assert.rejects(repository.status(), { code: 'CERTIFICATE_MISMATCH', message: /has expired/ });
  await repository.close();
});

test('a self-signed certificate is no public one', async () => {
  await using fixture = await ServerFixture.start();
  const server = { host: '127.0.0.1', port: fixture.port, trust: { kind: 'public' } } as const;
  const repository = await fixture.open({ server, limits: hastyLimits });
  await assert.rejects(repository.status(), { code: 'CERTIFICATE_MISMATCH' });
  const zeros = { ...fixture.address, certificateSha256: new Uint8Array(32) };
  await assert.rejects(fetchRecovery(zeros, randomBytes(32), clientEnvironment), { code: 'CERTIFICATE_MISMATCH' });
});

test('TLS 1.2 only, plain HTTP, something that is neither, and nothing at all', async () => {
  const { keyPem, certificatePem } = makeSelfSignedCertificate('fallback.invalid');
  const address = (port: number) => ({ host: '127.0.0.1', port, certificateSha256: new Uint8Array(32).fill(1) });
  const failsWith = async (port: number, code: string): Promise<void> => {
    const repository = client(port, certificatePem);
    await assert.rejects(repository.status(), { code });
    await repository.close();
    await assert.rejects(fetchCertificate(address(port), { ...clientEnvironment, sleep: async () => {} }), { code });
  };
  const old = createTlsServer({ key: keyPem, cert: certificatePem, maxVersion: 'TLSv1.2' });
  await using oldListening = await Listening.on(old);
  await failsWith(oldListening.port, 'PROTOCOL');
  await using plain = await Listening.on(createHttpServer((_request, response) => response.end('hello')));
  await failsWith(plain.port, 'PROTOCOL');
  await using ssh = await Listening.on(
    createTcpServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .write('SSH-2.0-OpenSSH_9.2\r\n'),
    ),
  );
  await failsWith(ssh.port, 'PROTOCOL');
  const gone = await Listening.on(createTcpServer());
  const { port } = gone;
  await gone[Symbol.asyncDispose]();
  await failsWith(port, 'UNREACHABLE');
});

test('pairing: a code is good once; the same request may be sent again; then the tokens work', async () => {
  await using fixture = await ServerFixture.start();
  const { store, environment } = fixture.temporary;
  const code = { ...fixture.address, oneTimeToken: await store.createInvite('laptop', 60_000) };
  const repositoryId = newRepositoryId();
  const [pushToken, readToken] = [randomBytes(32), randomBytes(32)];
  const accessToken = randomBytes(32);
  const request = {
    repositoryId,
    pushTokenSha256: sha256(pushToken),
    readTokenSha256: sha256(readToken),
    configuration: fakeConfiguration(repositoryId),
    keyDocument: fakeKeyDocument(repositoryId, 1, accessToken),
  };
  const { server, name } = await pairWithServer(code, request, clientEnvironment);
  assert.equal(name, 'laptop');
  assert.equal((await pairWithServer(code, request, clientEnvironment)).name, 'laptop');
  const other = { ...request, pushTokenSha256: sha256(randomBytes(32)) };
  await assert.rejects(pairWithServer(code, other, clientEnvironment), { code: 'PAIRING_INVALID' });
  const unknown = { ...code, oneTimeToken: randomBytes(16) };
  await assert.rejects(pairWithServer(unknown, other, clientEnvironment), { code: 'PAIRING_INVALID' });
  const late = { ...code, oneTimeToken: await store.createInvite('late', 1_000) };
  environment.timeMs += 1_000;
  await assert.rejects(pairWithServer(late, other, clientEnvironment), { code: 'PAIRING_INVALID' });

  for (const token of [pushToken, readToken]) {
    const repository = await fixture.open({ server, repositoryId, token });
    assert.equal((await repository.status()).name, 'laptop');
  }
  const recovery = await fetchRecovery(fixture.address, accessToken, clientEnvironment);
  assert.equal(recovery.repositoryId, repositoryId);
  assert.equal(recovery.superseded, false);
  assert.deepEqual(Buffer.from(recovery.configuration), Buffer.from(request.configuration));
  assert.deepEqual(
    recovery.keyDocuments.map(({ number }) => number),
    [1],
  );
  assert.deepEqual(Buffer.from(recovery.keyDocuments[0]?.file ?? []), Buffer.from(request.keyDocument));
  await assert.rejects(fetchRecovery(fixture.address, randomBytes(32), clientEnvironment), { code: 'UNAUTHORIZED' });
});

test('recovery gives all key documents with a slot for the phrase, as many as there may be', async () => {
  await using fixture = await ServerFixture.start();
  const { id, accessToken, keyDocument } = fixture.tenant;
  const repository = await fixture.open();
  const numbers = Array.from({ length: limits.keyDocumentsMax }, (_, index) => index + 1);
  for (const number of numbers.slice(1)) {
    await repository.putKeyDocument(number, fakeKeyDocument(id, number, accessToken));
  }
  const recovery = await fetchRecovery(fixture.address, accessToken, clientEnvironment);
  assert.equal(recovery.superseded, false);
  assert.deepEqual(
    recovery.keyDocuments.map(({ number }) => number),
    numbers,
  );
  assert.deepEqual(Buffer.from(recovery.keyDocuments[0]?.file ?? []), Buffer.from(keyDocument));
});

test('wrong token, another repository’s token, an access token where it is none', async () => {
  await using fixture = await ServerFixture.start();
  const other = await fixture.anotherTenant();
  for (const token of [randomBytes(32), other.pushToken, fixture.tenant.accessToken]) {
    const repository = await fixture.open({ token });
    await assert.rejects(repository.status(), { code: 'UNAUTHORIZED', exitCode: 5 });
  }
});
