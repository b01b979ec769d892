// Files that are being written: a name that tells which process makes them, and the step that gives them their own.
import { closeSync, constants, linkSync, openSync, renameSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import { isLeftover, temporaryName } from '../../fs/temporary-file.ts';

const suffix = '.partial';

/** A new name for a file that is being written, shorter than any archive's. */
export function partialName(randomBytes: (count: number) => Uint8Array): string {
  return `.${temporaryName(Buffer.from(randomBytes(6)).toString('hex'))}${suffix}`;
}

/** Whether a name is one of partialName's, made by a process that is gone. */
export function isDeadPartial(name: string): boolean {
  return name.startsWith('.') && name.endsWith(suffix) && isLeftover(name.slice(1, -suffix.length));
}

/** Removes the partial files that killed processes left in a folder. @returns how many. */
export async function removeDeadPartials(fs: FileSystem, folder: string): Promise<number> {
  let removed = 0;
  for (const { name, isFolder } of await fs.list(folder)) {
    if (isFolder || !isDeadPartial(name)) continue;
    await fs.unlink(join(folder, name)).catch(() => undefined);
    removed++;
  }
  return removed;
}

const noHardLinks: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOSYS', 'EOPNOTSUPP', 'EMLINK', 'EXDEV']);

/** Whether a hard link failed because this place has none. */
export const isWithoutLinks = (error: unknown): boolean => noHardLinks.has(systemErrorCode(error));

function alreadyExists(shown: string): FallbackError {
  return new FallbackError('ALREADY_EXISTS', `${shown} exists already; it was not touched.`);
}

/**
 * Gives a finished file its name: all of it appears at once, and nothing is replaced unless asked.
 * @param shown the name for people.
 * @throws ALREADY_EXISTS; the file keeps its partial name then. Other errors are the kernel's own.
 */
export function giveName(from: string | Buffer, to: string | Buffer, overwrite: boolean, shown: string): void {
  if (overwrite) {
    renameSync(from, to);
    return;
  }
  try {
    linkSync(from, to);
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') throw alreadyExists(shown);
    if (!isWithoutLinks(error)) throw error;
    claimName(to, shown);
    renameSync(from, to);
    return;
  }
  unlinkSync(from);
}

/** Takes a name on a file system without hard links. */
function claimName(path: string | Buffer, shown: string): void {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600));
  } catch (error) {
    throw systemErrorCode(error) === 'EEXIST' ? alreadyExists(shown) : error;
  }
}
