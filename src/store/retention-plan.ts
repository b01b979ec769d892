// What a run of retention would do: reads only. retention.ts does it.

import { PackRanges } from '../format/pack-ranges.ts';
import type { MetadataRead, PackRecord, SnapshotRecord } from './metadata-store.ts';
import type { RepositoryContext } from './repository-context.ts';
import type { SnapshotSummary } from './repository-store.ts';
import { dayMs, decideRetention, type RetentionPolicy, type RetentionRule } from './retention-policy.ts';
import { diskBytes } from './stored-object.ts';

/** A pack that no snapshot ever named is a broken push's: it goes when it is older than this. */
const orphanMsMin = 7 * dayMs;
const pageRows = 2_000;

export interface KeptSnapshot {
  readonly number: SnapshotSummary['number'] | number;
  readonly receivedAtMs: number;
  readonly rules: readonly RetentionRule[];
}

export interface DroppedSnapshot {
  readonly number: number;
  readonly receivedAtMs: number;
  /** It can be taken back until then. */
  readonly deletedAfterMs: number;
}

export interface RetentionPlan {
  readonly kept: readonly KeptSnapshot[];
  /** Kept snapshots that were condemned earlier: they are taken back. */
  readonly takenBack: readonly number[];
  /** Dropped by this run. */
  readonly dropped: readonly DroppedSnapshot[];
  /** Dropped by earlier runs, in their grace time. */
  readonly waiting: readonly DroppedSnapshot[];
  /** Their grace time is over. */
  readonly dueSnapshots: readonly number[];
  /** Condemned packs that a kept snapshot needs. */
  readonly releasedPacks: PackRanges;
  /** Packs that this run condemns, and their bytes on the disk. */
  readonly condemnedPacks: PackRanges;
  readonly condemnedBytes: number;
  /** Packs to delete, once the snapshots are gone, and their bytes. */
  readonly duePacks: PackRanges;
  readonly duePackBytes: number;
  readonly dueSnapshotBytes: number;
  /** Lost packs that no snapshot needs any more. */
  readonly forgottenPacks: PackRanges;
}

/** Packs that any of the snapshots names. One after the other: all their ranges at once would be millions. */
export function unionOf(snapshots: readonly SnapshotRecord[]): PackRanges {
  return snapshots.reduce((union, snapshot) => union.union(snapshot.packs), PackRanges.empty);
}

async function* recordsIn(
  view: MetadataRead,
  context: RepositoryContext,
  ranges: PackRanges,
): AsyncIterable<PackRecord> {
  for (const { first, last } of ranges.ranges) {
    for (let from = first; from <= last; ) {
      // No more than the range may hold: there are thousands of ranges, and most are short.
      const page = await view.packs(context.id, from, Math.min(pageRows, last - from + 1));
      for (const record of page) if (record.number <= last) yield record;
      const end = page.at(-1)?.number;
      if (end === undefined || end >= last) break;
      from = end + 1;
    }
  }
}

/** The packs of `ranges` that pass, and their bytes on the disk. */
async function select(
  view: MetadataRead,
  context: RepositoryContext,
  ranges: PackRanges,
  passes: (record: PackRecord) => boolean,
): Promise<{ readonly packs: PackRanges; readonly bytes: number }> {
  const numbers: number[] = [];
  let bytes = 0;
  for await (const record of recordsIn(view, context, ranges)) {
    if (!passes(record)) continue;
    numbers.push(record.number);
    bytes += diskBytes(record.fileBytes);
  }
  return { packs: PackRanges.fromNumbers(numbers), bytes };
}

/** Rules that keep each snapshot; a lost one stays while it is recent, and stands for nothing. */
function decide(
  snapshots: readonly SnapshotRecord[],
  pins: readonly number[],
  damaged: PackRanges,
  policy: RetentionPolicy,
  nowMs: number,
): Map<number, readonly RetentionRule[]> {
  const candidates = snapshots
    .filter((snapshot) => snapshot.state === 'whole')
    .map((snapshot) => ({
      number: snapshot.number,
      receivedAtMs: snapshot.receivedAtMs,
      origin: snapshot.origin,
      complete: snapshot.complete && (damaged.isEmpty || snapshot.packs.intersect(damaged).isEmpty),
      pinned: pins.includes(snapshot.number),
    }));
  const kept = new Map(decideRetention(candidates, policy, nowMs));
  for (const snapshot of snapshots) {
    if (snapshot.state !== 'lost') continue;
    if (pins.includes(snapshot.number)) kept.set(snapshot.number, ['pinned']);
    else if (nowMs - snapshot.receivedAtMs < policy.keepDays * dayMs) kept.set(snapshot.number, ['recent']);
  }
  return kept;
}

async function planPacks(
  view: MetadataRead,
  context: RepositoryContext,
  sets: { readonly kept: PackRanges; readonly staying: PackRanges; readonly named: PackRanges },
  policy: RetentionPolicy,
  nowMs: number,
) {
  const state = await context.state(view);
  const present = await context.presentPacks(view, state);
  const holed = await view.packNumbers(context.id, 'holed');
  const condemned = await view.packNumbers(context.id, 'condemned');
  const lost = await view.packNumbers(context.id, 'lost');
  const unneeded = present.union(holed).minus(sets.kept);
  const dropped = await select(view, context, unneeded.intersect(sets.named), () => true);
  const orphans = await select(view, context, unneeded.minus(sets.named), (record) => {
    return record.receivedAtMs < nowMs - orphanMsMin;
  });
  // A condemned pack goes when its own grace time is over and no snapshot that still has a file names it.
  const due = await select(view, context, condemned.minus(sets.kept).minus(sets.staying), (record) => {
    return record.condemnedAtMs !== undefined && record.condemnedAtMs + policy.graceDays * dayMs <= nowMs;
  });
  const deleting = await select(view, context, await view.packNumbers(context.id, 'deleting'), () => true);
  return {
    releasedPacks: condemned.intersect(sets.kept),
    condemnedPacks: dropped.packs.union(orphans.packs),
    condemnedBytes: dropped.bytes + orphans.bytes,
    duePacks: due.packs.union(deleting.packs),
    duePackBytes: due.bytes + deleting.bytes,
    forgottenPacks: lost.minus(sets.kept).minus(sets.staying),
  };
}

/** Decides over the repository as the view shows it. @throws RETENTION_EMPTY. */
export async function planRetention(
  view: MetadataRead,
  context: RepositoryContext,
  policy: RetentionPolicy,
  nowMs: number,
): Promise<RetentionPlan> {
  const { document } = await context.state(view);
  const all = await view.snapshots(context.id);
  const snapshots = all.filter((snapshot) => snapshot.state !== 'deleting');
  const damaged = (await view.packNumbers(context.id, 'lost')).union(await view.packNumbers(context.id, 'holed'));
  const rules = decide(snapshots, document.pins, damaged, policy, nowMs);
  const keptSnapshots = snapshots.filter((snapshot) => rules.has(snapshot.number));
  const others = snapshots.filter((snapshot) => !rules.has(snapshot.number));
  const deletedAfterMs = nowMs + policy.graceDays * dayMs;
  const isDue = (snapshot: SnapshotRecord): boolean => (snapshot.deletedAfterMs ?? deletedAfterMs) <= nowMs;
  const due = all.filter((snapshot) => snapshot.state === 'deleting' || (others.includes(snapshot) && isDue(snapshot)));
  const staying = others.filter((snapshot) => !isDue(snapshot));
  const dropped = (snapshot: SnapshotRecord): DroppedSnapshot => ({
    number: snapshot.number,
    receivedAtMs: snapshot.receivedAtMs,
    deletedAfterMs: snapshot.deletedAfterMs ?? deletedAfterMs,
  });
  const sets = { kept: unionOf(keptSnapshots), staying: unionOf(staying) };
  const named = sets.kept.union(sets.staying).union(unionOf(due));
  const packs = await planPacks(view, context, { ...sets, named }, policy, nowMs);
  return {
    kept: keptSnapshots.map((snapshot) => ({
      number: snapshot.number,
      receivedAtMs: snapshot.receivedAtMs,
      rules: rules.get(snapshot.number) ?? [],
    })),
    takenBack: keptSnapshots.filter((one) => one.deletedAfterMs !== undefined).map((one) => one.number),
    dropped: staying.filter((one) => one.deletedAfterMs === undefined).map(dropped),
    waiting: staying.filter((one) => one.deletedAfterMs !== undefined).map(dropped),
    dueSnapshots: due.map((snapshot) => snapshot.number),
    dueSnapshotBytes: due.reduce((sum, one) => sum + (one.state === 'lost' ? 0 : diskBytes(one.fileBytes)), 0),
    ...packs,
  };
}
