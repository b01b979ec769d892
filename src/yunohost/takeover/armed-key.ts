// The key of an armed fallback server: what lets it take over while nobody is there to type the passphrase.
import { join } from 'node:path';
import { fromHex, toHex } from '../../bytes/hex.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import { parseRepositoryId, type RepositoryId } from '../../format/ids.ts';
import { ensureFolder } from '../../fs/ensure-folder.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { readSecretFile } from '../../fs/read-secret-file.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { isObject } from '../command/shape.ts';

/** What `arm` keeps: the repository’s secret, which the passphrase opens, and never the passphrase itself. */
export interface ArmedKey {
  readonly repositoryId: RepositoryId;
  readonly secret: Uint8Array;
  readonly armedAtMs: number;
}

const fileName = 'armed-key';

export const armedKeyPath = (stateFolder: string): string => join(stateFolder, fileName);

/** Keeps the key, mode 0600, in a folder of mode 0700. @throws IO, DISK_FULL. */
export async function saveArmedKey(
  fs: FileSystem,
  stateFolder: string,
  key: ArmedKey,
  randomHex: string,
): Promise<void> {
  await ensureFolder(fs, stateFolder);
  const text = `${JSON.stringify({ format: 1, ...key, secret: toHex(key.secret) })}\n`;
  await replaceFile(fs, armedKeyPath(stateFolder), Buffer.from(text), stateFolder, randomHex);
}

/** The kept key; undefined when this server is not armed. @throws SECRET_FILE_UNSAFE, FORMAT_INVALID (armed halfway). */
export async function readArmedKey(fs: FileSystem, stateFolder: string): Promise<ArmedKey | undefined> {
  const path = armedKeyPath(stateFolder);
  if ((await fs.facts(path)) === undefined) return undefined;
  const invalid = (): FallbackError =>
    new FallbackError(
      'FORMAT_INVALID',
      `The armed key ${path} cannot be read: this server is armed halfway, and will not take over by itself.`,
      {
        hint: 'Arm it again: fallback arm. Or: fallback disarm.',
      },
    );
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(await readSecretFile(path)).toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw invalid();
    throw error;
  }
  if (!isObject(json) || json['format'] !== 1) throw invalid();
  const { repositoryId, secret, armedAtMs } = json;
  const bytes = typeof secret === 'string' ? fromHex(secret, 32) : undefined;
  if (bytes === undefined || typeof repositoryId !== 'string' || typeof armedAtMs !== 'number') throw invalid();
  return { repositoryId: parseRepositoryId(repositoryId), secret: bytes, armedAtMs };
}

/** Removes the key. @returns whether there was one. */
export async function removeArmedKey(fs: FileSystem, stateFolder: string): Promise<boolean> {
  if ((await fs.facts(armedKeyPath(stateFolder))) === undefined) return false;
  await fs.unlink(armedKeyPath(stateFolder));
  await fs.syncFolder(stateFolder);
  return true;
}
