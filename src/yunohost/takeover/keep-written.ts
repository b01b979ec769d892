// What people wrote in homes and in the multimedia folder while a part of the system was missing. YunoHost's restore copies the
// snapshot's files over homes, and replaces the multimedia folder whole: so what is newer stands aside meanwhile. Homes belong to
// people, who may put a link in a folder's place at any moment: every folder is held open, and what is in it is reached through that.
// Names are bytes: not all of them are UTF-8.
import { constants } from 'node:fs';
import { chmod, chown, type FileHandle, lstat, mkdir, open, readdir, rename, rmdir } from 'node:fs/promises';
import { systemErrorCode, withFsErrors } from '../../fs/map-fs-error.ts';
import { type TakeoverHost, tell } from './takeover-host.ts';

/** In the folder of homes, so that nothing is copied; no home's name begins with a dot. */
const asideName = '.fallback-written';
/** Behind the name of a file that people wrote where the snapshot has a folder, or the other way round. */
const besideSuffix = '.written-meanwhile';
const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

const partFolders: Readonly<Record<string, (homes: readonly string[]) => readonly string[]>> = {
  data_home: (homes) => homes,
  data_multimedia: () => ['yunohost.multimedia'],
};

/** Whether people wrote a file, by the time of its last change; not by the other one, which programs may set to anything. */
export type IsWritten = (changedMs: number) => boolean;

const inside = (folder: string | Buffer, name: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from(folder), Buffer.from('/'), Buffer.from(name)]);

/** Puts back what stands aside, be it of a try that was cut off. */
export async function bringBackWritten({ yunohost }: TakeoverHost): Promise<void> {
  const root = yunohost.paths.homes;
  await withFsErrors('put files of homes back', async () => {
    const aside = inside(root, asideName);
    await inFolder(aside, async (from) => await putBackInto(root, from));
    await rmdir(aside).catch((error: unknown) => {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    });
  });
}

/**
 * Has what people wrote stand aside of a part's restore, until `bringBackWritten`.
 * @param homes names of the homes that the part may bring. @throws IO, when a file cannot be moved: that part must not be restored then.
 */
export async function setWrittenAside(
  host: TakeoverHost,
  part: string,
  homes: readonly string[],
  isWritten: IsWritten,
): Promise<void> {
  const names = partFolders[part]?.(homes) ?? [];
  if (names.length === 0) return;
  const root = host.yunohost.paths.homes;
  const count = await withFsErrors('keep files that were written since the takeover', async () => {
    await mkdir(inside(root, asideName), { mode: 0o700, recursive: true });
    const moved = await inFolder(inside(root, asideName), async (aside) => {
      let sum = 0;
      for (const name of names) sum += await moveFrom(inside(root, name), inside(aside, name), isWritten);
      return sum;
    });
    return moved ?? 0;
  });
  if (count > 0) tell(host, `${part}: ${count} files that were written since the takeover stay as they are`);
}

/** Runs `work` on a folder that is held open; undefined when it is not there, or is no folder. */
async function inFolder<Result>(
  path: Buffer,
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

const entriesOf = (folder: string) => readdir(folder, { withFileTypes: true, encoding: 'buffer' });

/** Moves what people wrote out of a folder, into one like it. @returns how many files. */
async function moveFrom(path: Buffer, aside: Buffer, isWritten: IsWritten): Promise<number> {
  const moved = await inFolder(path, async (folder, handle) => {
    const { uid, gid, mode } = await handle.stat();
    await mkdir(aside, { mode: 0o700 });
    await chown(aside, uid, gid);
    await chmod(aside, mode & 0o7777);
    let count = 0;
    await inFolder(aside, async (into) => {
      for (const entry of await entriesOf(folder)) {
        const [from, to] = [inside(folder, entry.name), inside(into, entry.name)];
        if (entry.isDirectory()) count += await moveFrom(from, to, isWritten);
        else if (await moveIfWritten(from, to, isWritten)) count++;
      }
    });
    if (count === 0) await rmdir(aside);
    return count;
  });
  return moved ?? 0;
}

/** What its owner removes meanwhile is gone. */
async function moveIfWritten(from: Buffer, to: Buffer, isWritten: IsWritten): Promise<boolean> {
  try {
    if (!isWritten((await lstat(from)).ctimeMs)) return false;
    await rename(from, to);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Moves all of `aside` into a folder, over what came meanwhile; nothing is removed but files of the same name. */
async function putBackInto(folder: string, aside: string): Promise<void> {
  for (const entry of await entriesOf(aside)) {
    const [from, to] = [inside(aside, entry.name), inside(folder, entry.name)];
    if (entry.isDirectory() && (await joinFolders(from, to))) continue;
    const there = await lstat(to).catch(() => undefined);
    const isOfKind = there === undefined || (!entry.isDirectory() && !there.isDirectory());
    await rename(from, isOfKind ? to : await freeName(to));
  }
}

/** @returns false when there is no folder to put this one into. */
async function joinFolders(from: Buffer, to: Buffer): Promise<boolean> {
  const isJoined = await inFolder(to, async (there) => {
    await inFolder(from, async (own) => await putBackInto(there, own));
    await rmdir(from);
    return true;
  });
  return isJoined === true;
}

async function freeName(path: Buffer): Promise<Buffer> {
  for (let number = 0; ; number++) {
    const candidate = Buffer.concat([path, Buffer.from(`${besideSuffix}${number === 0 ? '' : `.${number}`}`)]);
    if ((await lstat(candidate).catch(() => undefined)) === undefined) return candidate;
  }
}
