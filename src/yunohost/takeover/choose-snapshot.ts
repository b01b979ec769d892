// Which snapshot is meant: one chain holds those of the nights, of the fallback server's own state, and of what it produced.
import { FallbackError } from '../../errors/fallback-error.ts';
import { type Origin, parseOrigin } from '../../format/ids.ts';
import type { SnapshotSummary } from '../../store/repository-store.ts';
import { parseMoment } from '../../sync/moment.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { findSnapshot, type ListedSnapshot, openListedSnapshot } from '../../sync/snapshots.ts';
import { newestNight } from '../night/previous-snapshot.ts';

/** Who makes a snapshot. */
export const origins = {
  /** The main server's nights. */
  main: parseOrigin('main'),
  /** The fallback server's own state, put aside before it takes over. */
  own: parseOrigin('fallback-own'),
  /** What the fallback server held when it gave back. */
  produced: parseOrigin('fallback-produced'),
  /** Safety backups, before an app is replaced. */
  safety: parseOrigin('before-replace'),
} as const;

/** Whether a snapshot can be used at all: its file is there. */
const isUsable = (summary: SnapshotSummary): boolean => summary.fileLost !== true;

/** The newest snapshot of an origin; undefined when there is none. @throws SEAL_BROKEN, DAMAGED. */
export async function newestOf(session: RepositorySession, origin: Origin): Promise<ListedSnapshot | undefined> {
  const summary = (await session.repository.snapshots()).findLast((one) => one.origin === origin && isUsable(one));
  return summary === undefined ? undefined : await openListedSnapshot(session, summary);
}

/** A snapshot by number. @throws NOT_FOUND, SEAL_BROKEN, DAMAGED. */
export async function snapshotByNumber(session: RepositorySession, number: number): Promise<ListedSnapshot> {
  return await findSnapshot(session, String(number));
}

const mainSnapshots = async ({ repository }: RepositorySession): Promise<SnapshotSummary[]> =>
  (await repository.snapshots()).filter((one) => one.origin === origins.main && isUsable(one));

/** The newest night of the main server; undefined when it has pushed nothing. @throws SEAL_BROKEN, DAMAGED. */
export async function newestMainSnapshot(session: RepositorySession): Promise<ListedSnapshot | undefined> {
  return await newestNight(await mainSnapshots(session), (summary) => openListedSnapshot(session, summary));
}

/**
 * The snapshot to take over with: the newest night of the main server, or the one that is named by number or date.
 * @throws NOT_FOUND, USAGE.
 */
export async function chooseMainSnapshot(
  session: RepositorySession,
  name: string | undefined,
): Promise<ListedSnapshot> {
  if (name !== undefined && name !== 'latest' && /^\d+$/.test(name)) return await findSnapshot(session, name);
  if (name === undefined || name === 'latest') {
    const newest = await newestMainSnapshot(session);
    if (newest !== undefined) return newest;
    throw new FallbackError(
      'NOT_FOUND',
      'The main server has not pushed a snapshot yet: there is nothing to take over with.',
      {
        hint: 'On the main server: fallback push.',
      },
    );
  }
  const timeMs = parseMoment(name);
  if (timeMs === undefined) {
    throw new FallbackError('USAGE', `${JSON.stringify(name)} is neither a date nor a snapshot’s number.`, {
      hint: 'Such as 2026-11-22, "2026-11-22 03:00" or 17.',
    });
  }
  const found = await newestNight(
    (await mainSnapshots(session)).filter(({ receivedAtMs }) => receivedAtMs <= timeMs),
    (summary) => openListedSnapshot(session, summary),
  );
  if (found !== undefined) return found;
  throw new FallbackError(
    'NOT_FOUND',
    `There is no snapshot of the main server from ${JSON.stringify(name)} or before.`,
  );
}
