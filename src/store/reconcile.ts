// After a crash a file may be durable and its record missing: here it is found again. FORMAT.md, Write order.
// Cheap: only numbers after the last settled lease are looked at, and only folders that exist.
import { equalBytes, toHex } from '../bytes/hex.ts';
import { limits } from '../format/limits.ts';
import type { MetadataWrite } from './metadata-store.ts';
import { packFolderPrefix, packKey, packsPrefix, parsePackFolder, parsePackName, snapshotKey } from './object-keys.ts';
import { isObjectDamage, readObjectFile, readPackEnds, readSnapshotObject } from './read-object.ts';
import { packRecordOf, recordPack, recordSnapshot, snapshotRecordOf } from './record-objects.ts';
import type { RepositoryContext } from './repository-context.ts';
import { openStoredObject, trailerBytes } from './stored-object.ts';

/** What was found. */
export interface Reconciled {
  readonly packs: number;
  readonly snapshots: number;
  /** Keys in quarantine: files that nobody was ever told of, and that are not whole. */
  readonly quarantined: readonly string[];
}

/** Numbers with a file but without a record, after the last settled one, ascending. */
async function unrecordedPacks(change: MetadataWrite, context: RepositoryContext): Promise<readonly number[]> {
  const { settledPack } = await context.state(change);
  const first = parsePackFolder(packFolderPrefix(context.id, settledPack + 1)) ?? 0;
  const found: number[] = [];
  for (const folder of await context.objects.list(packsPrefix(context.id))) {
    const thousand = parsePackFolder(folder);
    if (thousand === undefined || thousand < first) continue;
    const recorded = new Set<number>();
    const firstNumber = Math.max(thousand * 1000, settledPack + 1);
    for (const pack of await change.packs(context.id, firstNumber, 1000)) recorded.add(pack.number);
    for (const key of await context.objects.list(folder)) {
      const name = parsePackName(key);
      if (name !== undefined && name.revision === 0 && name.number > settledPack && !recorded.has(name.number)) {
        found.push(name.number);
      }
    }
  }
  return found;
}

/** Takes a pack's durable file into the records, when every byte of it is right. */
async function adoptPack(change: MetadataWrite, context: RepositoryContext, number: number): Promise<boolean> {
  const key = packKey(context.id, number, 0);
  try {
    const { header, trailer, fileBytes } = await readPackEnds(context.objects, key);
    openStoredObject(await readObjectFile(context.objects, key, limits.packFileBytesMax + trailerBytes), 'pack');
    if (header.repositoryId !== context.id || header.number !== number || header.revision !== 0) return false;
    // Its name may have been given by a process that died before it synced the folder.
    await context.objects.settle(key);
    await recordPack(change, context, packRecordOf(header, trailer, fileBytes));
    return true;
  } catch (error) {
    if (isObjectDamage(error)) return false;
    throw error;
  }
}

/** Takes the snapshot after the head into the records, when its file is there, whole, and continues the chain. */
async function adoptSnapshot(change: MetadataWrite, context: RepositoryContext): Promise<'none' | 'adopted' | string> {
  const state = await context.state(change);
  const previous = state.document.head;
  const number = (previous?.number ?? 0) + 1;
  const key = snapshotKey(context.id, number);
  if ((await context.objects.stat(key)) === undefined) return 'none';
  try {
    const { stored, head } = await readSnapshotObject(context.objects, key);
    const expected = previous === null ? new Uint8Array(32) : Buffer.from(previous.sha256, 'hex');
    const isNext =
      head.repositoryId === context.id &&
      head.number === number &&
      head.epoch === state.document.epoch &&
      equalBytes(head.previousSha256, expected) &&
      head.packs.minus(await context.presentPacks(change, state)).isEmpty;
    if (isNext) {
      await context.objects.settle(key);
      await recordSnapshot(change, context, snapshotRecordOf(head, stored, stored.contents.byteLength));
      return 'adopted';
    }
  } catch (error) {
    if (!isObjectDamage(error)) throw error;
  }
  return (await context.objects.quarantine(key, context.prefix)) ?? 'none';
}

/** The head's own record may be missing while repository.json names it: the file and the document were durable, the record was not. */
async function adoptHead(change: MetadataWrite, context: RepositoryContext): Promise<boolean> {
  const { head } = (await context.state(change)).document;
  if (head === null || (await change.snapshot(context.id, head.number)) !== undefined) return false;
  const key = snapshotKey(context.id, head.number);
  if ((await context.objects.stat(key)) === undefined) return false;
  try {
    const { stored, head: found } = await readSnapshotObject(context.objects, key);
    if (found.repositoryId !== context.id || toHex(stored.sha256) !== head.sha256) return false;
    await context.objects.settle(key);
    await recordSnapshot(change, context, snapshotRecordOf(found, stored, stored.contents.byteLength));
    return true;
  } catch (error) {
    if (!isObjectDamage(error)) throw error;
    return false;
  }
}

/** Finds what a crash left between a file and its record. */
export async function reconcile(change: MetadataWrite, context: RepositoryContext): Promise<Reconciled> {
  const quarantined: string[] = [];
  let packs = 0;
  for (const number of await unrecordedPacks(change, context)) {
    if (await adoptPack(change, context, number)) {
      packs++;
      continue;
    }
    const key = await context.objects.quarantine(packKey(context.id, number, 0), context.prefix);
    if (key !== undefined) quarantined.push(key);
    // The number was given to something: it is not given again.
    const { document, lastPack, settledPack } = await context.state(change);
    await change.putRepository({ document, lastPack: Math.max(lastPack, number), settledPack });
  }
  // Packs first: a snapshot is only taken when all its packs are there.
  let snapshots = (await adoptHead(change, context)) ? 1 : 0;
  for (;;) {
    const outcome = await adoptSnapshot(change, context);
    if (outcome === 'adopted') snapshots++;
    else {
      if (outcome !== 'none') quarantined.push(outcome);
      return { packs, snapshots, quarantined };
    }
  }
}
