// Folders that stand in a restore's way, and that no backup holds: they go into a folder beside them that is root's alone, since
// their owner is a mere number there. The folder they lie in may be a user's, who may put a link in any place at any moment.
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rename } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import type { HostPaths } from '../command/host-paths.ts';

/** What lies at a path: `empty` is a folder without anything in it. @throws IO. */
export async function lookAt(paths: HostPaths, folder: string): Promise<'missing' | 'empty' | 'full'> {
  try {
    const facts = await lstat(paths.at(folder));
    return facts.isDirectory() && (await readdir(paths.at(folder))).length === 0 ? 'empty' : 'full';
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return 'missing';
    throw error;
  }
}

/**
 * Moves a folder into another one, which is made when it is not there.
 * @param from and to: as the machine names them. @param then what to type when it is done by hand.
 * @throws IO, with its cure; nothing was moved then.
 */
export async function moveFolderAside(paths: HostPaths, from: string, to: string, then: string): Promise<void> {
  const cannot = (reason: string, hint: string, cause?: unknown): FallbackError =>
    new FallbackError('IO', `${from}, which no backup holds, cannot be moved to ${to}: ${reason}`, { cause, hint });
  const folder = dirname(to);
  const handle = await openOwn(paths.at(folder));
  if (handle === undefined)
    throw cannot(
      `${folder} is there, and is no folder of root’s alone.`,
      `Look at what it is and move it away, such as: mv ${folder} ${folder}.old. Then ${then}.`,
    );
  try {
    await rename(paths.at(from), `/proc/self/fd/${handle.fd}/${basename(to)}`);
  } catch (cause) {
    const isMount = ['EBUSY', 'EXDEV'].includes(systemErrorCode(cause) ?? '');
    throw isMount
      ? cannot(
          'it is a disk of its own, mounted there.',
          `Move what is in it away yourself, so that ${from} is empty, or unmount it (umount ${from}). Then ${then}.`,
          cause,
        )
      : cannot(String(cause), `Move it yourself, then ${then}.`, cause);
  } finally {
    await handle.close();
  }
}

/** Undefined when it is a link, no folder, or open to anyone but us. */
async function openOwn(folder: string): Promise<FileHandle | undefined> {
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  });
  let handle: FileHandle;
  try {
    handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if (['ENOTDIR', 'ELOOP'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
  const { uid, mode } = await handle.stat();
  if (uid === process.geteuid?.() && (mode & 0o077) === 0) return handle;
  await handle.close();
  return undefined;
}
