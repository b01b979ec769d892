// The server's certificate and key: made on first start, kept in the store's folder, or an admin's own.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { toHex } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { ensureFolder } from '../fs/ensure-folder.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { beginFile } from '../fs/publish-file.ts';
import { readSecretFile } from '../fs/read-secret-file.ts';
import { makeSelfSignedCertificate } from './certificate-der.ts';

/** The name in every self-signed certificate: it says nothing about where the server is, so an address may change. */
export const certificateName = 'fallback.invalid';

/** One file for both, mode 0600: it is there whole, or not at all. */
export const identityFileName = 'server-identity.pem';

export interface ServerIdentity {
  readonly keyPem: string;
  /** The server's certificate, and its chain when an admin gave one. */
  readonly certificatePem: string;
  /** SHA-256 of the certificate (DER), 32 bytes: what pairing codes and recovery sheets carry. */
  readonly certificateSha256: Uint8Array;
}

/** Checks that key and certificate belong together. @throws CONFIG_INVALID. */
export function readServerIdentity(keyPem: string, certificatePem: string): ServerIdentity {
  try {
    const certificate = new X509Certificate(certificatePem);
    if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) throw new Error('the key is another certificate’s');
    const certificateSha256 = new Uint8Array(Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex'));
    return { keyPem, certificatePem, certificateSha256 };
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown';
    throw new FallbackError('CONFIG_INVALID', `The server’s certificate and key cannot be used: ${why}.`);
  }
}

function splitIdentityFile(text: string): ServerIdentity {
  const at = text.indexOf('-----BEGIN CERTIFICATE-----');
  if (at < 0) throw new FallbackError('STORE_INVALID', `The file ${identityFileName} holds no certificate.`);
  return readServerIdentity(text.slice(0, at), text.slice(at));
}

/**
 * The identity in the store's folder; made there when there is none yet.
 * @throws CONFIG_INVALID, STORE_INVALID, SECRET_FILE_UNSAFE, DISK_FULL, IO.
 */
export async function ensureServerIdentity(
  fs: FileSystem,
  folder: string,
  randomBytes: (count: number) => Uint8Array,
): Promise<ServerIdentity> {
  const path = join(folder, identityFileName);
  await ensureFolder(fs, folder);
  if ((await fs.facts(path)) === undefined) {
    const made = makeSelfSignedCertificate(certificateName);
    const draft = await beginFile(fs, folder, toHex(randomBytes(8)));
    try {
      await draft.write(Buffer.from(made.keyPem + made.certificatePem));
      // When another process was first, its identity counts: it may already be pinned somewhere.
      await draft.publish(path);
    } finally {
      await draft.discard();
    }
  }
  return splitIdentityFile(Buffer.from(await readSecretFile(path)).toString('latin1'));
}
