// The only commit point. All checks, the file and its record stand in one change: nobody else decides anything meanwhile.
//   1 epoch, lease, chain and closure are checked   2 the file is published   3 head and record are committed
// Crash before 2: nothing. Between 2 and 3: reconcile.ts takes the file, which passed every check. After 3: committed.
import { equalBytes } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import type { LeaseId } from '../format/ids.ts';
import { limits } from '../format/limits.ts';
import type { PackRanges } from '../format/pack-ranges.ts';
import { decodeSnapshotFile, type SnapshotHead } from '../format/snapshot.ts';
import { observeClock } from './clock.ts';
import { requireEpoch, requireLease, useLease } from './leases.ts';
import type { MetadataWrite, SnapshotRecord } from './metadata-store.ts';
import { snapshotKey } from './object-keys.ts';
import { readSnapshotObject } from './read-object.ts';
import { recordSnapshot, requireRepository, snapshotRecordOf } from './record-objects.ts';
import { type RepositoryContext, type RepositoryState, serverFull } from './repository-context.ts';
import type { SnapshotSummary } from './repository-store.ts';
import { headOf, summarise } from './status.ts';
import { encodeTrailer, type ObjectTrailer, sha256Of } from './stored-object.ts';

/** Ranges named in one refusal: fits the protocol's limit for JSON; the next refusal names the rest. */
const missingRangesMax = 1_000;

function requireNext(state: RepositoryState, head: SnapshotHead): void {
  const previous = headOf(state);
  const next = (previous?.number ?? 0) + 1;
  if (head.number !== next) {
    throw new FallbackError('CONFLICT', `Snapshot ${head.number} was refused: the next number is ${next}.`, {
      details: { next },
    });
  }
  if (!equalBytes(head.previousSha256, previous?.sha256 ?? new Uint8Array(32))) {
    throw new FallbackError('CONFLICT', `Snapshot ${head.number} was refused: it does not follow the newest snapshot.`);
  }
}

async function requireClosure(
  change: MetadataWrite,
  context: RepositoryContext,
  state: RepositoryState,
  needed: PackRanges,
): Promise<void> {
  const missing = needed.minus(await context.presentPacks(change, state));
  if (missing.isEmpty) return;
  throw new FallbackError('PACKS_MISSING', `The server lacks packs that the snapshot needs: ${missing.toText()}.`, {
    details: { missing: missing.ranges.slice(0, missingRangesMax) },
  });
}

/** Publishes the file; when its name is taken, only the same bytes will do. */
async function publish(context: RepositoryContext, head: SnapshotHead, file: Uint8Array, sha256: Uint8Array) {
  const trailer: ObjectTrailer = { kind: 'snapshot', receivedAtMs: context.environment.nowMs(), sha256 };
  const key = snapshotKey(context.id, head.number);
  const draft = await context.objects.begin(context.prefix);
  try {
    await draft.write(file);
    await draft.write(encodeTrailer(trailer));
    if ((await draft.publish(key)) === 'published') return trailer;
  } finally {
    await draft.discard();
  }
  const { stored } = await readSnapshotObject(context.objects, key);
  if (!equalBytes(stored.sha256, sha256)) {
    throw new FallbackError('CONFLICT', `An earlier push left another snapshot ${head.number}.`);
  }
  await context.objects.settle(key);
  return stored;
}

/** @throws QUOTA_EXCEEDED, SERVER_FULL when there is no room for it, CONFLICT. */
async function publishWithin(
  context: RepositoryContext,
  state: RepositoryState,
  head: SnapshotHead,
  file: Uint8Array,
  sha256: Uint8Array,
) {
  const incoming = context.running.begin(context.id, file.byteLength);
  try {
    await context.requireQuota(state);
    await context.requireFreeSpace();
    return await publish(context, head, file, sha256);
  } finally {
    incoming.end();
  }
}

async function commit(
  change: MetadataWrite,
  context: RepositoryContext,
  leaseId: LeaseId,
  file: Uint8Array,
  head: SnapshotHead,
): Promise<SnapshotRecord> {
  const sha256 = sha256Of(file);
  const existing = await change.snapshot(context.id, head.number);
  if (existing !== undefined && existing.state !== 'deleting' && equalBytes(existing.sha256, sha256)) return existing;
  const state = await context.state(change);
  requireEpoch(state, head.epoch);
  const lease = await requireLease(change, context, leaseId);
  requireNext(state, head);
  await requireClosure(change, context, state, head.packs);
  const trailer = await publishWithin(context, state, head, file, sha256);
  const record = snapshotRecordOf(head, trailer, file.byteLength);
  await recordSnapshot(change, context, record);
  await useLease(change, context, lease);
  await observeClock(change, context.environment.nowMs());
  return record;
}

/**
 * Whether a snapshot with this hash is worth being received: its writer holds the lease, or it is committed already and is only sent
 * again. @throws LEASE_LOST, FENCED.
 */
export async function expectSnapshot(context: RepositoryContext, leaseId: LeaseId, sha256: Uint8Array): Promise<void> {
  await context.read(async (view) => {
    try {
      await requireLease(view, context, leaseId);
    } catch (error) {
      const snapshots = await view.snapshots(context.id);
      if (!snapshots.some((one) => one.state !== 'deleting' && equalBytes(one.sha256, sha256))) throw error;
    }
  });
}

/**
 * Publishes a snapshot; the same bytes again are accepted again, whoever holds the lease.
 * @throws PACKS_MISSING (details.missing: PackRange[], at most 1,000), CONFLICT, LEASE_LOST, FENCED, QUOTA_EXCEEDED,
 * SERVER_FULL, FORMAT_INVALID, LIMIT_EXCEEDED.
 */
export async function commitSnapshot(
  context: RepositoryContext,
  leaseId: LeaseId,
  file: Uint8Array,
): Promise<SnapshotSummary> {
  if (file.byteLength > limits.snapshotFileBytesMax) {
    throw new FallbackError('LIMIT_EXCEEDED', 'The snapshot is larger than the format allows, and was refused.');
  }
  const { head } = decodeSnapshotFile(file);
  requireRepository(context, head.repositoryId, 'snapshot');
  return await context.write(async (change) => {
    try {
      const record = await commit(change, context, leaseId, file, head);
      const damaged = (await change.packNumbers(context.id, 'lost')).union(
        await change.packNumbers(context.id, 'holed'),
      );
      return summarise(await context.state(change), record, damaged);
    } catch (error) {
      throw serverFull(error);
    }
  });
}
