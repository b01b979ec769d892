// Puts another version of one app in the place of the one that runs: a safety backup first, then remove and restore; when that
// fails, the safety backup comes back. Resumable: a safety backup that was made is never made again of a half-removed app.
import { readFile } from 'node:fs/promises';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { Epoch } from '../../format/ids.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { RepositoryWriter } from '../../store/repository-store.ts';
import { openFileSource } from '../../sync/push/byte-source.ts';
import { push } from '../../sync/push/push.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { isGoodResult } from '../command/backup-commands.ts';
import { cleanLeftovers } from '../night/clean-leftovers.ts';
import { parseInfo, proveArchive } from '../night/prove-archive.ts';
import { origins } from './choose-snapshot.ts';
import type { Journal } from './journal.ts';
import { placeArchive, placedName, removePlaced, requireRoomFor } from './placed-archive.ts';
import { keepDomains } from './reach.ts';
import { hasApp, removeApp, restoreApp, restoreAppTwice } from './restore-parts.ts';
import { isBadArchive } from './stored-archive.ts';
import { longCall, nightContextOf, type TakeoverHost, tell, warn } from './takeover-host.ts';

export interface ReplaceRequest {
  readonly host: TakeoverHost;
  readonly session: RepositorySession<RepositoryWriter>;
  readonly journal: Journal;
  readonly app: string;
  /** The version to put in place. */
  readonly archive: SnapshotArchive;
  /** Of what that version unpacks to, in bytes. */
  readonly contentBytes: number;
  /** That version holds no data: those that are here stay where they are. */
  readonly isDataLeftOut: boolean;
  /** The epoch under which the safety backup is pushed; undefined: it is kept on this machine only. */
  readonly epoch: Epoch | undefined;
  /** The app's domain, added when this server lacks it. */
  readonly domain: string | undefined;
  /** Name of the archive of the safety backup; without it one that the next replacing of this app takes as well. */
  readonly safetyName?: string | undefined;
}

/** `put-back`: the new version failed, and the old one runs again. */
export interface ReplaceOutcome {
  readonly status: 'replaced' | 'put-back' | 'missing';
  readonly reason?: string;
  /** The archive on this machine that alone holds what was replaced. */
  readonly keptArchive?: string;
  /** The snapshot that holds what was replaced. */
  readonly keptSnapshot?: number;
}

const reserveBytes = 100 * 1024 * 1024;

/** Makes and proves YunoHost's own archive of something, kept under a name of ours. @throws BACKUP_FAILED. */
export async function makeSafety(
  host: TakeoverHost,
  what: string,
  wanted: { readonly apps: readonly string[] } | { readonly system: readonly string[] },
  name: string = placedName('safe', what),
): Promise<string> {
  const { yunohost } = host;
  await cleanLeftovers(yunohost.paths);
  await removePlaced(yunohost.paths, name);
  tell(host, `safety backup of ${what}`);
  try {
    if ((await host.freeBytes(yunohost.paths.backups)) < reserveBytes) {
      throw new FallbackError('DISK_FULL', `${yunohost.paths.shown(yunohost.paths.backups)} is nearly full.`);
    }
    const { results } = await yunohost.backups.create(
      { name, description: 'safety backup by fallback', ...wanted },
      longCall(host),
    );
    const all = [...results.apps, ...results.system];
    const bad = all.filter(([, result]) => !isGoodResult(result)).map(([one, result]) => `${one}: ${result}`);
    if (bad.length > 0 || all.length === 0)
      throw new FallbackError('YUNOHOST_FAILED', `YunoHost says ${bad.join(', ') || 'nothing'}.`);
    await proveArchive(yunohost.paths, name, host.signal);
    return name;
  } catch (cause) {
    await removePlaced(yunohost.paths, name).catch(() => undefined);
    host.signal?.throwIfAborted();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FallbackError(
      'BACKUP_FAILED',
      `The safety backup of ${what} failed, so nothing was replaced: ${reason}`,
      { cause },
    );
  }
}

/** Pushes an archive that lies in YunoHost's folder as a snapshot of its own. */
export async function pushSafety(
  { host, session, epoch }: Pick<ReplaceRequest, 'host' | 'session'> & { readonly epoch: Epoch },
  what: string,
  name: string,
): Promise<number> {
  const { path } = await proveArchive(host.yunohost.paths, name, host.signal);
  const context = nightContextOf(host, session, epoch);
  const { snapshot } = await push({
    session,
    archives: [{ name: what, open: () => openFileSource(path) }],
    origin: origins.safety,
    epoch,
    holder: `fallback on ${session.environment.hostName}`,
    indexPath: context.state.indexPath,
    spoolPath: context.state.spoolPath,
    counters: context.counters,
    archivesAtOnce: 1,
    ...(host.signal === undefined ? {} : { signal: host.signal }),
  });
  return snapshot.number;
}

/** Bytes that the version which may have to come back unpacks to, as its archive says; 0 without one. */
async function safetyBytes({ yunohost, signal }: TakeoverHost, safety: string): Promise<number> {
  if (safety === '') return 0;
  const text = await readFile(yunohost.paths.archiveInfo(safety), 'utf8').catch(() => undefined);
  const info = text === undefined ? (await proveArchive(yunohost.paths, safety, signal)).info : parseInfo(text, safety);
  return info.sizeBytes;
}

/** All that can be done before the app is touched: the old version is saved, either one has room, the new one lies ready. */
async function prepare(request: ReplaceRequest, safety: string): Promise<void> {
  const { host, session, journal, app, archive, epoch } = request;
  if (safety !== '' && epoch !== undefined) {
    await journal.step(`push-safety:${app}`, () => pushSafety({ host, session, epoch }, app, safety));
  }
  const contentBytes = Math.max(request.contentBytes, await safetyBytes(host, safety));
  await requireRoomFor(host, { name: app, tarBytes: archive.recipe.lengthBytes, contentBytes });
  await placeArchive(host, session, archive, placedName('take', app));
}

/**
 * Replaces an app, or installs it where there is none.
 * @throws BACKUP_FAILED, DISK_FULL and what fetching the new version throws (nothing was changed), and YUNOHOST_FAILED when
 * neither version can be restored: both archives are kept then.
 */
export async function replaceApp(request: ReplaceRequest): Promise<ReplaceOutcome> {
  const { host, journal, app } = request;
  const { paths } = host.yunohost;
  const isResumed = journal.isBegun(`replace:${app}`);
  // Nothing was replaced yet, and what was backed up then may be days old: the backup is made anew.
  if (!isResumed) await journal.forget((step) => step === `safety:${app}` || step === `push-safety:${app}`);
  const safety = await journal.step(`safety:${app}`, async () =>
    hasApp(host, app) ? await makeSafety(host, app, { apps: [app] }, request.safetyName) : '',
  );
  try {
    if (!isResumed) await prepare(request, safety);
    return await journal.step(`replace:${app}`, () => putInPlace(request, safety, isResumed));
  } catch (error) {
    if (safety !== '' && !journal.isBegun(`replace:${app}`)) await removePlaced(paths, safety).catch(() => undefined);
    throw error;
  } finally {
    await removePlaced(paths, placedName('take', app)).catch(() => undefined);
  }
}

/** @param isResumed whether the new version has to be fetched once more. @returns why it is not there, or undefined. */
async function takeNew(
  { host, session, app, archive, domain, isDataLeftOut }: ReplaceRequest,
  isResumed: boolean,
): Promise<string | undefined> {
  const name = placedName('take', app);
  try {
    if (isResumed) await placeArchive(host, session, archive, name);
  } catch (error) {
    if (!isBadArchive(error)) throw error;
    return error.message;
  }
  if (domain !== undefined) await keepDomains(host, [domain]);
  if (isDataLeftOut) {
    warn(
      host,
      `This version of ${app} holds no data, because its setting do_not_backup_data was 1: its data folder stays as it is here.`,
    );
  }
  await removeApp(host, app, { mayPurge: !isDataLeftOut });
  tell(host, `restoring ${app}`);
  return await restoreAppTwice(host, name, app);
}

async function putInPlace(request: ReplaceRequest, safety: string, isResumed: boolean): Promise<ReplaceOutcome> {
  const { host, journal, app } = request;
  const { paths } = host.yunohost;
  const reason = await takeNew(request, isResumed);
  if (reason === undefined) {
    if (safety === '') return { status: 'replaced' };
    const keptSnapshot = journal.result<number>(`push-safety:${app}`);
    // In no repository: this archive is all that is left of what was here.
    if (keptSnapshot === undefined) return { status: 'replaced', keptArchive: safety };
    await removePlaced(paths, safety);
    return { status: 'replaced', keptSnapshot };
  }
  if (safety === '') return { status: 'missing', reason };
  tell(host, `putting ${app} back as it was`);
  // Its room may be what the old version lacks.
  await removePlaced(paths, placedName('take', app));
  const again = (await restoreApp(host, safety, app)) === undefined ? undefined : await restoreApp(host, safety, app);
  if (again === undefined) {
    await removePlaced(paths, safety);
    return { status: 'put-back', reason };
  }
  throw new FallbackError(
    'YUNOHOST_FAILED',
    `Neither version of ${app} can be restored. The new one: ${reason} The old one: ${again}`,
    {
      hint: `The old one is kept: yunohost backup restore ${safety} --apps ${app}. Or run the same command again.`,
    },
  );
}
