// Archives that lie in YunoHost's folder for the length of one restore. Their names begin with a prefix of their own, which no
// night ever cleans: what is there under it was put there by a takeover, and is replaced by the next try.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import { withFsErrors } from '../../fs/map-fs-error.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { newRestoreCounters, restoreArchiveToFile } from '../../sync/restore/restore-archive.ts';
import type { HostPaths } from '../command/host-paths.ts';
import type { ArchiveFacts } from './stored-archive.ts';
import { type TakeoverHost, tell } from './takeover-host.ts';

/** YunoHost's limit. */
const nameLengthMax = 50;
/** YunoHost wants so much more than the contents before it restores apps. */
const marginBytes = 110 * 1024 * 1024;

/** Names of archives: `fallback-take-…` are rebuilt for a restore, `fallback-safe-…` hold an app that is being replaced. */
export function placedName(purpose: 'take' | 'safe', what: string): string {
  const name = `fallback-${purpose}-${what}`;
  if (name.length <= nameLengthMax && /^[\w.-]+$/.test(name) && !name.endsWith('.')) return name;
  const hash = createHash('sha256').update(what).digest('hex').slice(0, 12);
  return `fallback-${purpose}-${hash}`;
}

function assertNothingMounted(folder: string): void {
  const mounts = existsSync('/proc/self/mountinfo') ? readFileSync('/proc/self/mountinfo', 'utf8') : '';
  const places = mounts.split('\n').map((line) => (line.split(' ')[4] ?? '').replaceAll('\\040', ' '));
  const mount = places.find((place) => place === folder || place.startsWith(`${folder}/`));
  if (mount === undefined) return;
  throw new FallbackError('IO', `${folder} is left from an earlier run, and something is mounted in it: ${mount}.`, {
    hint: `Unmount it (umount ${mount}), then run the same command again.`,
  });
}

/** Removes an archive of ours and what YunoHost made of it: tar, info file (a stale one would be believed), work folder. */
export async function removePlaced(paths: HostPaths, name: string): Promise<void> {
  await withFsErrors(`remove the archive ${name}`, async () => {
    assertNothingMounted(paths.workFolder(name));
    for (const path of [paths.archive(name), `${paths.archive(name)}.gz`, paths.archiveInfo(name)]) {
      await rm(path, { force: true });
    }
    await rm(paths.workFolder(name), { recursive: true, force: true });
  });
}

/** Removes what was prepared for replacing something that was not touched yet: the new version, and the safety backup. */
export async function removePrepared({ yunohost }: TakeoverHost, what: string): Promise<void> {
  for (const purpose of ['take', 'safe'] as const) await removePlaced(yunohost.paths, placedName(purpose, what));
}

/** YunoHost's folder of archives, made as YunoHost makes it: a bare server has none yet. */
async function ensureArchives(paths: HostPaths): Promise<void> {
  await withFsErrors('make the folder of archives', async () => {
    if (existsSync(paths.archives)) return;
    await mkdir(paths.archives, { recursive: true, mode: 0o770 });
    for (const folder of [paths.backups, paths.archives]) await chmod(folder, 0o770);
  });
}

/** What an archive needs room for. */
export type ArchiveSize = Pick<ArchiveFacts, 'name' | 'tarBytes' | 'contentBytes'>;

/** Bytes that must be free in YunoHost's folder for one archive: the tar, what it unpacks to, and YunoHost's margin. */
export const neededForRestore = ({ tarBytes, contentBytes }: ArchiveSize): number =>
  Math.max(0, tarBytes) + Math.max(contentBytes, tarBytes) + marginBytes;

/** @throws DISK_FULL (details: neededBytes, freeBytes). */
export async function requireRoomFor(host: TakeoverHost, facts: ArchiveSize): Promise<void> {
  const { backups } = host.yunohost.paths;
  const neededBytes = neededForRestore(facts);
  const freeBytes = await host.freeBytes(backups);
  if (freeBytes >= neededBytes) return;
  const mega = (bytes: number): string => `${Math.ceil(bytes / 1_000_000)} MB`;
  throw new FallbackError(
    'DISK_FULL',
    `${host.yunohost.paths.shown(backups)} has ${mega(freeBytes)} free; restoring ${facts.name} needs ${mega(neededBytes)}. Nothing was removed for it.`,
    { details: { neededBytes, freeBytes } },
  );
}

/**
 * Rebuilds an archive into YunoHost's folder under a name of ours: verified against its SHA-256 before it has that name.
 * @param room what restoring it needs, when that was not asked for before.
 * @throws DISK_FULL, DAMAGED, SEAL_BROKEN, NOT_FOUND (a pack), network errors; nothing is left then.
 */
export async function placeArchive(
  host: TakeoverHost,
  session: RepositorySession,
  archive: SnapshotArchive,
  name: string,
  room?: ArchiveSize,
): Promise<void> {
  const { paths } = host.yunohost;
  tell(host, `rebuilding ${archive.name}`);
  await removePlaced(paths, name);
  // Asked for once what a killed try left is gone: it may be all the room there is.
  if (room !== undefined) await requireRoomFor(host, room);
  await ensureArchives(paths);
  const path = paths.archive(name);
  try {
    await restoreArchiveToFile({
      session,
      archive,
      path,
      overwrite: true,
      counters: newRestoreCounters(),
      signal: host.signal,
    });
    await chmod(path, 0o600);
  } catch (error) {
    await removePlaced(paths, name);
    throw error;
  }
}
