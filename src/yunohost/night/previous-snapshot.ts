// The last snapshot of this server: what tonight is compared with, and what failed archives are kept from.
import { isFallbackError } from '../../errors/fallback-error.ts';
import type { Origin } from '../../format/ids.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { SnapshotSummary } from '../../store/repository-store.ts';
import { addNeededPacks } from '../../sync/read/needed-packs.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { type ListedSnapshot, openListedSnapshot } from '../../sync/snapshots.ts';

/** How many snapshots to open, looking back for a night. */
const triesMax = 50;

/**
 * The newest night of the whole server among `summaries`. `fallback push FILE` leaves snapshots of the same origin that hold some files
 * and no server; without a night the newest of them counts.
 * @param open gives undefined for one that is to be passed over.
 */
export async function newestNight(
  summaries: readonly SnapshotSummary[],
  open: (summary: SnapshotSummary) => Promise<ListedSnapshot | undefined>,
): Promise<ListedSnapshot | undefined> {
  let newest: ListedSnapshot | undefined;
  for (const summary of summaries.slice(-triesMax).reverse()) {
    const opened = await open(summary);
    if (opened?.record.attributes['kind'] === 'night') return opened;
    newest ??= opened;
  }
  return newest;
}

/**
 * What tonight's archives follow: the newest night of `origin` that opens, else the newest snapshot; undefined when there is none.
 * @throws network errors, TRUST_….
 */
export async function findPrevious(session: RepositorySession, origin: Origin): Promise<ListedSnapshot | undefined> {
  const summaries = await session.repository.snapshots();
  const candidates = summaries.filter((summary) => summary.origin === origin && summary.fileLost !== true);
  return await newestNight(candidates, async (summary) => {
    try {
      return await openListedSnapshot(session, summary);
    } catch (error) {
      // A damaged one is told of by `fallback check`; the one before serves as well.
      if (isFallbackError(error) && (error.exitCode === 4 || error.code === 'NOT_FOUND')) return undefined;
      throw error;
    }
  });
}

/** Whether an archive can go into a new snapshot: every pack that it needs is whole on the server. */
export async function isWhole(session: RepositorySession, archive: SnapshotArchive): Promise<boolean> {
  const needed = new Set<number>();
  try {
    await addNeededPacks(session, archive, needed);
  } catch (error) {
    if (isFallbackError(error) && (error.exitCode === 4 || error.code === 'NOT_FOUND')) return false;
    throw error;
  }
  const { present, holed } = session.status;
  return [...needed].every((pack) => present.has(pack) && !holed.has(pack));
}
