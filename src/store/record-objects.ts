// From an object whose file is durable to its record: the same for what a client sent just now and for what a crash left.
import { FallbackError } from '../errors/fallback-error.ts';
import { sha256FromBytes } from '../format/ids.ts';
import { type PackHeader, packHeaderBytes } from '../format/pack.ts';
import type { SnapshotHead } from '../format/snapshot.ts';
import type { MetadataWrite, PackRecord, SnapshotRecord } from './metadata-store.ts';
import type { RepositoryContext } from './repository-context.ts';
import type { ObjectTrailer } from './stored-object.ts';

/** A pack's record. @param fileBytes length of the client's bytes. */
export function packRecordOf(header: PackHeader, trailer: ObjectTrailer, fileBytes: number): PackRecord {
  return {
    number: header.number,
    revision: header.revision,
    state: header.hasHoles ? 'holed' : 'whole',
    fileBytes,
    prefixBytes: packHeaderBytes + header.directoryBytes,
    sha256: trailer.sha256,
    receivedAtMs: trailer.receivedAtMs,
    condemnedAtMs: undefined,
  };
}

/** A snapshot's record. @param fileBytes length of the client's bytes. */
export function snapshotRecordOf(head: SnapshotHead, trailer: ObjectTrailer, fileBytes: number): SnapshotRecord {
  return {
    number: head.number,
    state: 'whole',
    sha256: trailer.sha256,
    receivedAtMs: trailer.receivedAtMs,
    epoch: head.epoch,
    origin: head.origin,
    complete: head.complete,
    fileBytes,
    packs: head.packs,
    deletedAfterMs: undefined,
  };
}

/** Records a pack and what follows from it. The record it takes the place of must be lost, holed or none. */
export async function recordPack(change: MetadataWrite, context: RepositoryContext, record: PackRecord): Promise<void> {
  const state = await context.state(change);
  await change.putPack(context.id, record);
  context.notePack(state, record.number, record.state === 'whole' && record.condemnedAtMs === undefined);
  if (record.revision > 0 && record.revision >= state.document.healRevision) {
    await context.changeDocument(change, { healRevision: record.revision + 1 });
  }
}

/** Marks a pack lost: its file is damaged or gone. The next revision number is kept safe in repository.json. */
export async function recordLostPack(
  change: MetadataWrite,
  context: RepositoryContext,
  record: PackRecord,
): Promise<void> {
  const state = await context.state(change);
  await change.putPack(context.id, { ...record, state: 'lost', condemnedAtMs: undefined });
  context.notePack(state, record.number, false);
  if (record.revision >= state.document.healRevision) {
    await context.changeDocument(change, { healRevision: record.revision + 1 });
  }
}

/** Records a snapshot, and moves the head of the chain when it is the newest. */
export async function recordSnapshot(
  change: MetadataWrite,
  context: RepositoryContext,
  record: SnapshotRecord,
): Promise<void> {
  const { document } = await context.state(change);
  if ((document.head?.number ?? 0) < record.number) {
    await context.changeDocument(change, { head: { number: record.number, sha256: sha256FromBytes(record.sha256) } });
  }
  await change.putSnapshot(context.id, record);
}

/** @throws FORMAT_INVALID when an object says it belongs to another repository. */
export function requireRepository(context: RepositoryContext, repositoryId: string, what: string): void {
  if (repositoryId === context.id) return;
  throw new FallbackError('FORMAT_INVALID', `The ${what} belongs to another repository.`);
}
