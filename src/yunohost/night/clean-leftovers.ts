// Removes what a run of ours left in YunoHost's folders, and only that: whatever begins with our prefix.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { lstat, readdir, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import { systemErrorCode, withFsErrors } from '../../fs/map-fs-error.ts';
import type { HostPaths } from '../command/host-paths.ts';
import { nightPrefix } from './archive-names.ts';

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Something mounted below a folder: removing the folder would remove what is mounted. */
function findMount(folder: string): string | undefined {
  const mounts = existsSync('/proc/self/mountinfo') ? readFileSync('/proc/self/mountinfo', 'utf8') : '';
  const places = mounts.split('\n').map((line) => (line.split(' ')[4] ?? '').replaceAll('\\040', ' '));
  return places.find((place) => place === folder || place.startsWith(`${folder}/`));
}

async function removeWorkFolder(path: string): Promise<void> {
  const mount = findMount(path);
  if (mount !== undefined) {
    throw new FallbackError('IO', `${path} is left from an earlier run, and something is mounted in it: ${mount}.`, {
      hint: `Unmount it (umount ${mount}), then run the same command again. Nothing was removed.`,
    });
  }
  const facts = await lstat(path);
  if (facts.isDirectory()) await rm(path, { recursive: true, force: true });
  else await unlink(path);
}

const archiveEnding = /^(.*?)(\.tar|\.tar\.gz|\.info\.json)$/;

/**
 * Removes our archives (tar, .tar.gz, link, info file, half-written ones too) and work folders.
 * @param only one archive by name; all of ours when left out.
 * @returns the paths removed. @throws IO.
 */
export async function cleanLeftovers(paths: HostPaths, only?: string): Promise<string[]> {
  return await withFsErrors('remove what an earlier push left', async () => {
    const isOurs = (name: string | undefined): boolean =>
      name?.startsWith(nightPrefix) === true && (only === undefined || name === only);
    const removed: string[] = [];
    for (const name of await namesIn(paths.archives)) {
      if (!isOurs(archiveEnding.exec(name)?.[1])) continue;
      // A link loses its name only: what it points to has a name of ours too, or is not ours.
      await unlink(join(paths.archives, name));
      removed.push(join(paths.archives, name));
    }
    for (const name of await namesIn(paths.temporary)) {
      if (!isOurs(name)) continue;
      await removeWorkFolder(join(paths.temporary, name));
      removed.push(join(paths.temporary, name));
    }
    return removed;
  });
}

/** The variable by which a `yunohost` that we started is known as ours: the state folder of the run. */
export const runVariable = 'FALLBACK_RUN_OF';

function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Orphan {
  readonly processId: number;
  readonly group: number;
}

/** Processes of a `yunohost backup create` that a push with this state folder started and did not outlive. */
function findOrphans(stateFolder: string): Orphan[] {
  const orphans: Orphan[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (!readProc(pid, 'cmdline').includes(nightPrefix)) continue;
    if (!readProc(pid, 'environ').split('\0').includes(`${runVariable}=${stateFolder}`)) continue;
    const stat = readProc(pid, 'stat');
    const group = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
    if (group > 1) orphans.push({ processId: Number(pid), group });
  }
  return orphans;
}

/**
 * Ends what a push that was killed left running: its YunoHost commands would hold YunoHost's lock, and write into what we
 * clean. Call it under the state folder's lock, so that no push of ours lives. @returns how many groups were ended.
 */
export async function endOrphans(stateFolder: string): Promise<number> {
  if (!existsSync('/proc/self')) return 0;
  const first = findOrphans(stateFolder);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    const orphans = findOrphans(stateFolder);
    if (orphans.length === 0) break;
    for (const group of new Set(orphans.map((orphan) => orphan.group))) {
      try {
        process.kill(-group, signal);
      } catch {
        // It ended meanwhile.
      }
    }
    for (let waitedMs = 0; waitedMs < 5_000 && findOrphans(stateFolder).length > 0; waitedMs += 100) await pause(100);
  }
  // YunoHost takes a lock over only when its holder's /proc entry is gone at the first look; a dead process that was not
  // reaped yet still has one, and the next command would wait for ever.
  const isThere = (): boolean => first.some(({ processId }) => existsSync(`/proc/${processId}`));
  for (let waitedMs = 0; waitedMs < 15_000 && isThere(); waitedMs += 50) await pause(50);
  return new Set(first.map(({ group }) => group)).size;
}
