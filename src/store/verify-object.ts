// Whether an object's file is what it was when it arrived: every byte is read, no key is needed.
import { createHash } from 'node:crypto';
import { equalBytes } from '../bytes/hex.ts';
import { isFallbackError } from '../errors/fallback-error.ts';
import { packHeaderBytes } from '../format/pack.ts';
import type { PackRecord, SnapshotRecord } from './metadata-store.ts';
import { packKey, snapshotKey } from './object-keys.ts';
import { type ObjectReading, piecesOf } from './object-store.ts';
import { isObjectDamage, type PackEnds, readPackEnds, readSnapshotObject } from './read-object.ts';
import type { RepositoryContext } from './repository-context.ts';
import { type ObjectTrailer, trailerBytes } from './stored-object.ts';

/** What reading an object showed. */
export type Verdict =
  | { readonly outcome: 'whole'; readonly trailer: ObjectTrailer; readonly bytes: number }
  | { readonly outcome: 'damaged'; readonly reason: string; readonly bytes: number }
  | { readonly outcome: 'missing' };

const chunkBytes = 1024 * 1024;

/** SHA-256 of the first `end` bytes. @param onBytes is called, and waited for, after each piece: it may slow the reading down. */
async function hashUpTo(
  reading: ObjectReading,
  end: number,
  onBytes: (bytes: number) => Promise<void>,
): Promise<Uint8Array> {
  const hash = createHash('sha256');
  for (const piece of piecesOf({ start: 0, end }, chunkBytes)) {
    const bytes = await reading.read(piece);
    hash.update(bytes);
    await onBytes(bytes.byteLength);
  }
  return new Uint8Array(hash.digest());
}

/** A verdict for an error that means damage; anything else is thrown on. */
function verdictOf(error: unknown): Verdict {
  if (isFallbackError(error, 'NOT_FOUND')) return { outcome: 'missing' };
  if (isObjectDamage(error)) {
    return { outcome: 'damaged', reason: error.message, bytes: 0 };
  }
  throw error;
}

function mismatch(context: RepositoryContext, ends: PackEnds, record: PackRecord): string | undefined {
  const { header } = ends;
  if (header.repositoryId !== context.id) return 'it belongs to another repository';
  if (header.number !== record.number) return `its header says that it is pack ${header.number}`;
  if (header.revision !== record.revision) return `its header says revision ${header.revision}`;
  return undefined;
}

/** Reads a pack's file and verifies it against its own trailer, its name and its header. @throws IO. */
export async function verifyPack(
  context: RepositoryContext,
  record: PackRecord,
  onBytes: (bytes: number) => Promise<void>,
): Promise<Verdict & { readonly ends?: PackEnds }> {
  const key = packKey(context.id, record.number, record.revision);
  try {
    const ends = await readPackEnds(context.objects, key);
    const bytes = ends.fileBytes + trailerBytes;
    const wrong = mismatch(context, ends, record);
    if (wrong !== undefined) return { outcome: 'damaged', reason: wrong, bytes: packHeaderBytes };
    const reading = await context.objects.open(key);
    try {
      const digest = await hashUpTo(reading, ends.fileBytes, onBytes);
      if (equalBytes(digest, ends.trailer.sha256)) return { outcome: 'whole', trailer: ends.trailer, bytes, ends };
      return { outcome: 'damaged', reason: 'its SHA-256 is wrong', bytes };
    } finally {
      await reading.close();
    }
  } catch (error) {
    return verdictOf(error);
  }
}

/** Reads a snapshot's file and verifies it. @throws IO. */
export async function verifySnapshot(context: RepositoryContext, record: SnapshotRecord): Promise<Verdict> {
  try {
    const { stored, head } = await readSnapshotObject(context.objects, snapshotKey(context.id, record.number));
    const bytes = stored.contents.byteLength + trailerBytes;
    const isRight =
      head.repositoryId === context.id && head.number === record.number && equalBytes(stored.sha256, record.sha256);
    if (isRight) return { outcome: 'whole', trailer: stored, bytes };
    return { outcome: 'damaged', reason: 'it is another snapshot than the one that was committed', bytes };
  } catch (error) {
    return verdictOf(error);
  }
}
