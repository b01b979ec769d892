// Files with passphrases and tokens.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { FallbackError } from '../errors/fallback-error.ts';
import { withFsErrors } from './map-fs-error.ts';

const sharedBits = 0o077;

/**
 * The contents of a secret file of at most `bytesMax`, read through one handle, so that what was checked is what is read.
 * @throws SECRET_FILE_UNSAFE when group or others have any right to it or it belongs to another user, NOT_FOUND, LIMIT_EXCEEDED, IO.
 */
export async function readSecretFile(path: string, bytesMax = 64 * 1024): Promise<Uint8Array> {
  const handle = await withFsErrors('open the secret file', () => open(path, constants.O_RDONLY));
  try {
    const facts = await handle.stat();
    if (!facts.isFile()) throw new FallbackError('SECRET_FILE_UNSAFE', `${path} is not a file; it was not read.`);
    if ((facts.mode & sharedBits) !== 0) {
      throw new FallbackError('SECRET_FILE_UNSAFE', `Others may read or change ${path}; it was not read.`);
    }
    const userId = process.geteuid?.();
    if (userId !== undefined && facts.uid !== userId && facts.uid !== 0) {
      throw new FallbackError('SECRET_FILE_UNSAFE', `${path} belongs to another user; it was not read.`);
    }
    if (facts.size > bytesMax) throw new FallbackError('LIMIT_EXCEEDED', `${path} is too large for a secret.`);
    const bytes = new Uint8Array(facts.size);
    const { bytesRead } = await withFsErrors('read the secret file', () => handle.read(bytes, 0, facts.size, 0));
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
