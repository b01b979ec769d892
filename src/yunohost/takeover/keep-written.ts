// What people wrote in homes and in the multimedia folder while a part of the system was missing. YunoHost's restore copies the
// snapshot's files over homes, and replaces the multimedia folder whole: so what is newer stands aside meanwhile.
import { chmod, chown, lstat, mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { withFsErrors } from '../../fs/map-fs-error.ts';
import { type TakeoverHost, tell } from './takeover-host.ts';

/** In the folder of homes, so that nothing is copied; no home's name begins with a dot. */
const asideName = '.fallback-written';

const partFolders: Readonly<Record<string, (homes: readonly string[]) => readonly string[]>> = {
  data_home: (homes) => homes,
  data_multimedia: () => ['yunohost.multimedia'],
};

/** Puts back what a try that was cut off left aside. */
export async function bringBackWritten({ yunohost }: TakeoverHost): Promise<void> {
  const root = yunohost.paths.homes;
  await withFsErrors('put files of homes back', () => putBack(join(root, asideName), root));
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
  const aside = join(root, asideName);
  await bringBackWritten(host);
  return await withFsErrors('keep files that were written since the takeover', async () => {
    const names = parts.flatMap((part) => partFolders[part]?.(homes) ?? []);
    await mkdir(aside, { mode: 0o700 });
    try {
      let count = 0;
      for (const name of names) count += await moveWritten(join(root, name), join(aside, name), sinceMs);
      if (count > 0) tell(host, `${count} files that were written since the takeover stay as they are`);
      return await work();
    } finally {
      await putBack(aside, root);
    }
  });
}

/** Moves what is newer out of a folder, into one like it. @returns how many files. */
async function moveWritten(folder: string, aside: string, sinceMs: number): Promise<number> {
  const facts = await lstat(folder).catch(() => undefined);
  if (facts?.isDirectory() !== true) return 0;
  let count = 0;
  await mkdir(aside, { mode: 0o700 });
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) count += await moveWritten(path, join(aside, entry.name), sinceMs);
    // The time of change: programs may set the other one to anything.
    else if ((await lstat(path)).ctimeMs > sinceMs) {
      await rename(path, join(aside, entry.name));
      count++;
    }
  }
  if (count === 0) await rmdir(aside);
  else {
    await chown(aside, facts.uid, facts.gid);
    await chmod(aside, facts.mode & 0o7777);
  }
  return count;
}

/** Moves all of it back, over what came meanwhile. */
async function putBack(aside: string, folder: string): Promise<void> {
  const entries = await readdir(aside, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const entry of entries) {
    const [from, to] = [join(aside, entry.name), join(folder, entry.name)];
    const there = await lstat(to).catch(() => undefined);
    if (entry.isDirectory() && there?.isDirectory() === true) await putBack(from, to);
    else {
      // A file where a folder was, or the other way round: what people made since is the newer one.
      if (there !== undefined && entry.isDirectory() !== there.isDirectory()) await rm(to, { recursive: true });
      await rename(from, to);
    }
  }
  await rmdir(aside).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}
