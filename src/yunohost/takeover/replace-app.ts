// Puts another version of one app in the place of the one that runs: a safety backup first, then remove and restore; when that
// fails, the safety backup comes back. Resumable: a safety backup that was made is never made again of a half-removed app.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { Epoch } from '../../format/ids.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { RepositoryWriter } from '../../store/repository-store.ts';
import { openFileSource } from '../../sync/push/byte-source.ts';
import { push } from '../../sync/push/push.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { isGoodResult } from '../command/backup-commands.ts';
import { cleanLeftovers } from '../night/clean-leftovers.ts';
import { proveArchive } from '../night/prove-archive.ts';
import { origins } from './choose-snapshot.ts';
import type { Journal } from './journal.ts';
import { placeArchive, placedName, removePlaced } from './placed-archive.ts';
import { keepDomains } from './reach.ts';
import { hasApp, removeApp, restoreApp, restoreAppTwice } from './restore-parts.ts';
import { longCall, nightContextOf, type TakeoverHost, tell } from './takeover-host.ts';

export interface ReplaceRequest {
  readonly host: TakeoverHost;
  readonly session: RepositorySession<RepositoryWriter>;
  readonly journal: Journal;
  readonly app: string;
  /** The version to put in place. */
  readonly archive: SnapshotArchive;
  /** The epoch under which the safety backup is pushed; undefined: it is kept on this machine only. */
  readonly epoch: Epoch | undefined;
  /** The app's domain, added when this server lacks it. */
  readonly domain: string | undefined;
}

/** `put-back`: the new version failed, and the old one runs again. */
export interface ReplaceOutcome {
  readonly status: 'replaced' | 'put-back' | 'missing';
  readonly reason?: string;
}

const reserveBytes = 100 * 1024 * 1024;

/** Makes and proves YunoHost's own archive of something, kept under a name of ours. @throws BACKUP_FAILED. */
export async function makeSafety(
  host: TakeoverHost,
  what: string,
  wanted: { readonly apps: readonly string[] } | { readonly system: readonly string[] },
): Promise<string> {
  const { yunohost } = host;
  const name = placedName('safe', what);
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

/**
 * Replaces an app, or installs it where there is none.
 * @throws BACKUP_FAILED (nothing was changed), and YUNOHOST_FAILED when neither version can be restored: both archives are kept then.
 */
export async function replaceApp(request: ReplaceRequest): Promise<ReplaceOutcome> {
  const { host, journal, app, epoch } = request;
  // Nothing was replaced yet, and what was backed up then may be days old: the backup is made anew.
  if (!journal.isBegun(`replace:${app}`)) {
    await journal.forget((step) => step === `safety:${app}` || step === `push-safety:${app}`);
  }
  const safety = await journal.step(`safety:${app}`, async () =>
    hasApp(host, app) ? await makeSafety(host, app, { apps: [app] }) : '',
  );
  if (safety !== '' && epoch !== undefined) {
    await journal.step(`push-safety:${app}`, () => pushSafety({ host, session: request.session, epoch }, app, safety));
  }
  return await journal.step(`replace:${app}`, () => putInPlace(request, safety));
}

async function putInPlace(
  { host, session, app, archive, domain }: ReplaceRequest,
  safety: string,
): Promise<ReplaceOutcome> {
  const { paths } = host.yunohost;
  const name = placedName('take', app);
  try {
    await placeArchive(host, session, archive, name);
    if (domain !== undefined) await keepDomains(host, [domain]);
    await removeApp(host, app);
    tell(host, `restoring ${app}`);
    const reason = await restoreAppTwice(host, name, app);
    if (reason === undefined) {
      if (safety !== '') await removePlaced(paths, safety);
      return { status: 'replaced' };
    }
    if (safety === '') return { status: 'missing', reason };
    tell(host, `putting ${app} back as it was`);
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
  } finally {
    await removePlaced(paths, name).catch(() => undefined);
  }
}
