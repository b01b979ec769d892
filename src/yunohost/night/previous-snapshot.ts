// The last snapshot of this server: what tonight is compared with, and what failed archives are kept from.
import { isFallbackError } from '../../errors/fallback-error.ts';
import type { Origin } from '../../format/ids.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import { addNeededPacks } from '../../sync/read/needed-packs.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { type ListedSnapshot, openListedSnapshot } from '../../sync/snapshots.ts';

/** How far back to look for one that opens. */
const triesMax = 5;

/** The newest snapshot of `origin` that opens; undefined when there is none. @throws network errors, TRUST_…. */
export async function findPrevious(session: RepositorySession, origin: Origin): Promise<ListedSnapshot | undefined> {
  const summaries = await session.repository.snapshots();
  const candidates = summaries.filter((summary) => summary.origin === origin && summary.fileLost !== true);
  for (const summary of candidates.slice(-triesMax).reverse()) {
    try {
      return await openListedSnapshot(session, summary);
    } catch (error) {
      // A damaged one is told of by `fallback check`; the one before serves as well.
      if (!isFallbackError(error) || (error.exitCode !== 4 && error.code !== 'NOT_FOUND')) throw error;
    }
  }
  return undefined;
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
