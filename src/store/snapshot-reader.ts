// Snapshots on their way out: whole, or checked first and then piece by piece, for a server whose readers may be slow.
import { createHash } from 'node:crypto';
import { equalBytes } from '../bytes/hex.ts';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import type { SnapshotNumber } from '../format/ids.ts';
import type { SnapshotRecord } from './metadata-store.ts';
import { snapshotKey } from './object-keys.ts';
import { type ObjectReading, piecesOf, sentPieceBytes } from './object-store.ts';
import { isObjectDamage, readSnapshotObject } from './read-object.ts';
import type { RepositoryContext } from './repository-context.ts';
import type { ByteSpan } from './repository-store.ts';

/** An open snapshot whose bytes were checked when it was opened. */
export interface SnapshotReading {
  /** Length of the snapshot's file as the client sent it. */
  readonly sizeBytes: number;
  /** A span inside the file, in pieces of at most 256 KiB. @throws DAMAGED when the file is cut short meanwhile, IO. */
  stream(span: ByteSpan): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

function damaged(number: number, cause: unknown): FallbackError {
  return new FallbackError(
    'DAMAGED',
    `Snapshot ${number} is damaged on the fallback server; other snapshots are not touched by that.`,
    { cause },
  );
}

async function recordOf(context: RepositoryContext, number: SnapshotNumber): Promise<SnapshotRecord> {
  const record = await context.read(async (view) => {
    await context.state(view);
    return await view.snapshot(context.id, number);
  });
  if (record === undefined || record.state === 'deleting') {
    throw new FallbackError('NOT_FOUND', `The server has no snapshot ${number}.`);
  }
  return record;
}

/** What cannot be read, or is not there, is damage. */
async function orDamaged<Result>(number: number, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!isObjectDamage(error) && !isFallbackError(error, 'NOT_FOUND')) throw error;
    throw damaged(number, error);
  }
}

/** A snapshot's file. @throws NOT_FOUND, DAMAGED, IO. */
export async function readSnapshot(context: RepositoryContext, number: SnapshotNumber): Promise<Uint8Array> {
  await recordOf(context, number);
  return await orDamaged(number, async () => {
    const { stored } = await readSnapshotObject(context.objects, snapshotKey(context.id, number));
    return stored.contents;
  });
}

class OpenSnapshot implements SnapshotReading {
  readonly #record: SnapshotRecord;
  readonly #reading: ObjectReading;

  constructor(record: SnapshotRecord, reading: ObjectReading) {
    this.#record = record;
    this.#reading = reading;
  }

  get sizeBytes(): number {
    return this.#record.fileBytes;
  }

  async *stream(span: ByteSpan): AsyncIterable<Uint8Array> {
    const { number } = this.#record;
    for (const piece of piecesOf(span, sentPieceBytes)) {
      const bytes = await orDamaged(number, () => this.#reading.read(piece));
      if (bytes.byteLength !== piece.end - piece.start) throw damaged(number, undefined);
      yield bytes;
    }
  }

  /** @throws DAMAGED unless the bytes are those that were committed. */
  async verify(): Promise<void> {
    const hash = createHash('sha256');
    for await (const bytes of this.stream({ start: 0, end: this.sizeBytes })) hash.update(bytes);
    if (!equalBytes(hash.digest(), this.#record.sha256)) throw damaged(this.#record.number, undefined);
  }

  async close(): Promise<void> {
    await this.#reading.close();
  }
}

/** Opens a snapshot and checks it, piece by piece: it is never whole in memory. @throws NOT_FOUND, DAMAGED, IO. */
export async function openSnapshot(context: RepositoryContext, number: SnapshotNumber): Promise<SnapshotReading> {
  const record = await recordOf(context, number);
  const key = snapshotKey(context.id, number);
  const snapshot = new OpenSnapshot(record, await orDamaged(number, () => context.objects.open(key)));
  try {
    await snapshot.verify();
    return snapshot;
  } catch (error) {
    await snapshot.close();
    throw error;
  }
}
