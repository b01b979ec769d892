// What a server tells of a repository and of its snapshots.
import { idBytes, parseSnapshotNumber } from '../format/ids.ts';
import { PackRanges } from '../format/pack-ranges.ts';
import type { MetadataRead, SnapshotRecord } from './metadata-store.ts';
import type { RepositoryContext, RepositoryState } from './repository-context.ts';
import type { RepositoryStatus, SnapshotPointer, SnapshotSummary } from './repository-store.ts';

/** The end of the chain of snapshots, or undefined when there is none yet. */
export function headOf(state: RepositoryState): SnapshotPointer | undefined {
  const { head } = state.document;
  return head === null ? undefined : { number: parseSnapshotNumber(head.number), sha256: idBytes(head.sha256) };
}

/** A snapshot as clients see it. @param damaged lost and holed packs of the repository. */
export function summarise(state: RepositoryState, snapshot: SnapshotRecord, damaged: PackRanges): SnapshotSummary {
  return {
    number: parseSnapshotNumber(snapshot.number),
    sha256: snapshot.sha256,
    receivedAtMs: snapshot.receivedAtMs,
    epoch: snapshot.epoch,
    origin: snapshot.origin,
    complete: snapshot.complete,
    fileBytes: snapshot.fileBytes,
    pinned: state.document.pins.includes(snapshot.number),
    deletedAfterMs: snapshot.deletedAfterMs,
    packsDamaged: damaged.isEmpty ? PackRanges.empty : snapshot.packs.intersect(damaged),
    ...(snapshot.state === 'lost' ? { fileLost: true } : {}),
  };
}

async function damagedPacks(
  view: MetadataRead,
  context: RepositoryContext,
): Promise<{ lost: PackRanges; holed: PackRanges }> {
  return { lost: await view.packNumbers(context.id, 'lost'), holed: await view.packNumbers(context.id, 'holed') };
}

/** All snapshots that are not being deleted, ascending. */
export async function readSnapshots(context: RepositoryContext): Promise<readonly SnapshotSummary[]> {
  return await context.read(async (view) => {
    const state = await context.state(view);
    const { lost, holed } = await damagedPacks(view, context);
    const damaged = lost.union(holed);
    const snapshots = await view.snapshots(context.id);
    return snapshots
      .filter((snapshot) => snapshot.state !== 'deleting')
      .map((snapshot) => summarise(state, snapshot, damaged));
  });
}

/** The repository's state. @throws NOT_FOUND. */
export async function readStatus(context: RepositoryContext): Promise<RepositoryStatus> {
  const freeBytes = await context.objects.freeBytes();
  return await context.read(async (view) => {
    const state = await context.state(view);
    const { lost, holed } = await damagedPacks(view, context);
    const lease = await view.lease(context.id);
    const nowMs = context.environment.nowMs();
    const isHeld = lease !== undefined && !lease.fenced && nowMs < lease.expiresAtMs;
    return {
      repositoryId: context.id,
      name: state.document.name,
      epoch: state.document.epoch,
      generation: state.document.generation,
      head: headOf(state),
      lastPack: state.lastPack,
      present: await context.presentPacks(view, state),
      lost,
      holed,
      healRevision: Math.max(1, state.document.healRevision),
      storedBytes: state.storedBytes,
      quotaBytes: state.document.quotaBytes ?? undefined,
      freeBytes: Math.max(0, freeBytes - context.options.reserveFreeBytes),
      leaseHolder: isHeld ? lease.holder : undefined,
      lastCompleteAtMs: await view.lastComplete(context.id),
      serverTimeMs: nowMs,
    };
  });
}
