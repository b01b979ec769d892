// Scrub, first part: repository.json, the configuration and the key documents, each of which has a second copy.
import { equalBytes } from '../bytes/hex.ts';
import { isFallbackError } from '../errors/fallback-error.ts';
import { limits } from '../format/limits.ts';
import { readDocument } from './import-repository.ts';
import type { SmallObjectRecord } from './metadata-store.ts';
import { documentKey, keyDocumentsPrefix, parseKeyDocumentName } from './object-keys.ts';
import { isDamage, readObjectFile } from './read-object.ts';
import type { RepositoryContext } from './repository-context.ts';
import { encodeRepositoryDocument } from './repository-document.ts';
import type { ScrubDamage, ScrubTally } from './scrub-report.ts';
import { recordSmallObject, smallObjectKey } from './small-objects.ts';
import { openStoredObject, trailerBytes } from './stored-object.ts';

function reasonOf(error: unknown): string {
  if (isFallbackError(error, 'NOT_FOUND')) return 'its file is missing';
  if (isDamage(error)) return error.message;
  throw error;
}

/** Compares repository.json with its record, in one change, and writes a damaged one again. */
async function scrubDocument(context: RepositoryContext, tally: ScrubTally): Promise<void> {
  await context.write(async (change) => {
    const { document } = await context.state(change);
    const expected = encodeRepositoryDocument(document);
    tally.objectsChecked++;
    tally.bytesChecked += expected.byteLength;
    let reason = 'it differs from its record';
    try {
      if (equalBytes(encodeRepositoryDocument(await readDocument(context)), expected)) return;
    } catch (error) {
      reason = reasonOf(error);
    }
    const quarantinedAs = await context.objects.quarantine(documentKey(context.id), context.prefix);
    await context.objects.replace(documentKey(context.id), expected, context.prefix);
    tally.damage.push({ kind: 'document', number: 0, reason, quarantinedAs, repaired: true, neededBy: [] });
  });
}

/** The file as it should be, from the file itself or from its second copy. */
function wholeCopy(object: SmallObjectRecord): Uint8Array | undefined {
  try {
    openStoredObject(object.file, object.kind);
    return object.file;
  } catch {
    return undefined;
  }
}

async function restore(context: RepositoryContext, key: string, copy: Uint8Array): Promise<void> {
  const draft = await context.objects.begin(context.prefix);
  try {
    await draft.write(copy);
    await draft.publish(key);
  } finally {
    await draft.discard();
  }
}

async function scrubObject(context: RepositoryContext, object: SmallObjectRecord): Promise<ScrubDamage | undefined> {
  const { kind, number } = object;
  const key = smallObjectKey(context.id, kind, number);
  const copy = wholeCopy(object);
  let reason: string;
  try {
    const file = await readObjectFile(context.objects, key, limits.keyDocumentBytesMax + trailerBytes);
    openStoredObject(file, kind);
    if (equalBytes(file, object.file)) return undefined;
    // The file proves itself and its copy does not: the record is what was damaged.
    await context.write((change) => recordSmallObject(change, context, kind, number, file));
    return {
      kind,
      number,
      reason: 'its second copy is damaged',
      quarantinedAs: undefined,
      repaired: true,
      neededBy: [],
    };
  } catch (error) {
    reason = reasonOf(error);
  }
  if (copy === undefined) return { kind, number, reason, quarantinedAs: undefined, repaired: false, neededBy: [] };
  const quarantinedAs = await context.objects.quarantine(key, context.prefix);
  await restore(context, key, copy);
  return { kind, number, reason, quarantinedAs, repaired: true, neededBy: [] };
}

/** Files of small objects that are damaged and have no record to be restored from. */
async function scrubUnrecorded(
  context: RepositoryContext,
  known: readonly SmallObjectRecord[],
): Promise<ScrubDamage[]> {
  const damage: ScrubDamage[] = [];
  if (!known.some((object) => object.kind === 'configuration')) {
    const reason = 'both its file and its second copy are damaged or missing';
    damage.push({ kind: 'configuration', number: 0, reason, quarantinedAs: undefined, repaired: false, neededBy: [] });
  }
  for (const key of await context.objects.list(keyDocumentsPrefix(context.id))) {
    const number = parseKeyDocumentName(key);
    if (number === undefined || known.some((object) => object.kind === 'key document' && object.number === number))
      continue;
    const reason = 'it was damaged before its second copy was made';
    damage.push({ kind: 'key document', number, reason, quarantinedAs: undefined, repaired: false, neededBy: [] });
  }
  return damage;
}

/** Checks and repairs the small objects of a repository. */
export async function scrubSmallObjects(context: RepositoryContext, tally: ScrubTally): Promise<void> {
  await scrubDocument(context, tally);
  const objects = await context.read((view) => view.smallObjects(context.id));
  for (const object of objects) {
    const damage = await scrubObject(context, object);
    tally.objectsChecked++;
    tally.bytesChecked += object.file.byteLength;
    if (damage !== undefined) tally.damage.push(damage);
  }
  tally.damage.push(...(await scrubUnrecorded(context, objects)));
}
