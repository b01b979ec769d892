// One writer at a time. A lease is a row: while it is there its writer may write; once it has run out, others may take its
// place. So a writer that slept longer than its lease goes on when nobody came in between.
import { FallbackError } from '../errors/fallback-error.ts';
import type { LeaseId } from '../format/ids.ts';
import { observeClock } from './clock.ts';
import type { LeaseRecord, MetadataRead, MetadataWrite } from './metadata-store.ts';
import { reconcile } from './reconcile.ts';
import type { RepositoryContext, RepositoryState } from './repository-context.ts';
import type { Lease, LeaseRequest } from './repository-store.ts';
import { readStatus } from './status.ts';

const holderBytesMax = 200;

/** @throws FENCED for an epoch that is over, CONFLICT for one that is not there yet. */
export function requireEpoch(state: RepositoryState, epoch: number): void {
  const current = state.document.epoch;
  if (epoch < current) {
    throw new FallbackError(
      'FENCED',
      `The fallback server has taken over (epoch ${current}, this machine has ${epoch}); nothing was changed.`,
      {
        hint: 'On this machine run `fallback update` first: it brings back what was produced meanwhile.',
        details: { epoch: current },
      },
    );
  }
  if (epoch > current) {
    throw new FallbackError('CONFLICT', `The repository is in epoch ${current}, not yet in ${epoch}.`, {
      hint: 'The server was perhaps restored from an older copy; see docs/THREAT-MODEL.md.',
      details: { epoch: current },
    });
  }
}

/** The lease that this writer holds. @throws LEASE_LOST, FENCED. */
export async function requireLease(
  view: MetadataRead,
  context: RepositoryContext,
  leaseId: LeaseId,
): Promise<LeaseRecord> {
  const lease = await view.lease(context.id);
  if (lease === undefined || lease.leaseId !== leaseId) {
    throw new FallbackError('LEASE_LOST', 'The lease ran out or was taken over; what was stored before is kept.');
  }
  if (lease.fenced) {
    throw new FallbackError('FENCED', 'The fallback server has taken over while this push ran; nothing more is taken.');
  }
  return lease;
}

function used(context: RepositoryContext, lease: LeaseRecord): LeaseRecord {
  const nowMs = context.environment.nowMs();
  return { ...lease, usedAtMs: nowMs, expiresAtMs: nowMs + context.options.leaseLifetimeMs };
}

/** Makes the lease live on from now. */
export async function useLease(change: MetadataWrite, context: RepositoryContext, lease: LeaseRecord): Promise<void> {
  await change.putLease(context.id, used(context, lease));
}

/** Whether a lease's use lies so far back (or, by a clock that jumped, ahead) that it should be renewed before its time. */
export function wantsRenewal(context: RepositoryContext, lease: LeaseRecord): boolean {
  const age = context.environment.nowMs() - lease.usedAtMs;
  return age < 0 || age > context.options.leaseLifetimeMs / 4;
}

/**
 * Whether a lease still keeps others out. A clock that went back would keep a dead one alive for as long as it went back:
 * then the lease's time begins anew, once, at the moment when that is seen.
 */
export async function isLive(change: MetadataWrite, context: RepositoryContext, lease: LeaseRecord): Promise<boolean> {
  if (lease.fenced) return false;
  const nowMs = context.environment.nowMs();
  if (nowMs < lease.usedAtMs) await useLease(change, context, lease);
  return nowMs < lease.expiresAtMs;
}

function busyError(context: RepositoryContext, lease: LeaseRecord): FallbackError {
  const nowMs = context.environment.nowMs();
  const ageSeconds = Math.max(0, Math.round((nowMs - lease.acquiredAtMs) / 1000));
  const endsSeconds = Math.max(1, Math.ceil((lease.expiresAtMs - nowMs) / 1000));
  return new FallbackError('BUSY', `${lease.holder} has been writing to the repository for ${ageSeconds} seconds.`, {
    hint: `Wait until it ends. If it is dead, its lease ends by itself within ${Math.min(endsSeconds, Math.ceil(context.options.leaseLifetimeMs / 1000))} seconds.`,
    details: { holder: lease.holder, ageSeconds, leaseHolder: lease.holder },
  });
}

/** Gives the lease to one writer. @throws BUSY naming the holder and its age, FENCED, CONFLICT, LIMIT_EXCEEDED. */
export async function acquireLease(context: RepositoryContext, request: LeaseRequest): Promise<Lease> {
  if (request.holder === '' || Buffer.byteLength(request.holder) > holderBytesMax) {
    throw new FallbackError('LIMIT_EXCEEDED', `A lease’s holder has 1 to ${holderBytesMax} bytes.`);
  }
  const firstPack = await context.write(async (change) => {
    const nowMs = context.environment.nowMs();
    await observeClock(change, nowMs);
    requireEpoch(await context.state(change), request.epoch);
    const old = await change.lease(context.id);
    if (old?.leaseId === request.leaseId) {
      await useLease(change, context, old);
      return (await context.state(change)).lastPack + 1;
    }
    if (old !== undefined && old.holder !== request.holder && (await isLive(change, context, old))) return old;
    // What the last writer published and did not get to record is found now, before its numbers could be given out again.
    await reconcile(change, context);
    context.forgetReplaced();
    const state = await context.state(change);
    await change.putRepository({ document: state.document, lastPack: state.lastPack, settledPack: state.lastPack });
    await useLease(change, context, {
      leaseId: request.leaseId,
      holder: request.holder,
      epoch: request.epoch,
      firstPack: state.lastPack + 1,
      acquiredAtMs: nowMs,
      usedAtMs: nowMs,
      expiresAtMs: nowMs,
      fenced: false,
    });
    return state.lastPack + 1;
  });
  // Thrown out here, so that what isLive noted is kept.
  if (typeof firstPack !== 'number') throw busyError(context, firstPack);
  return {
    leaseId: request.leaseId,
    firstPack,
    lifetimeMs: context.options.leaseLifetimeMs,
    status: await readStatus(context),
  };
}

/** @throws LEASE_LOST, FENCED. */
export async function renewLease(context: RepositoryContext, leaseId: LeaseId): Promise<void> {
  await context.write(async (change) => {
    await useLease(change, context, await requireLease(change, context, leaseId));
  });
}

/** Ends a lease; no error when it has ended already. */
export async function releaseLease(context: RepositoryContext, leaseId: LeaseId): Promise<void> {
  await context.write(async (change) => {
    const lease = await change.lease(context.id);
    if (lease?.leaseId === leaseId) await change.deleteLease(context.id);
  });
}
