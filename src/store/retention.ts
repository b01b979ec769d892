// Retention carried out. Order, each step durable before the next (FORMAT.md, Write order):
//   1 condemn: dropped snapshots and packs get a time   2 snapshots whose grace time is over: mark, remove the file, forget
//   3 lost packs that no snapshot names any more: forget
//   4 packs that no snapshot with a file names and whose grace time is over: mark, remove the files, forget
// Crash anywhere: what is marked is finished by the next run; a snapshot's file never outlives its packs.

import { FallbackError } from '../errors/fallback-error.ts';
import { type PackRange, PackRanges } from '../format/pack-ranges.ts';
import { observe, observeClock, steadyMsMin } from './clock.ts';
import type { FolderRepository } from './folder-repository.ts';
import { isLive } from './leases.ts';
import type { MetadataRead, MetadataWrite, PackRecord } from './metadata-store.ts';
import { packKey, snapshotKey } from './object-keys.ts';
import type { RepositoryContext } from './repository-context.ts';
import { planRetention, type RetentionPlan, unionOf } from './retention-plan.ts';
import { dayMs, defaultRetentionPolicy, type RetentionPolicy, requireRules } from './retention-policy.ts';

export interface RetentionRequest {
  /** Tell what would happen, change nothing. */
  readonly dryRun?: boolean;
  /** An admin has looked at the server's clock: a jump does not stop this run. */
  readonly acceptClock?: boolean;
  /** Instead of the repository's own policy. */
  readonly policy?: RetentionPolicy;
}

/** Why a run did nothing, or stopped half-way. */
export interface RetentionPause {
  readonly reason: 'push' | 'clock';
  readonly text: string;
}

export interface RetentionReport extends RetentionPlan {
  readonly dryRun: boolean;
  readonly atMs: number;
  readonly policy: RetentionPolicy;
  /** Undefined when the run went through. */
  readonly paused: RetentionPause | undefined;
  /** Really deleted by this run; in a dry run what would be. */
  readonly deletedSnapshots: readonly number[];
  readonly deletedPacks: PackRanges;
  readonly bytesFreed: number;
}

/** A step waits for the disk three or four times, and holds the records for a few milliseconds for each thousand packs. */
const snapshotsPerStep = 100;
const packsPerStep = 5_000;

async function policyFor(view: MetadataRead, context: RepositoryContext, request: RetentionRequest) {
  const policy = request.policy ?? (await context.state(view)).document.retention ?? defaultRetentionPolicy;
  requireRules(policy);
  return policy;
}

const pushPause: RetentionPause = {
  reason: 'push',
  text: 'A push is writing to the repository; nothing is removed meanwhile. Run retention again when it has ended.',
};

/** A live lease stops everything; a dead one is ended, so that its writer cannot come back to what is removed now. */
async function pauseForLease(change: MetadataWrite, context: RepositoryContext): Promise<RetentionPause | undefined> {
  const lease = await change.lease(context.id);
  if (lease === undefined) return undefined;
  if (await isLive(change, context, lease)) return pushPause;
  if (!lease.fenced) await change.deleteLease(context.id);
  return undefined;
}

async function newestReceiptMs(view: MetadataRead, context: RepositoryContext): Promise<number> {
  const snapshots = await view.snapshots(context.id);
  return snapshots.reduce((newest, snapshot) => Math.max(newest, snapshot.receivedAtMs), 0);
}

const clockStepMsMax = 10 * 60 * 1000;

function pauseForClock(jumpedAtMs: number | undefined, newestMs: number, nowMs: number): RetentionPause | undefined {
  if (nowMs < newestMs - clockStepMsMax) {
    const text = `The server’s clock says ${new Date(nowMs).toISOString()}, but the newest snapshot came ${new Date(newestMs).toISOString()}: the clock went back.`;
    return {
      reason: 'clock',
      text: `${text} Nothing is removed. Set the clock right, or run again with --accept-clock.`,
    };
  }
  if (jumpedAtMs === undefined) return undefined;
  const until = new Date(jumpedAtMs + steadyMsMin).toISOString();
  return {
    reason: 'clock',
    text: `The server’s clock jumped, or the server was off for more than ${steadyMsMin / dayMs} days. Nothing is removed before ${until}, or until you look at the clock and run again with --accept-clock.`,
  };
}

/** Step 1: times for what is dropped, none for what is kept. */
async function condemn(change: MetadataWrite, context: RepositoryContext, plan: RetentionPlan, nowMs: number) {
  for (const number of plan.takenBack) await change.condemnSnapshot(context.id, number, undefined);
  for (const { number, deletedAfterMs } of plan.dropped) {
    await change.condemnSnapshot(context.id, number, deletedAfterMs);
  }
  for (const range of plan.releasedPacks.ranges) await change.releasePacks(context.id, range);
  for (const range of plan.condemnedPacks.ranges) {
    await change.condemnPacks(context.id, range, nowMs, Number.MAX_SAFE_INTEGER);
  }
  context.forgetPacks();
}

/** Marks in one change, removes, forgets in another. Returns the pause when a push came in between. */
async function step(
  context: RepositoryContext,
  mark: (change: MetadataWrite) => Promise<readonly string[]>,
  forget: (change: MetadataWrite) => Promise<void>,
): Promise<RetentionPause | undefined> {
  const marked = await context.write(async (change) => (await pauseForLease(change, context)) ?? (await mark(change)));
  if ('reason' in marked) return marked;
  await context.objects.remove(marked);
  await context.write(forget);
  return undefined;
}

/** Step 2 for some snapshots; those that were pinned or taken back since they were planned are left alone. */
async function deleteSnapshots(
  context: RepositoryContext,
  numbers: readonly number[],
  policy: RetentionPolicy,
  deleted: number[],
): Promise<RetentionPause | undefined> {
  const marked: number[] = [];
  const paused = await step(
    context,
    async (change) => {
      const { pins } = (await context.state(change)).document;
      for (const number of numbers) {
        const snapshot = await change.snapshot(context.id, number);
        // Without a grace time nothing was given one, and nothing can be taken back.
        const isTakenBack = policy.graceDays > 0 && snapshot?.deletedAfterMs === undefined;
        if (snapshot?.state !== 'deleting' && (isTakenBack || pins.includes(number))) continue;
        await change.markSnapshot(context.id, number);
        marked.push(number);
      }
      return marked.map((number) => snapshotKey(context.id, number));
    },
    async (change) => {
      for (const number of marked) await change.deleteSnapshot(context.id, number);
    },
  );
  if (paused === undefined) deleted.push(...marked);
  return paused;
}

/** Step 3, decided anew: a snapshot that was pinned since the plan was made goes on telling of its damage, which a push may heal. */
async function forgetLost(context: RepositoryContext, planned: PackRanges): Promise<RetentionPause | undefined> {
  if (planned.isEmpty) return undefined;
  return await context.write(async (change) => {
    const paused = await pauseForLease(change, context);
    if (paused !== undefined) return paused;
    const lost = await change.packNumbers(context.id, 'lost');
    const named = unionOf(await change.snapshots(context.id));
    for (const number of planned.intersect(lost).minus(named).numbers()) await change.deletePack(context.id, number);
    context.forgetPacks();
    return undefined;
  });
}

/** Records of the range that are marked: their files may be there, or gone already. */
async function markedIn(change: MetadataWrite, context: RepositoryContext, { first, last }: PackRange) {
  const records = await change.packs(context.id, first, last - first + 1);
  return records.filter(({ number, state }) => number <= last && state === 'deleting');
}

/** Step 4 for some packs; those that are no longer due are left alone. */
async function deletePacks(context: RepositoryContext, packs: PackRanges): Promise<RetentionPause | undefined> {
  let marked = PackRanges.empty;
  return await step(
    context,
    async (change) => {
      const records: PackRecord[] = [];
      for (const range of packs.ranges) {
        await change.markPacks(context.id, range);
        records.push(...(await markedIn(change, context, range)));
      }
      marked = PackRanges.fromNumbers(records.map(({ number }) => number));
      context.forgetPacks();
      return records.map(({ number, revision }) => packKey(context.id, number, revision));
    },
    async (change) => {
      for (const range of marked.ranges) await change.deleteMarkedPacks(context.id, range);
      context.forgetPacks();
    },
  );
}

function* batches(numbers: Iterable<number>, count: number): Generator<readonly number[]> {
  let batch: number[] = [];
  for (const number of numbers) {
    batch.push(number);
    if (batch.length < count) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

interface Deleted {
  readonly snapshots: readonly number[];
  readonly packs: PackRanges;
  readonly paused: RetentionPause | undefined;
}

async function deleteDue(context: RepositoryContext, plan: RetentionPlan, policy: RetentionPolicy): Promise<Deleted> {
  const snapshots: number[] = [];
  const packs: number[] = [];
  const done = (paused: RetentionPause | undefined): Deleted => ({
    snapshots,
    packs: PackRanges.fromNumbers(packs),
    paused,
  });
  for (const batch of batches(plan.dueSnapshots, snapshotsPerStep)) {
    const paused = await deleteSnapshots(context, batch, policy, snapshots);
    if (paused !== undefined) return done(paused);
  }
  const paused = await forgetLost(context, plan.forgottenPacks);
  if (paused !== undefined) return done(paused);
  for (const batch of batches(plan.duePacks.numbers(), packsPerStep)) {
    const paused = await deletePacks(context, PackRanges.fromNumbers(batch));
    if (paused !== undefined) return done(paused);
    packs.push(...batch);
  }
  return done(undefined);
}

async function dryRun(context: RepositoryContext, request: RetentionRequest): Promise<RetentionReport> {
  return await context.read(async (view) => {
    const nowMs = context.environment.nowMs();
    const policy = await policyFor(view, context, request);
    const plan = await planRetention(view, context, policy, nowMs);
    const lease = await view.lease(context.id);
    const isHeld = lease !== undefined && !lease.fenced && nowMs < lease.expiresAtMs;
    const { jumpedAtMs } = observe(await view.clock(), nowMs);
    const clock = pauseForClock(jumpedAtMs, await newestReceiptMs(view, context), nowMs);
    return {
      ...plan,
      dryRun: true,
      atMs: nowMs,
      policy,
      paused: isHeld ? pushPause : request.acceptClock === true ? undefined : clock,
      deletedSnapshots: plan.dueSnapshots,
      deletedPacks: plan.duePacks,
      bytesFreed: plan.dueSnapshotBytes + plan.duePackBytes,
    };
  });
}

/**
 * Applies the repository's policy: condemns what no rule keeps, deletes what was condemned a grace time ago. Safe beside
 * pushes and readers, and after a crash of itself; hold the `maintenance` lock to keep a second run out.
 * @throws RETENTION_EMPTY, NOT_FOUND, IO.
 */
export async function applyRetention(
  repository: FolderRepository,
  request: RetentionRequest = {},
): Promise<RetentionReport> {
  const { context } = repository;
  if (request.dryRun === true) return await dryRun(context, request);
  // Deleting needs room for records first: a full disk must not keep retention from freeing it.
  await context.ballast?.releaseWhenFull();
  try {
    return await apply(context, request);
  } finally {
    await context.ballast?.fill();
  }
}

async function apply(context: RepositoryContext, request: RetentionRequest): Promise<RetentionReport> {
  const first = await context.write(async (change) => {
    const nowMs = context.environment.nowMs();
    const policy = await policyFor(change, context, request);
    const plan = await planRetention(change, context, policy, nowMs);
    const lease = await pauseForLease(change, context);
    let { jumpedAtMs } = await observeClock(change, nowMs);
    if (request.acceptClock === true) {
      jumpedAtMs = undefined;
      await change.putClock({ lastSeenMs: nowMs, jumpedAtMs });
    }
    const clock =
      request.acceptClock === true
        ? undefined
        : pauseForClock(jumpedAtMs, await newestReceiptMs(change, context), nowMs);
    const paused = lease ?? clock;
    if (paused === undefined) await condemn(change, context, plan, nowMs);
    return { policy, plan, paused, nowMs };
  });
  const before = await storedBytes(context);
  const deleted =
    first.paused === undefined
      ? await deleteDue(context, first.plan, first.policy)
      : { snapshots: [], packs: PackRanges.empty, paused: first.paused };
  const bytesFreed = Math.max(0, before - (await storedBytes(context)));
  const report: RetentionReport = {
    ...first.plan,
    dryRun: false,
    atMs: first.nowMs,
    policy: first.policy,
    paused: deleted.paused,
    deletedSnapshots: deleted.snapshots,
    deletedPacks: deleted.packs,
    bytesFreed,
  };
  await note(context, report);
  return report;
}

async function storedBytes(context: RepositoryContext): Promise<number> {
  return (await context.read((view) => context.state(view))).storedBytes;
}

async function note(context: RepositoryContext, report: RetentionReport): Promise<void> {
  const did = `dropped ${report.dropped.length}, deleted ${report.deletedSnapshots.length} snapshots and ${report.deletedPacks.size} packs, ${report.bytesFreed} bytes`;
  await context.write((change) =>
    change.addAudit({
      atMs: report.atMs,
      repositoryId: context.id,
      event: report.paused === undefined ? 'retention' : 'retention paused',
      text: report.paused === undefined ? did : report.paused.text,
    }),
  );
}

async function takeBack(change: MetadataWrite, context: RepositoryContext, number: number): Promise<void> {
  const snapshot = await change.snapshot(context.id, number);
  if (snapshot === undefined || snapshot.state === 'deleting') {
    throw new FallbackError('NOT_FOUND', `There is no snapshot ${number}, or it is being deleted already.`);
  }
  if (snapshot.deletedAfterMs !== undefined) {
    await change.condemnSnapshot(context.id, number, undefined);
  }
  for (const range of snapshot.packs.ranges) await change.releasePacks(context.id, range);
  context.forgetPacks();
}

/** Keeps a snapshot whatever the policy says; one in its grace time is taken back. @throws NOT_FOUND. */
export async function pinSnapshot(repository: FolderRepository, number: number): Promise<void> {
  const { context } = repository;
  await context.write(async (change) => {
    await takeBack(change, context, number);
    const { document } = await context.state(change);
    if (document.pins.includes(number)) return;
    await context.changeDocument(change, { pins: [...document.pins, number].sort((a, b) => a - b) });
  });
}

/** Lets the policy decide over a snapshot again. @throws NOT_FOUND. */
export async function unpinSnapshot(repository: FolderRepository, number: number): Promise<void> {
  const { context } = repository;
  await context.write(async (change) => {
    const { document } = await context.state(change);
    if (!document.pins.includes(number)) {
      if ((await change.snapshot(context.id, number)) !== undefined) return;
      throw new FallbackError('NOT_FOUND', `There is no snapshot ${number}.`);
    }
    await context.changeDocument(change, { pins: document.pins.filter((pin) => pin !== number) });
  });
}

/** Takes a dropped snapshot back while its grace time lasts. The policy may drop it again: pin it, or change the policy. @throws NOT_FOUND. */
export async function undeleteSnapshot(repository: FolderRepository, number: number): Promise<void> {
  const { context } = repository;
  await context.write((change) => takeBack(change, context, number));
}
