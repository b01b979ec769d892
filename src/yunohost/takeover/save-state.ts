// Pushes system and apps of this machine into the repository under an origin of its own, and proves it by rebuilding all of
// it: what is removed afterwards is removed on the strength of that proof alone.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { Epoch, Origin } from '../../format/ids.ts';
import type { Attributes, SnapshotArchive } from '../../format/snapshot.ts';
import type { RepositoryWriter } from '../../store/repository-store.ts';
import { type KeptArchive, type PushArchive, push } from '../../sync/push/push.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { systemArchive } from '../coverage.ts';
import { nightName } from '../night/archive-names.ts';
import { cleanLeftovers } from '../night/clean-leftovers.ts';
import { makeArchive } from '../night/make-archive.ts';
import type { YunohostTarget } from '../night/night-target.ts';
import { snapshotByNumber } from './choose-snapshot.ts';
import { type ArchiveFacts, proveStored } from './stored-archive.ts';
import { nightContextOf, shortCall, type TakeoverHost, tell, warn } from './takeover-host.ts';

/** A snapshot that was pushed and rebuilt; JSON. */
export interface SavedState {
  readonly snapshot: number;
  /** SHA-256 of the snapshot's file, hexadecimal. */
  readonly sha256: string;
  /** Facts of every archive, read back from the store. */
  readonly archives: readonly ArchiveFacts[];
  /** Apps that could not be backed up: they are in no archive, and must not be removed. */
  readonly failed: readonly { readonly name: string; readonly reason: string }[];
}

export interface SaveRequest {
  readonly host: TakeoverHost;
  readonly session: RepositorySession<RepositoryWriter>;
  readonly origin: Origin;
  readonly epoch: Epoch;
  /** For people, in the lease. */
  readonly holder: string;
  /** Undefined: no system. */
  readonly systemParts: readonly string[] | undefined;
  readonly apps: readonly string[];
  /** Archives that go into the snapshot as they are, when nothing was made. */
  readonly kept?: readonly SnapshotArchive[];
  readonly attributes?: Attributes;
  /** Whether all of it is rebuilt from the store afterwards: needed where something is removed on the strength of it. */
  readonly isProved?: boolean;
  /** Whether an app that cannot be backed up is left out, and told in `failed`; otherwise nothing is published. */
  readonly mayLackApps: boolean;
}

async function targetsOf({ host, systemParts, apps }: SaveRequest): Promise<YunohostTarget[]> {
  const targets: YunohostTarget[] = [];
  if (systemParts !== undefined && systemParts.length > 0) {
    const yunohostName = nightName('system', systemArchive);
    targets.push({ kind: 'system', name: systemArchive, yunohostName, parts: systemParts });
  }
  if (apps.length === 0) return targets;
  const installed = await host.yunohost.apps.list(shortCall(host));
  for (const id of apps) {
    const app = installed.find((one) => one.id === id);
    if (app === undefined)
      throw new FallbackError('NOT_FOUND', `The app ${id} is not installed: it cannot be backed up.`);
    targets.push({ kind: 'app', name: id, yunohostName: nightName('app', id), app });
  }
  return targets;
}

/** Makes one archive after the other; each is removed once it was read. */
async function* makeAll(
  request: SaveRequest,
  failed: { name: string; reason: string }[],
): AsyncGenerator<PushArchive | KeptArchive> {
  const { host, session, epoch, mayLackApps } = request;
  const context = nightContextOf(host, session, epoch);
  for (const kept of request.kept ?? []) yield { kept };
  for (const target of await targetsOf(request)) {
    tell(host, `backing up ${target.name}`);
    let made: Awaited<ReturnType<typeof makeArchive>>;
    try {
      made = await makeArchive(target, { context, previous: undefined });
      if (made.missingParts.length > 0) {
        await made.discard();
        throw new FallbackError(
          'YUNOHOST_FAILED',
          `YunoHost left out ${made.missingParts.join(', ')} of ${target.name}.`,
        );
      }
    } catch (error) {
      host.signal?.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      if (!mayLackApps || target.kind === 'system') {
        throw new FallbackError(
          'BACKUP_FAILED',
          `The backup of ${target.name} failed, so nothing was removed: ${reason}`,
          {
            cause: error,
          },
        );
      }
      failed.push({ name: target.name, reason });
      warn(host, `${target.name} cannot be backed up: ${reason}`);
      continue;
    }
    try {
      yield { name: target.name, open: made.open, attributes: () => made.attributes };
    } finally {
      await made.discard();
    }
  }
}

/**
 * Backs up, pushes and proves. Nothing on this machine is changed by it.
 * @throws BACKUP_FAILED, FENCED, BUSY, and what push and proof throw; an earlier snapshot is untouched then.
 */
export async function saveState(request: SaveRequest): Promise<SavedState> {
  const { host, session, origin, epoch, holder } = request;
  await cleanLeftovers(host.yunohost.paths);
  const failed: { name: string; reason: string }[] = [];
  const context = nightContextOf(host, session, epoch);
  const { snapshot, sha256 } = await push({
    session,
    archives: makeAll(request, failed),
    origin,
    epoch,
    holder,
    indexPath: context.state.indexPath,
    spoolPath: context.state.spoolPath,
    counters: context.counters,
    archivesAtOnce: 1,
    finish: () => ({ complete: failed.length === 0, attributes: request.attributes ?? {} }),
    ...(host.signal === undefined ? {} : { signal: host.signal }),
  });
  const archives = request.isProved === false ? [] : await proveSaved(host, session, snapshot.number);
  return { snapshot: snapshot.number, sha256: Buffer.from(sha256).toString('hex'), archives, failed };
}

/** Rebuilds every archive of a snapshot that was just pushed. @throws VERIFY_FAILED, DAMAGED, SEAL_BROKEN. */
async function proveSaved(
  host: TakeoverHost,
  session: RepositorySession<RepositoryWriter>,
  number: number,
): Promise<ArchiveFacts[]> {
  const listed = await snapshotByNumber(session, number);
  const facts: ArchiveFacts[] = [];
  for (const archive of listed.record.archives) {
    tell(host, `verifying the backup of ${archive.name}`);
    const one = await proveStored(session, archive, { signal: host.signal });
    const isThere =
      archive.name === systemArchive ? one.systemParts.length > 0 : one.apps.some(({ id }) => id === archive.name);
    if (!isThere && archive.status !== 'kept') {
      throw new FallbackError(
        'VERIFY_FAILED',
        `The backup of ${archive.name} was rebuilt, and does not hold it. Nothing was removed.`,
      );
    }
    facts.push(one);
  }
  return facts;
}
