// `yunohost backup restore` makes /etc/yunohost/hooks.d/restore with its umask set to 0, and sets the umask back only when the
// folder was not there. From a server's second restore on, whatever a restore makes may be written by anybody: /home becomes
// rwxrwxrwx. So the folder is out of the way while a restore runs.
import { chmod, mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode, withFsErrors } from '../../fs/map-fs-error.ts';
import type { HostPaths } from './host-paths.ts';

/** Puts back what was moved aside, also by a run that was killed. The server's own hooks win over those that an archive brought. */
async function putBack(folder: string, aside: string): Promise<void> {
  const names = await readdir(aside).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (names === undefined) return;
  if ((await mkdir(folder, { recursive: true })) !== undefined) await chmod(folder, 0o755);
  for (const name of names) {
    await rm(join(folder, name), { recursive: true, force: true });
    await rename(join(aside, name), join(folder, name));
  }
  await rmdir(aside);
}

async function moveAside(folder: string, aside: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') await rename(folder, aside);
    else if (code !== 'ENOENT') throw error;
  }
}

/** Runs one restore with the umask that it was given. @throws IO, and what `work` throws. */
export async function withRestoreUmask<Result>(paths: HostPaths, work: () => Promise<Result>): Promise<Result> {
  const folder = paths.restoreHooks;
  // A name that YunoHost takes for no kind of hook.
  const aside = `${folder}.kept-by-fallback`;
  const what = 'put the hooks of restores aside';
  await withFsErrors(what, async () => {
    await putBack(folder, aside);
    await moveAside(folder, aside);
  });
  try {
    return await work();
  } finally {
    await withFsErrors(what, () => putBack(folder, aside));
  }
}
