// Which snapshots stay: pure decisions over numbers and times of receipt. retention.ts carries them out.
import { FallbackError } from '../errors/fallback-error.ts';
import type { Origin } from '../format/ids.ts';

export interface RetentionPolicy {
  /** Everything younger than this many days stays. */
  readonly keepDays: number;
  /** One snapshot for each of the last so many days, ISO weeks and months (UTC) that have any. */
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
  /** So many newest snapshots of each origin always stay; at least 1. */
  readonly floor: number;
  /** What is dropped stays on the disk this many days, and can be taken back. */
  readonly graceDays: number;
}

/** A fortnight whole, a month of days, a quarter of weeks, a year of months. */
export const defaultRetentionPolicy: RetentionPolicy = {
  keepDays: 14,
  daily: 30,
  weekly: 13,
  monthly: 12,
  floor: 7,
  graceDays: 7,
};

export const dayMs = 24 * 60 * 60 * 1000;
const countMax = 100_000;
const fields = ['keepDays', 'daily', 'weekly', 'monthly', 'floor', 'graceDays'] as const;

/** A policy from parsed JSON or options; absent fields are zero, absent floor and grace the default. @throws CONFIG_INVALID, RETENTION_EMPTY. */
export function parseRetentionPolicy(value: unknown): RetentionPolicy {
  if (typeof value !== 'object' || value === null) {
    throw new FallbackError('CONFIG_INVALID', 'The retention policy is not an object.');
  }
  const given = new Map<string, unknown>(Object.entries(value));
  const read = (name: (typeof fields)[number], absent: number): number => {
    const number = given.get(name) ?? absent;
    given.delete(name);
    if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0 || number > countMax) {
      throw new FallbackError(
        'CONFIG_INVALID',
        `The retention policy’s ${name} is not a whole number up to ${countMax}.`,
      );
    }
    return number;
  };
  const policy: RetentionPolicy = {
    keepDays: read('keepDays', 0),
    daily: read('daily', 0),
    weekly: read('weekly', 0),
    monthly: read('monthly', 0),
    floor: read('floor', defaultRetentionPolicy.floor),
    graceDays: read('graceDays', defaultRetentionPolicy.graceDays),
  };
  // A misspelt rule must not read as no rule (restic PR #4764 lost snapshots to one).
  for (const name of given.keys()) {
    throw new FallbackError('CONFIG_INVALID', `The retention policy has a field that is not known: ${name}.`);
  }
  requireRules(policy);
  return policy;
}

/** @throws RETENTION_EMPTY when a policy has no rule, or would let the last snapshot go. */
export function requireRules(policy: RetentionPolicy): void {
  if (policy.keepDays + policy.daily + policy.weekly + policy.monthly === 0 || policy.floor < 1) {
    throw new FallbackError('RETENTION_EMPTY', 'The retention policy has no rule that keeps snapshots.');
  }
}

/** What the decision needs of a snapshot. */
export interface RetentionCandidate {
  readonly number: number;
  readonly receivedAtMs: number;
  readonly origin: Origin;
  readonly complete: boolean;
  readonly pinned: boolean;
}

export type RetentionRule = 'pinned' | 'newest' | 'recent' | 'daily' | 'weekly' | 'monthly';

/** The UTC day, the ISO week (from Monday) and the month of a time, each as a number that rises with it. */
function buckets(timeMs: number): Readonly<Record<'daily' | 'weekly' | 'monthly', number>> {
  const day = Math.floor(timeMs / dayMs);
  const date = new Date(timeMs);
  // 1970-01-01 was a Thursday: three days after a Monday.
  return { daily: day, weekly: Math.floor((day + 3) / 7), monthly: date.getUTCFullYear() * 12 + date.getUTCMonth() };
}

function keepBuckets(
  newestFirst: readonly RetentionCandidate[],
  rule: 'daily' | 'weekly' | 'monthly',
  count: number,
  keep: (number: number, rule: RetentionRule) => void,
): void {
  // The newest complete snapshot stands for its bucket; a partial one only when there is no complete one.
  const best = new Map<number, RetentionCandidate>();
  for (const snapshot of newestFirst) {
    const bucket = buckets(snapshot.receivedAtMs)[rule];
    const found = best.get(bucket);
    if (found === undefined || (!found.complete && snapshot.complete)) best.set(bucket, snapshot);
  }
  // Only buckets that have a snapshot count: a clock that leaps, or a server that was off for a year, uses none up.
  const newestBuckets = [...best].sort(([a], [b]) => b - a).slice(0, count);
  for (const [, snapshot] of newestBuckets) keep(snapshot.number, rule);
}

/**
 * The rules that keep each kept snapshot; whoever is missing from the map is dropped. Each origin is judged by itself.
 * @throws RETENTION_EMPTY.
 */
export function decideRetention(
  snapshots: readonly RetentionCandidate[],
  policy: RetentionPolicy,
  nowMs: number,
): ReadonlyMap<number, readonly RetentionRule[]> {
  requireRules(policy);
  const kept = new Map<number, RetentionRule[]>();
  const keep = (number: number, rule: RetentionRule): void => {
    const rules = kept.get(number);
    if (rules === undefined) kept.set(number, [rule]);
    else rules.push(rule);
  };
  for (const ofOrigin of Map.groupBy(snapshots, (snapshot) => snapshot.origin).values()) {
    const newestFirst = ofOrigin.toSorted((a, b) => b.number - a.number);
    for (const snapshot of newestFirst) if (snapshot.pinned) keep(snapshot.number, 'pinned');
    for (const snapshot of newestFirst.slice(0, policy.floor)) keep(snapshot.number, 'newest');
    const newestComplete = newestFirst.find((snapshot) => snapshot.complete);
    if (newestComplete !== undefined && !kept.get(newestComplete.number)?.includes('newest')) {
      keep(newestComplete.number, 'newest');
    }
    for (const snapshot of newestFirst) {
      if (nowMs - snapshot.receivedAtMs < policy.keepDays * dayMs) keep(snapshot.number, 'recent');
    }
    keepBuckets(newestFirst, 'daily', policy.daily, keep);
    keepBuckets(newestFirst, 'weekly', policy.weekly, keep);
    keepBuckets(newestFirst, 'monthly', policy.monthly, keep);
  }
  return kept;
}
