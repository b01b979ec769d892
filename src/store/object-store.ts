// Where objects lie: a folder today, an S3-compatible store tomorrow. One conformance suite (test/store) runs against each.
import type { ByteSpan } from './repository-store.ts';

/** A span in pieces of at most `bytesMax`. */
export function* piecesOf({ start, end }: ByteSpan, bytesMax: number): Generator<ByteSpan> {
  for (let at = start; at < end; at += bytesMax) yield { start: at, end: Math.min(end, at + bytesMax) };
}

/** Objects are sent in pieces of this length: what a slow reader holds in memory. */
export const sentPieceBytes = 256 * 1024;

/** An object's name: folders and a file name, with `/` between; made by object-keys.ts only. */
export type ObjectKey = string;

/** An object that is being written: nobody sees it before it is published. */
export interface ObjectDraft {
  readonly writtenBytes: number;
  /** @throws DISK_FULL, IO. */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Gives it its key, whole and durable; never overwrites. Once this resolves to `published`, it survives a power cut.
   * The draft is gone afterwards, whatever happens. @throws DISK_FULL, IO.
   */
  publish(key: ObjectKey): Promise<'published' | 'exists'>;
  /** Throws it away. Safe at any time, also after publish. */
  discard(): Promise<void>;
}

/** An object open for reading: what was opened stays readable until it is closed. */
export interface ObjectReading {
  readonly sizeBytes: number;
  /** The file's descriptor, where the object is a file of this machine. */
  readonly descriptor?: number | undefined;
  /** Bytes of the span: fewer when the object is shorter. @throws IO. */
  read(span: ByteSpan): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface ObjectStore {
  /** @throws DISK_FULL, IO. */
  begin(repository: string): Promise<ObjectDraft>;
  /** @throws NOT_FOUND, IO. */
  open(key: ObjectKey): Promise<ObjectReading>;
  /** The first bytes of an object: fewer when it is shorter, and perhaps when it is not. @throws NOT_FOUND, IO. */
  readStart(key: ObjectKey, bytesMax: number): Promise<Uint8Array>;
  /** Size in bytes, or undefined when there is none. @throws IO. */
  stat(key: ObjectKey): Promise<number | undefined>;
  /** Keys directly under a prefix that ends in `/`, ascending, folders with a `/` at their end; empty when there is none. @throws IO. */
  list(prefix: string): Promise<readonly ObjectKey[]>;
  /** Makes durable what another process published under this key and may not have synced yet. @throws IO. */
  settle(key: ObjectKey): Promise<void>;
  /** Puts a small mutable document in the place of the old one, durably and at once. @throws DISK_FULL, IO. */
  replace(key: ObjectKey, bytes: Uint8Array, repository: string): Promise<void>;
  /** Moves an object to a free name in the repository's quarantine, durably; undefined when there was none. @throws IO. */
  quarantine(key: ObjectKey, repository: string): Promise<ObjectKey | undefined>;
  /** Removes objects durably; those that are not there are no error. @throws IO. */
  remove(keys: readonly ObjectKey[]): Promise<void>;
  /** Bytes that may still be written. */
  freeBytes(): Promise<number>;
}
