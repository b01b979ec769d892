// Which packs an archive needs, all of them: its bytes, its catalogue, and the lists of runs themselves.
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { RepositorySession } from '../repository-session.ts';
import { loadRuns } from './load-runs.ts';
import { PackReader } from './pack-reader.ts';

/** Adds the numbers of all packs that an archive needs to `numbers`. */
export async function addNeededPacks(
  session: RepositorySession,
  archive: SnapshotArchive,
  numbers: Set<number>,
): Promise<void> {
  const packs = new PackReader(session);
  for (const recipe of [archive.recipe, archive.catalogue]) {
    if (recipe === undefined) continue;
    for (const run of recipe.runs) numbers.add(run.pack);
    for (const pack of (await loadRuns(packs, recipe)).packs()) numbers.add(pack);
  }
}
