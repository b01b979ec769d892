// The server's certificate: as OpenSSL reads it, made once, kept, never shared with others.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { makeSelfSignedCertificate } from '../../src/server/certificate-der.ts';
import {
  certificateName,
  ensureServerIdentity,
  identityFileName,
  readServerIdentity,
} from '../../src/server/server-identity.ts';
import { TestEnvironment } from '../support/temporary-store.ts';

const { randomBytes } = new TestEnvironment();

test('the certificate is what OpenSSL takes for one: P-256, one name, valid whatever the clock says', () => {
  const { keyPem, certificatePem } = makeSelfSignedCertificate(certificateName);
  const certificate = new X509Certificate(certificatePem);
  assert.ok(certificate.verify(certificate.publicKey));
  assert.equal(certificate.checkHost(certificateName), certificateName);
  assert.equal(certificate.checkHost('example.com'), undefined);
  assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.equal(certificate.ca, false);
  assert.equal(certificate.validFromDate.getUTCFullYear(), 1970);
  assert.equal(certificate.validToDate.getUTCFullYear(), 9999);
  assert.ok(/^[4-7]/.test(certificate.serialNumber) && certificate.serialNumber.length === 32);
  assert.deepEqual(readServerIdentity(keyPem, certificatePem).certificatePem, certificatePem);
});

test('the openssl command reads and verifies it, and counts the same fingerprint', (context) => {
  const { keyPem, certificatePem } = makeSelfSignedCertificate(certificateName);
  const openssl = (input: string, ...args: string[]) => spawnSync('openssl', args, { input, encoding: 'utf8' });
  const shown = openssl(certificatePem, 'x509', '-noout', '-text', '-fingerprint', '-sha256');
  if (shown.error !== undefined) return context.skip('no openssl here');
  assert.equal(shown.status, 0, shown.stderr);
  for (const part of [
    'NIST CURVE: P-256',
    'ecdsa-with-SHA256',
    'DNS:fallback.invalid',
    'TLS Web Server Authentication',
    'CA:FALSE',
  ]) {
    assert.ok(shown.stdout.includes(part), part);
  }
  const identity = readServerIdentity(keyPem, certificatePem);
  const fingerprint = /Fingerprint=([0-9A-F:]+)/.exec(shown.stdout)?.[1]?.replaceAll(':', '').toLowerCase();
  assert.equal(Buffer.from(identity.certificateSha256).toString('hex'), fingerprint);
  assert.equal(createHash('sha256').update(new X509Certificate(certificatePem).raw).digest('hex'), fingerprint);
});

test('an identity is made once, readable by its owner only, and kept; a second process gets the same', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fallback-identity-'));
  try {
    const [first, second] = await Promise.all([
      ensureServerIdentity(nodeFileSystem, folder, randomBytes),
      ensureServerIdentity(nodeFileSystem, folder, randomBytes),
    ]);
    const third = await ensureServerIdentity(nodeFileSystem, folder, randomBytes);
    assert.deepEqual(first, second);
    assert.deepEqual(first, third);
    const path = join(folder, identityFileName);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await chmod(path, 0o644);
    await assert.rejects(ensureServerIdentity(nodeFileSystem, folder, randomBytes), { code: 'SECRET_FILE_UNSAFE' });
    await chmod(path, 0o600);
    await writeFile(path, 'something else');
    await assert.rejects(ensureServerIdentity(nodeFileSystem, folder, randomBytes), { code: 'STORE_INVALID' });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a key that is another certificate’s is refused', () => {
  const one = makeSelfSignedCertificate(certificateName);
  const other = makeSelfSignedCertificate(certificateName);
  assert.throws(() => readServerIdentity(one.keyPem, other.certificatePem), { code: 'CONFIG_INVALID' });
  assert.throws(() => readServerIdentity('x', one.certificatePem), { code: 'CONFIG_INVALID' });
});
