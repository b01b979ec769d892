// A repository's records, made again from its files. Header and trailer of each pack are read, not what lies between:
// a million packs take minutes, not a day; scrub reads the rest.
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import { limits } from '../format/limits.ts';
import { PackRanges } from '../format/pack-ranges.ts';
import { randomName } from './environment.ts';
import type { MetadataWrite, PackRecord } from './metadata-store.ts';
import {
  documentKey,
  keyDocumentsPrefix,
  packsPrefix,
  parseKeyDocumentName,
  parsePackFolder,
  parsePackName,
  parseSnapshotName,
  snapshotsPrefix,
} from './object-keys.ts';
import { isDamage, isObjectDamage, readObjectFile, readPackEnds, readSnapshotObject } from './read-object.ts';
import { reconcile } from './reconcile.ts';
import { packRecordOf, snapshotRecordOf } from './record-objects.ts';
import type { RepositoryContext } from './repository-context.ts';
import { decodeRepositoryDocument, documentBytesMax, type RepositoryDocument } from './repository-document.ts';
import { recordSmallObject, type SmallKind, smallObjectKey } from './small-objects.ts';
import { trailerBytes } from './stored-object.ts';

/** The repository document from its file. @throws NOT_FOUND, FORMAT_INVALID, FORMAT_UNSUPPORTED, IO. */
export async function readDocument(context: RepositoryContext): Promise<RepositoryDocument> {
  return decodeRepositoryDocument(await readObjectFile(context.objects, documentKey(context.id), documentBytesMax));
}

async function importSmallObject(change: MetadataWrite, context: RepositoryContext, kind: SmallKind, number: number) {
  const key = smallObjectKey(context.id, kind, number);
  try {
    const file = await readObjectFile(context.objects, key, limits.keyDocumentBytesMax + trailerBytes);
    await context.objects.settle(key);
    await recordSmallObject(change, context, kind, number, file);
  } catch (error) {
    // It stays where it is; reading it says DAMAGED.
    if (!isDamage(error) && !isFallbackError(error, 'NOT_FOUND')) throw error;
  }
}

/** A pack's record from the two ends of its file; undefined, and the file in quarantine, when they are not right. */
async function packFromFile(context: RepositoryContext, key: string): Promise<PackRecord | undefined> {
  const name = parsePackName(key);
  if (name === undefined) return undefined;
  try {
    const { header, trailer, fileBytes } = await readPackEnds(context.objects, key);
    const isRight =
      header.repositoryId === context.id && header.number === name.number && header.revision === name.revision;
    if (isRight) return packRecordOf(header, trailer, fileBytes);
  } catch (error) {
    if (!isObjectDamage(error)) throw error;
  }
  await context.objects.quarantine(key, context.prefix);
  return undefined;
}

/** What is recorded counts as acknowledged: a process that was killed may not have synced the folder of its last files. */
async function settleFolderOf(context: RepositoryContext, [key]: readonly string[]): Promise<void> {
  if (key !== undefined) await context.objects.settle(key);
}

const readsAtOnce = 32;

async function importPacks(change: MetadataWrite, context: RepositoryContext, onPacks: (count: number) => void) {
  const found: number[] = [];
  for (const folder of await context.objects.list(packsPrefix(context.id))) {
    if (parsePackFolder(folder) === undefined) continue;
    const keys = await context.objects.list(folder);
    await settleFolderOf(context, keys);
    const newest = new Map<number, PackRecord>();
    for (let at = 0; at < keys.length; at += readsAtOnce) {
      const batch = keys.slice(at, at + readsAtOnce);
      for (const record of await Promise.all(batch.map((key) => packFromFile(context, key)))) {
        if (record === undefined) continue;
        const other = newest.get(record.number);
        if (other === undefined || other.revision < record.revision) newest.set(record.number, record);
      }
    }
    for (const record of newest.values()) {
      await change.putPack(context.id, record);
      found.push(record.number);
    }
    onPacks(found.length);
  }
  return PackRanges.fromNumbers(found);
}

/** Snapshots up to the head; a newer file was never acknowledged, and reconcile judges it. */
async function importSnapshots(change: MetadataWrite, context: RepositoryContext, headNumber: number) {
  let needed = PackRanges.empty;
  const keys = await context.objects.list(snapshotsPrefix(context.id));
  await settleFolderOf(context, keys);
  for (const key of keys) {
    const number = parseSnapshotName(key);
    if (number === undefined || number > headNumber) continue;
    try {
      const { stored, head } = await readSnapshotObject(context.objects, key);
      if (head.repositoryId === context.id && head.number === number) {
        await change.putSnapshot(context.id, snapshotRecordOf(head, stored, stored.contents.byteLength));
        needed = needed.union(head.packs);
        continue;
      }
    } catch (error) {
      if (!isObjectDamage(error)) throw error;
    }
    await context.objects.quarantine(key, context.prefix);
  }
  return needed;
}

function lostRecord(number: number, revision: number): PackRecord {
  return {
    number,
    revision,
    state: 'lost',
    fileBytes: 0,
    prefixBytes: 0,
    sha256: new Uint8Array(32),
    receivedAtMs: 0,
    condemnedAtMs: undefined,
  };
}

/**
 * Makes a repository's records from its files, under a new generation. Where repository.json is damaged its files are left as they
 * are, the audit says so, and the others can be opened.
 * @param onPacks is told now and then how many packs were read. @returns whether it was done. @throws FORMAT_UNSUPPORTED, IO.
 */
export async function importRepository(
  change: MetadataWrite,
  context: RepositoryContext,
  onPacks: (count: number) => void,
): Promise<boolean> {
  const old = await readDocument(context).catch((error: unknown) => {
    if (isDamage(error)) return error;
    throw error;
  });
  if (old instanceof FallbackError) {
    const atMs = context.environment.nowMs();
    await change.addAudit({ atMs, repositoryId: context.id, event: 'repository unreadable', text: old.message });
    return false;
  }
  await change.putRepository({ document: old, lastPack: 0, settledPack: 0 });
  const document = await context.changeDocument(change, { generation: randomName(context.environment) });
  await importSmallObject(change, context, 'configuration', 0);
  for (const key of await context.objects.list(keyDocumentsPrefix(context.id))) {
    const number = parseKeyDocumentName(key);
    if (number !== undefined) await importSmallObject(change, context, 'key document', number);
  }
  const found = await importPacks(change, context, onPacks);
  const needed = await importSnapshots(change, context, document.head?.number ?? 0);
  for (const number of needed.minus(found).numbers()) {
    await change.putPack(context.id, lostRecord(number, Math.max(0, document.healRevision - 1)));
  }
  const { lastPack } = await context.state(change);
  const last = Math.max(lastPack, document.reservedPacks);
  await change.putRepository({ document, lastPack: last, settledPack: last });
  await reconcile(change, context);
  return true;
}
