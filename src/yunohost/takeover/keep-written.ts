// What people wrote in homes and in the multimedia folder while a part of the system was missing. YunoHost's restore copies the
// snapshot's files over homes, and replaces the multimedia folder whole: so what is newer stands aside meanwhile. Homes belong to
// people, who may put a link in a folder's place at any moment: every folder is held open, and what is in it is reached through that.
import { constants } from 'node:fs';
import { chmod, chown, type FileHandle, lstat, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode, withFsErrors } from '../../fs/map-fs-error.ts';
import { type TakeoverHost, tell } from './takeover-host.ts';

/** In the folder of homes, so that nothing is copied; no home's name begins with a dot. */
const asideName = '.fallback-written';
const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

const partFolders: Readonly<Record<string, (homes: readonly string[]) => readonly string[]>> = {
  data_home: (homes) => homes,
  data_multimedia: () => ['yunohost.multimedia'],
};

/** Puts back what a try that was cut off left aside. */
export async function bringBackWritten({ yunohost }: TakeoverHost): Promise<void> {
  await withFsErrors('put files of homes back', () => putBack(yunohost.paths.homes));
}

/**
 * Restores `parts` by `work`; files that were written since `sinceMs` are afterwards as they were before.
 * @param homes names of the homes that the parts may bring. @param sinceMs milliseconds since 1970.
 */
export async function keepWritten<Result>(
  host: TakeoverHost,
  parts: readonly string[],
  homes: readonly string[],
  sinceMs: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const root = host.yunohost.paths.homes;
  await bringBackWritten(host);
  const names = parts.flatMap((part) => partFolders[part]?.(homes) ?? []);
  try {
    const count = await withFsErrors('keep files that were written since the takeover', () =>
      moveWritten(root, names, sinceMs),
    );
    if (count > 0) tell(host, `${count} files that were written since the takeover stay as they are`);
    return await work();
  } finally {
    await bringBackWritten(host);
  }
}

/** Runs `work` on a folder that is held open; undefined when it is not there, or is no folder. */
async function inFolder<Result>(
  path: string,
  work: (folder: string, handle: FileHandle) => Promise<Result>,
): Promise<Result | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, folderFlags);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
  try {
    return await work(`/proc/self/fd/${handle.fd}`, handle);
  } finally {
    await handle.close();
  }
}

/** Moves what is newer out of folders of `root`. @returns how many files. */
async function moveWritten(root: string, names: readonly string[], sinceMs: number): Promise<number> {
  const aside = join(root, asideName);
  await mkdir(aside, { mode: 0o700 });
  let count = 0;
  for (const name of names) count += await moveFrom(join(root, name), join(aside, name), sinceMs);
  return count;
}

/** Moves what is newer out of a folder, into one like it. @returns how many files. */
async function moveFrom(path: string, aside: string, sinceMs: number): Promise<number> {
  const moved = await inFolder(path, async (folder, handle) => {
    let count = 0;
    await mkdir(aside, { mode: 0o700 });
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const [from, to] = [join(folder, entry.name), join(aside, entry.name)];
      if (entry.isDirectory()) count += await moveFrom(from, to, sinceMs);
      else if (await moveIfNewer(from, to, sinceMs)) count++;
    }
    if (count === 0) await rmdir(aside);
    else {
      const { uid, gid, mode } = await handle.stat();
      await chown(aside, uid, gid);
      await chmod(aside, mode & 0o7777);
    }
    return count;
  });
  return moved ?? 0;
}

/** By the time of change: programs may set the other one to anything. What its owner removes meanwhile is gone. */
async function moveIfNewer(from: string, to: string, sinceMs: number): Promise<boolean> {
  try {
    if ((await lstat(from)).ctimeMs <= sinceMs) return false;
    await rename(from, to);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function putBack(root: string): Promise<void> {
  await inFolder(join(root, asideName), async (aside) => await putBackInto(root, aside));
  await rmdir(join(root, asideName)).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  });
}

/** Moves all of `aside` into a folder, over what came meanwhile. */
async function putBackInto(folder: string, aside: string): Promise<void> {
  for (const entry of await readdir(aside, { withFileTypes: true })) {
    const [from, to] = [join(aside, entry.name), join(folder, entry.name)];
    const isJoined =
      entry.isDirectory() &&
      (await inFolder(to, async (there) => {
        await putBackInto(there, from);
        await rmdir(from);
        return true;
      })) === true;
    if (isJoined) continue;
    // A file where a folder was, or the other way round: what people made since is the newer one.
    const there = await lstat(to).catch(() => undefined);
    if (there !== undefined && entry.isDirectory() !== there.isDirectory()) await rm(to, { recursive: true });
    await rename(from, to);
  }
}
