// Removing in folders that people can write in. Node's rm goes by paths: while it is at work, a person can put a link in a folder's
// place, and root removes elsewhere. GNU rm holds every folder open, and reaches what is in it through that.
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, realpath, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import { runSmall, type TakeoverHost } from './takeover-host.ts';

const otherwise = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENOTEMPTY', 'EEXIST', 'EBUSY']);

/** Removes a file or a folder with all that is in it, but for disks that are mounted below. @param path a real one. @throws IO. */
export async function removeTree(host: TakeoverHost, path: string): Promise<void> {
  const limitMs = host.configuration.yunohost.timeLimit;
  const failure = await runSmall(host, '/bin/rm', ['-rf', '--one-file-system', '--', path], limitMs);
  if (failure === undefined) return;
  const shown = host.yunohost.paths.shown(path);
  throw new FallbackError('IO', `${shown} could not be removed: ${failure}`, {
    hint: `Look at it (is a disk mounted there? umount it), then run the same command again.`,
  });
}

/** @returns false when something is there no more, is something else, is full, or is a mounted disk. @throws the error otherwise. */
function stays(error: unknown): false {
  if (otherwise.has(systemErrorCode(error) ?? '')) return false;
  throw error;
}

/** Removes a file, or an empty folder, that really lies below `folder`: no link on the way leads elsewhere. @returns whether it is gone. */
export async function removeInside(folder: string, relative: string): Promise<boolean> {
  const parent = dirname(join(folder, relative));
  let handle: FileHandle;
  try {
    handle = await open(parent, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    return stays(error);
  }
  try {
    // What is held open is looked at, and removed from: it stays the same folder, whatever comes in its place.
    const held = `/proc/self/fd/${handle.fd}`;
    if ((await realpath(held)) !== join(await realpath(folder), dirname(relative))) return false;
    const path = `${held}/${basename(relative)}`;
    const facts = await lstat(path);
    await (facts.isDirectory() ? rmdir(path) : unlink(path));
    return true;
  } catch (error) {
    return stays(error);
  } finally {
    await handle.close();
  }
}
