// Scrub, last part: files that no record names. They are moved to quarantine, never deleted.
import {
  packKey,
  packsPrefix,
  parsePackFolder,
  parsePackName,
  parseSnapshotName,
  snapshotsPrefix,
} from './object-keys.ts';
import type { RepositoryContext } from './repository-context.ts';
import type { ScrubStranger, ScrubTally } from './scrub-report.ts';

async function quarantine(context: RepositoryContext, key: string): Promise<ScrubStranger> {
  return { key, quarantinedAs: await context.objects.quarantine(key, context.prefix) };
}

/** Moves a file aside, unless a record names it by now or a push may be about to record it. */
async function scrubPackFile(context: RepositoryContext, key: string): Promise<ScrubStranger | undefined> {
  return await context.write(async (change) => {
    const name = parsePackName(key);
    if (name === undefined) return await quarantine(context, key);
    const record = await change.pack(context.id, name.number);
    // Published a moment ago, and its record is on its way: the next lease settles what becomes of it.
    if (record === undefined && name.number > (await context.state(change)).settledPack) return undefined;
    if (record?.revision === name.revision && record.state !== 'lost') return undefined;
    const isPushing = (await change.lease(context.id)) !== undefined;
    if (record !== undefined && isPushing && name.revision > record.revision) return undefined;
    return await quarantine(context, key);
  });
}

async function scrubPackFolder(context: RepositoryContext, folder: string, thousand: number): Promise<ScrubStranger[]> {
  const records = await context.read((view) => view.packs(context.id, thousand * 1000, 1000));
  const expected = new Set(records.map((record) => packKey(context.id, record.number, record.revision)));
  const strangers: ScrubStranger[] = [];
  for (const key of await context.objects.list(folder)) {
    if (key.endsWith('/') || expected.has(key)) continue;
    const stranger = await scrubPackFile(context, key);
    if (stranger !== undefined) strangers.push(stranger);
  }
  return strangers;
}

async function scrubSnapshotFile(context: RepositoryContext, key: string): Promise<ScrubStranger | undefined> {
  return await context.write(async (change) => {
    const number = parseSnapshotName(key);
    const head = (await context.state(change)).document.head?.number ?? 0;
    if (number !== undefined) {
      const record = await change.snapshot(context.id, number);
      if ((record !== undefined && record.state !== 'lost') || number > head) return undefined;
    }
    return await quarantine(context, key);
  });
}

/** Looks for files without records in the folders of packs and snapshots. */
export async function scrubStrangers(context: RepositoryContext, tally: ScrubTally): Promise<void> {
  for (const folder of await context.objects.list(packsPrefix(context.id))) {
    const thousand = parsePackFolder(folder);
    if (thousand !== undefined) tally.strangers.push(...(await scrubPackFolder(context, folder, thousand)));
  }
  const known = new Set(
    (await context.read((view) => view.snapshots(context.id)))
      .filter((snapshot) => snapshot.state !== 'lost')
      .map((snapshot) => snapshot.number),
  );
  for (const key of await context.objects.list(snapshotsPrefix(context.id))) {
    if (known.has(parseSnapshotName(key) ?? 0)) continue;
    const stranger = await scrubSnapshotFile(context, key);
    if (stranger !== undefined) tally.strangers.push(stranger);
  }
}
