// Whether there is room for an archive before it is made. The last snapshot knows how large it was; before the first one the
// folders of the app are measured. (`backup create --dry-run` would run every dump for it.)
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { HostPaths } from '../command/host-paths.ts';
import type { YunohostTarget } from './night-target.ts';

/** Growth since last night, and database dumps that lie beside the archive while it is made. */
const growthFactor = 1.25;
/** A measured folder grows by tar headers, and by dumps that nobody knows yet. */
const firstFactor = 1.5;
/** A measurement stops here: a first night on a slow disk must not walk for ever. */
const entriesMax = 2_000_000;

/** Apparent size of a tree in bytes, links not followed; what cannot be read counts as nothing. */
async function measureTree(path: string, budget: { left: number }): Promise<number> {
  const facts = await lstat(path).catch(() => undefined);
  if (facts === undefined || budget.left-- <= 0) return 0;
  if (!facts.isDirectory()) return facts.isFile() ? facts.size : 0;
  let total = 0;
  for (const name of await readdir(path).catch(() => [])) total += await measureTree(join(path, name), budget);
  return total;
}

/** `install_dir` and `data_dir` of an app's settings.yml. */
async function appFolders(paths: HostPaths, app: string): Promise<string[]> {
  const text = await readFile(join(paths.apps, app, 'settings.yml'), 'utf8').catch(() => '');
  return [...text.matchAll(/^(?:install_dir|final_path|data_dir):\s*['"]?(\/[^'"\n]+)['"]?\s*$/gm)].map(
    (match) => match[1] ?? '',
  );
}

async function systemFolders(paths: HostPaths, parts: readonly string[]): Promise<string[]> {
  const folders: string[] = [];
  if (parts.includes('data_mail')) folders.push('/var/mail');
  if (parts.includes('data_multimedia')) folders.push('/home/yunohost.multimedia');
  if (parts.includes('data_home')) {
    const homes = await readdir(paths.homes).catch(() => []);
    folders.push(...homes.filter((name) => !name.startsWith('yunohost')).map((name) => `/home/${name}`));
  }
  return folders;
}

/** About how many bytes must be free to make an archive. */
export async function estimateBytes(
  paths: HostPaths,
  target: YunohostTarget,
  previous: SnapshotArchive | undefined,
): Promise<number> {
  if (previous !== undefined) return Math.ceil(previous.recipe.lengthBytes * growthFactor);
  const folders =
    target.kind === 'app' ? await appFolders(paths, target.app.id) : await systemFolders(paths, target.parts);
  const budget = { left: entriesMax };
  let total = 0;
  for (const folder of folders) total += await measureTree(paths.at(folder), budget);
  return Math.ceil(total * firstFactor);
}

const inMega = (bytes: number): string => `${Math.ceil(bytes / 1_000_000)} MB`;

/** @throws DISK_FULL (details: neededBytes, freeBytes) before anything is made. */
export function requireRoom(folder: string, neededBytes: number, reserveBytes: number, freeBytes: number): void {
  if (freeBytes >= neededBytes + reserveBytes) return;
  throw new FallbackError(
    'DISK_FULL',
    `${folder} has ${inMega(freeBytes)} free; the archive needs about ${inMega(neededBytes)}, and ${inMega(reserveBytes)} stay free.`,
    {
      hint: 'Free some space, or set push.method = "stream", which needs no archive on the disk.',
      details: { neededBytes, freeBytes, reserveBytes },
    },
  );
}
