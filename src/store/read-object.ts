// Reading small stored objects whole, and the ends of large ones.
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import { limits } from '../format/limits.ts';
import { decodePackHeader, type PackHeader, packHeaderBytes } from '../format/pack.ts';
import { decodeSnapshotFile, type SnapshotHead } from '../format/snapshot.ts';
import { isUnreadable } from '../fs/map-fs-error.ts';
import type { ObjectKey, ObjectStore } from './object-store.ts';
import {
  decodeTrailer,
  type ObjectKind,
  type ObjectTrailer,
  openStoredObject,
  type StoredObject,
  trailerBytes,
} from './stored-object.ts';

/** A whole object's file. @throws NOT_FOUND, LIMIT_EXCEEDED, IO. */
export async function readObjectFile(objects: ObjectStore, key: ObjectKey, bytesMax: number): Promise<Uint8Array> {
  const reading = await objects.open(key);
  try {
    if (reading.sizeBytes > bytesMax) {
      throw new FallbackError('LIMIT_EXCEEDED', `The stored object ${key} is larger than its kind may be.`);
    }
    return await reading.read({ start: 0, end: reading.sizeBytes });
  } finally {
    await reading.close();
  }
}

/** A whole object, verified. @throws NOT_FOUND, FORMAT_INVALID, FORMAT_UNSUPPORTED, IO. */
export async function readObject(
  objects: ObjectStore,
  key: ObjectKey,
  kind: ObjectKind,
  contentsBytesMax: number,
): Promise<StoredObject> {
  return openStoredObject(await readObjectFile(objects, key, contentsBytesMax + trailerBytes), kind);
}

/** What a pack's file says of itself at its two ends. */
export interface PackEnds {
  readonly header: PackHeader;
  readonly trailer: ObjectTrailer;
  readonly fileBytes: number;
}

/** Reads header and trailer of a pack's file, not what lies between. @throws NOT_FOUND, FORMAT_INVALID, FORMAT_UNSUPPORTED, IO. */
export async function readPackEnds(objects: ObjectStore, key: ObjectKey): Promise<PackEnds> {
  const reading = await objects.open(key);
  try {
    const header = decodePackHeader(await reading.read({ start: 0, end: packHeaderBytes }));
    const fileBytes = packHeaderBytes + header.directoryBytes + header.bodyBytes;
    const end = reading.sizeBytes;
    if (end !== fileBytes + trailerBytes) {
      throw new FallbackError('FORMAT_INVALID', `The stored pack ${key} is not valid: its length is wrong.`);
    }
    const trailer = decodeTrailer(await reading.read({ start: fileBytes, end }));
    if (trailer.kind !== 'pack') throw new FallbackError('FORMAT_INVALID', `The stored object ${key} is no pack.`);
    return { header, trailer, fileBytes };
  } finally {
    await reading.close();
  }
}

/** Whether a failed check means that the bytes are bad, rather than that they could not be read now. */
export function isDamage(error: unknown): error is FallbackError {
  return isFallbackError(error, 'FORMAT_INVALID') || isFallbackError(error, 'LIMIT_EXCEEDED') || isUnreadable(error);
}

/** The same for packs and snapshots: where repository.json was understood, an unknown version in one of them is a flipped bit. */
export function isObjectDamage(error: unknown): error is FallbackError {
  return isDamage(error) || isFallbackError(error, 'FORMAT_UNSUPPORTED');
}

/** A snapshot's file, verified and taken apart. @throws NOT_FOUND, FORMAT_INVALID, FORMAT_UNSUPPORTED, IO. */
export async function readSnapshotObject(
  objects: ObjectStore,
  key: ObjectKey,
): Promise<{ readonly stored: StoredObject; readonly head: SnapshotHead }> {
  const stored = await readObject(objects, key, 'snapshot', limits.snapshotFileBytesMax);
  return { stored, head: decodeSnapshotFile(stored.contents).head };
}
