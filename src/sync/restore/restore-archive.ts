// Rebuilds whole archives as files. Packs are fetched once each, several at a time, and written where they belong, also when
// several archives share them; a file gets its name only when its SHA-256 is right.
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import { mapFsError, withFsErrors } from '../../fs/map-fs-error.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { isDamage } from '../read/is-damage.ts';
import { loadRuns } from '../read/load-runs.ts';
import { PackReader } from '../read/pack-reader.ts';
import type { RunTable } from '../read/run-table.ts';
import type { RepositorySession } from '../repository-session.ts';
import { ArchiveFile } from './archive-file.ts';
import { fillFiles, restoreThreads } from './fill-files.ts';
import { checkFreeSpace, denseBytes } from './free-space.ts';
import { removeDeadPartials } from './partial-file.ts';

/** Bounds open files and tables of runs. */
const archivesAtOnce = 32;

/** What a restore has done so far, in bytes; read by the progress line. */
export interface RestoreCounters {
  totalBytes: number;
  writtenBytes: number;
  packsFetched: number;
}

/** All zero. */
export function newRestoreCounters(): RestoreCounters {
  return { totalBytes: 0, writtenBytes: 0, packsFetched: 0 };
}

interface RestoreOptions {
  readonly session: RepositorySession;
  readonly counters: RestoreCounters;
  /** Whether a file of the same name is replaced. */
  readonly overwrite: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface RestoreFileOptions extends RestoreOptions {
  readonly archive: SnapshotArchive;
  /** Where the file goes; its folder must exist. */
  readonly path: string;
}

export interface RestoreFilesOptions extends RestoreOptions {
  readonly archives: readonly { readonly archive: SnapshotArchive; readonly path: string }[];
}

/** How it went with one archive. */
export interface RestoredArchive {
  readonly archive: SnapshotArchive;
  readonly path: string;
  /** Why there is no file, when the archive is damaged (DAMAGED, SEAL_BROKEN, FORMAT_INVALID, NOT_FOUND of a pack). */
  readonly error: FallbackError | undefined;
}

/**
 * Restores an archive to a file: temporary name, verified against its SHA-256, fsync, then its name.
 * @throws ALREADY_EXISTS, DISK_FULL, DAMAGED, SEAL_BROKEN, FORMAT_INVALID, NOT_FOUND (a pack), network errors, the signal's reason;
 * the path is untouched after any of them.
 */
export async function restoreArchiveToFile(options: RestoreFileOptions): Promise<void> {
  const { archive, path } = options;
  const [restored] = await restoreArchivesToFiles({ ...options, archives: [{ archive, path }] });
  if (restored?.error !== undefined) throw restored.error;
}

/**
 * Restores archives of a snapshot as `NAME.tar` in a folder, which is made (mode 0700) when it is not there.
 * @throws as restoreArchivesToFiles does.
 */
export async function restoreArchivesToFolder(
  options: RestoreOptions & { readonly archives: readonly SnapshotArchive[]; readonly folder: string },
): Promise<RestoredArchive[]> {
  const { folder } = options;
  await withFsErrors(`make the folder ${folder}`, async () => {
    if ((await nodeFileSystem.facts(folder)) === undefined) await mkdir(folder, { mode: 0o700 });
  });
  const archives = options.archives.map((archive) => ({ archive, path: join(folder, `${archive.name}.tar`) }));
  return await restoreArchivesToFiles({ ...options, archives });
}

/**
 * Restores several archives; packs that they share are fetched once. A damaged archive gets no file, and the others are still
 * restored: each result says so.
 * @throws ALREADY_EXISTS (before anything is fetched), DISK_FULL, network errors, the signal's reason; archives that were not
 * finished leave nothing behind then.
 */
export async function restoreArchivesToFiles(options: RestoreFilesOptions): Promise<RestoredArchive[]> {
  const { archives, counters } = options;
  const folders = new Set(archives.map(({ path }) => dirname(path)));
  for (const { archive, path } of archives) {
    const there = await nodeFileSystem.facts(path);
    if (there !== undefined && !options.overwrite) {
      throw new FallbackError('ALREADY_EXISTS', `${path} exists already; it was not touched.`);
    }
    // A device would become a file, and a link would be replaced instead of what it names.
    if (there !== undefined && there.type !== 'file') {
      throw new FallbackError('UNSAFE_PATH', `${path} is no regular file; it was not touched.`, {
        hint: 'Choose another name, or remove it yourself first.',
      });
    }
    counters.totalBytes += archive.recipe.lengthBytes;
  }
  const results: RestoredArchive[] = [];
  try {
    for (const folder of folders) await removeDeadPartials(nodeFileSystem, folder);
    for (let at = 0; at < archives.length; at += archivesAtOnce) {
      const files = await openFiles(options, archives.slice(at, at + archivesAtOnce), results);
      await fillFiles(options, files);
      for (const folder of folders) await nodeFileSystem.syncFolder(folder);
      for (const { archive, path, failure } of files) {
        if (failure !== undefined && !isDamage(failure)) throw failure;
        results.push({ archive, path, error: isDamage(failure) ? failure : undefined });
      }
    }
  } catch (error) {
    throw mapFsError(error, `restore to ${[...folders].join(', ')}`);
  }
  const order = new Map(archives.map(({ path }, index) => [path, index]));
  return results.sort((a, b) => (order.get(a.path) ?? 0) - (order.get(b.path) ?? 0));
}

/** Loads the recipes; an archive whose recipe is damaged goes straight to the results. */
async function openFiles(
  options: RestoreFilesOptions,
  archives: RestoreFilesOptions['archives'],
  results: RestoredArchive[],
): Promise<ArchiveFile[]> {
  const { session } = options;
  const packs = new PackReader(session);
  const loaded: { archive: SnapshotArchive; path: string; runs: RunTable }[] = [];
  const needed = new Map<string, number>();
  for (const { archive, path } of archives) {
    try {
      const runs = await loadRuns(packs, archive.recipe);
      loaded.push({ archive, path, runs });
      const folder = dirname(path);
      needed.set(folder, (needed.get(folder) ?? 0) + denseBytes(runs));
    } catch (error) {
      if (!isDamage(error)) throw error;
      results.push({ archive, path, error });
    }
  }
  for (const [folder, bytes] of needed) await checkFreeSpace(folder, bytes);
  const threads = shareOut(
    loaded.map(({ runs }) => runs.lengthBytes),
    restoreThreads(session),
  );
  const { overwrite } = options;
  return loaded.map(
    ({ archive, path, runs }, index) =>
      new ArchiveFile(session, archive, path, runs, { overwrite, thread: threads[index] ?? 0 }),
  );
}

/** Gives each archive a thread, so that all hash about as many bytes. @returns the thread of each. */
function shareOut(lengthsBytes: readonly number[], threads: number): number[] {
  const loads = new Array<number>(threads).fill(0);
  const shares = new Array<number>(lengthsBytes.length).fill(0);
  for (const [index, bytes] of [...lengthsBytes.entries()].sort(([, a], [, b]) => b - a)) {
    const least = loads.indexOf(Math.min(...loads));
    shares[index] = least;
    loads[least] = (loads[least] ?? 0) + bytes;
  }
  return shares;
}
