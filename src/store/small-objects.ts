// The configuration and the key documents: small, precious, and kept twice. FORMAT.md, Small objects.
import { equalBytes } from '../bytes/hex.ts';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import { decodeConfigurationHead } from '../format/configuration.ts';
import { type RepositoryId, type Sha256Hex, sha256FromBytes } from '../format/ids.ts';
import { decodeKeyDocument } from '../format/key-document.ts';
import { limits } from '../format/limits.ts';
import type { MetadataWrite, SmallObjectRecord } from './metadata-store.ts';
import { configurationKey, keyDocumentKey } from './object-keys.ts';
import { isDamage, readObject } from './read-object.ts';
import { requireRepository } from './record-objects.ts';
import { type RepositoryContext, serverFull } from './repository-context.ts';
import { encodeTrailer, openStoredObject, sha256Of } from './stored-object.ts';

export type SmallKind = SmallObjectRecord['kind'];

/** Where a small object lies. @param number of the key document; 0 for the configuration. */
export function smallObjectKey(id: RepositoryId, kind: SmallKind, number: number): string {
  return kind === 'configuration' ? configurationKey(id) : keyDocumentKey(id, number);
}

/** @throws FORMAT_INVALID unless the bytes are what their name says. */
export function checkSmallObject(context: RepositoryContext, kind: SmallKind, number: number, bytes: Uint8Array): void {
  if (kind === 'configuration') {
    if (bytes.byteLength > limits.configurationBytesMax) throw tooLarge(kind);
    requireRepository(context, decodeConfigurationHead(bytes).repositoryId, kind);
    return;
  }
  if (bytes.byteLength > limits.keyDocumentBytesMax) throw tooLarge(kind);
  const document = decodeKeyDocument(bytes);
  requireRepository(context, document.repositoryId, kind);
  if (document.number !== number) {
    throw new FallbackError('FORMAT_INVALID', `The key document sent as ${number} says that it is ${document.number}.`);
  }
}

function tooLarge(kind: SmallKind): FallbackError {
  return new FallbackError('LIMIT_EXCEEDED', `The ${kind} is larger than the format allows, and was refused.`);
}

/** Hashes of the access tokens that recovery phrases of a key document give. */
function accessTokens(kind: SmallKind, bytes: Uint8Array): readonly Sha256Hex[] {
  if (kind === 'configuration') return [];
  return decodeKeyDocument(bytes).slots.flatMap((slot) =>
    slot.type === 'phrase' ? [sha256FromBytes(slot.accessTokenSha256)] : [],
  );
}

/** Puts the second copy of a small object, verified, into the records. */
export async function recordSmallObject(
  change: MetadataWrite,
  context: RepositoryContext,
  kind: SmallKind,
  number: number,
  file: Uint8Array,
): Promise<void> {
  const { contents } = openStoredObject(file, kind);
  await change.putSmallObject(context.id, { kind, number, file }, accessTokens(kind, contents));
}

/** Publishes a small object; when its name is taken, only the same bytes will do. @throws CONFLICT, SERVER_FULL. Returns the stored file. */
export async function publishSmallObject(
  context: RepositoryContext,
  kind: SmallKind,
  number: number,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  const key = smallObjectKey(context.id, kind, number);
  const trailer = encodeTrailer({ kind, receivedAtMs: context.environment.nowMs(), sha256: sha256Of(bytes) });
  try {
    const draft = await context.objects.begin(context.prefix);
    try {
      await draft.write(bytes);
      await draft.write(trailer);
      if ((await draft.publish(key)) === 'published') return Buffer.concat([bytes, trailer]);
    } finally {
      await draft.discard();
    }
  } catch (error) {
    throw serverFull(error);
  }
  const existing = await readObject(context.objects, key, kind, limits.keyDocumentBytesMax);
  if (!equalBytes(existing.contents, bytes)) {
    throw new FallbackError('CONFLICT', `Another ${kind} ${number} is stored already.`);
  }
  await context.objects.settle(key);
  return Buffer.concat([existing.contents, encodeTrailer(existing)]);
}

async function secondCopy(
  context: RepositoryContext,
  kind: SmallKind,
  number: number,
): Promise<Uint8Array | undefined> {
  const all = await context.read(async (view) => {
    await context.state(view);
    return await view.smallObjects(context.id);
  });
  return all.find((object) => object.kind === kind && object.number === number)?.file;
}

/** A small object's bytes, from its file or, when that is damaged, from its second copy. @throws NOT_FOUND, DAMAGED, IO. */
export async function readSmallObject(
  context: RepositoryContext,
  kind: SmallKind,
  number: number,
): Promise<Uint8Array> {
  const copy = await secondCopy(context, kind, number);
  try {
    const key = smallObjectKey(context.id, kind, number);
    return (await readObject(context.objects, key, kind, limits.keyDocumentBytesMax)).contents;
  } catch (error) {
    if (isFallbackError(error, 'NOT_FOUND') && copy === undefined) {
      throw new FallbackError('NOT_FOUND', `The repository has no ${kind}${number === 0 ? '' : ` ${number}`}.`);
    }
    if (!isDamage(error) && !isFallbackError(error, 'NOT_FOUND')) throw error;
    try {
      if (copy !== undefined) return openStoredObject(copy, kind).contents;
    } catch {
      // Both copies are damaged.
    }
    throw new FallbackError('DAMAGED', `The repository’s ${kind} is damaged on the fallback server.`, { cause: error });
  }
}

/** Numbers of the key documents, ascending. @throws NOT_FOUND. */
export async function keyDocumentNumbers(context: RepositoryContext): Promise<readonly number[]> {
  return await context.read(async (view) => {
    await context.state(view);
    const objects = await view.smallObjects(context.id);
    return objects.filter((object) => object.kind === 'key document').map((object) => object.number);
  });
}

/** Adds a key document with the next number; the same bytes again are accepted again. @throws CONFLICT, LIMIT_EXCEEDED, FORMAT_INVALID. */
export async function putKeyDocument(context: RepositoryContext, number: number, file: Uint8Array): Promise<void> {
  checkSmallObject(context, 'key document', number, file);
  await context.write(async (change) => {
    const objects = (await change.smallObjects(context.id)).filter((object) => object.kind === 'key document');
    const existing = objects.find((object) => object.number === number);
    if (existing !== undefined) {
      if (equalBytes(openStoredObject(existing.file, 'key document').contents, file)) return;
      throw new FallbackError('CONFLICT', `Another key document ${number} is stored already.`);
    }
    const next = (objects.at(-1)?.number ?? 0) + 1;
    if (number !== next) throw new FallbackError('CONFLICT', `The next key document is ${next}, not ${number}.`);
    if (objects.length >= limits.keyDocumentsMax) {
      throw new FallbackError('LIMIT_EXCEEDED', `A repository keeps at most ${limits.keyDocumentsMax} key documents.`);
    }
    const stored = await publishSmallObject(context, 'key document', number, file);
    await recordSmallObject(change, context, 'key document', number, stored);
  });
}
