import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isFallbackError } from '../../src/errors/fallback-error.ts';
import { parseOrigin } from '../../src/format/ids.ts';
import {
  dayMs,
  decideRetention,
  defaultRetentionPolicy,
  parseRetentionPolicy,
  type RetentionCandidate,
  type RetentionPolicy,
} from '../../src/store/retention-policy.ts';

const nowMs = Date.UTC(2026, 5, 15, 12);
const main = parseOrigin('main');

const candidates: fc.Arbitrary<RetentionCandidate[]> = fc
  .array(
    fc.record({
      ageHours: fc.integer({ min: -48, max: 24 * 900 }),
      complete: fc.boolean(),
      pinned: fc.boolean(),
      origin: fc.constantFrom(main, parseOrigin('fallback')),
    }),
    { maxLength: 60 },
  )
  .map((rows) =>
    rows
      .toSorted((a, b) => b.ageHours - a.ageHours)
      .map(({ ageHours, ...rest }, index) => ({
        ...rest,
        number: index + 1,
        receivedAtMs: nowMs - ageHours * 3_600_000,
      })),
  );

const policies: fc.Arbitrary<RetentionPolicy> = fc
  .record({
    keepDays: fc.nat(60),
    daily: fc.nat(20),
    weekly: fc.nat(10),
    monthly: fc.nat(10),
    floor: fc.integer({ min: 1, max: 8 }),
    graceDays: fc.nat(10),
  })
  .filter((policy) => policy.keepDays + policy.daily + policy.weekly + policy.monthly > 0);

describe('retention policy', () => {
  test('never drops what is pinned, recent, among the newest, or the newest complete one', () => {
    fc.assert(
      fc.property(candidates, policies, (snapshots, policy) => {
        const kept = decideRetention(snapshots, policy, nowMs);
        for (const one of snapshots) {
          if (one.pinned || nowMs - one.receivedAtMs < policy.keepDays * dayMs) assert.ok(kept.has(one.number));
        }
        for (const ofOrigin of Map.groupBy(snapshots, (one) => one.origin).values()) {
          for (const one of ofOrigin.slice(-policy.floor)) assert.ok(kept.get(one.number)?.includes('newest'));
          const complete = ofOrigin.findLast((one) => one.complete);
          if (complete !== undefined) assert.ok(kept.has(complete.number));
        }
      }),
    );
  });

  test('what was dropped has no influence: deciding again over the kept ones keeps them all', () => {
    fc.assert(
      fc.property(candidates, policies, (snapshots, policy) => {
        const kept = decideRetention(snapshots, policy, nowMs);
        const again = decideRetention(
          snapshots.filter((one) => kept.has(one.number)),
          policy,
          nowMs,
        );
        assert.deepEqual([...again.keys()].sort(), [...kept.keys()].sort());
      }),
    );
  });

  test('a clock that leaps by years drops nothing that days, weeks and months kept', () => {
    fc.assert(
      fc.property(candidates, policies, fc.integer({ min: 0, max: 20 * 365 }), (snapshots, policy, days) => {
        const rules = { ...policy, keepDays: 0, daily: policy.daily + 1 };
        const kept = decideRetention(snapshots, rules, nowMs);
        const later = decideRetention(snapshots, rules, nowMs + days * dayMs);
        // What lies in the future counts as recent, until the clock has leapt over it.
        for (const [number, why] of kept) if (why.some((rule) => rule !== 'recent')) assert.ok(later.has(number));
      }),
    );
  });

  test('three years of nights under the default policy', () => {
    const nights = Array.from({ length: 1095 }, (_, index) => ({
      number: index + 1,
      receivedAtMs: nowMs - (1094 - index) * dayMs,
      origin: main,
      complete: true,
      pinned: false,
    }));
    const kept = decideRetention(nights, defaultRetentionPolicy, nowMs);
    const count = (rule: string): number =>
      [...kept.values()].filter((rules) => rules.some((one) => one === rule)).length;
    assert.deepEqual(
      [count('recent'), count('daily'), count('weekly'), count('monthly'), count('newest')],
      [14, 30, 13, 12, 7],
    );
    assert.ok(kept.size < 60);
  });

  test('a partial snapshot stands for its day only when there is no complete one', () => {
    const at = (number: number, hour: number, complete: boolean): RetentionCandidate => ({
      number,
      receivedAtMs: Date.UTC(2026, 0, number < 10 ? 5 : 6, hour),
      origin: main,
      complete,
      pinned: false,
    });
    const snapshots = [at(1, 1, true), at(2, 2, true), at(3, 3, false), at(10, 1, false), at(11, 2, false)];
    const policy = { keepDays: 0, daily: 5, weekly: 0, monthly: 0, floor: 1, graceDays: 0 };
    assert.deepEqual(
      [...decideRetention(snapshots, policy, nowMs).keys()].sort((a, b) => a - b),
      [2, 11],
    );
  });

  test('weeks begin on Monday, in UTC', () => {
    const at = (number: number, time: number): RetentionCandidate => ({
      number,
      receivedAtMs: time,
      origin: main,
      complete: true,
      pinned: false,
    });
    const sunday = Date.UTC(2026, 0, 4, 23, 59);
    const snapshots = [at(1, sunday), at(2, sunday + 60_000), at(3, sunday + 2 * dayMs)];
    const policy = { keepDays: 0, daily: 0, weekly: 9, monthly: 0, floor: 1, graceDays: 0 };
    assert.deepEqual([...decideRetention(snapshots, policy, nowMs).keys()].sort(), [1, 3]);
  });

  test('a policy without a rule, or with a misspelt one, is refused', () => {
    const empty = { keepDays: 0, daily: 0, weekly: 0, monthly: 0, floor: 3, graceDays: 7 };
    const isEmpty = (error: unknown): boolean => isFallbackError(error, 'RETENTION_EMPTY');
    const isInvalid = (error: unknown): boolean => isFallbackError(error, 'CONFIG_INVALID');
    assert.throws(() => decideRetention([], empty, nowMs), isEmpty);
    assert.throws(() => parseRetentionPolicy(empty), isEmpty);
    assert.throws(() => parseRetentionPolicy({ keepDays: 3, floor: 0 }), isEmpty);
    assert.throws(() => parseRetentionPolicy({ keepDay: 3 }), isInvalid);
    assert.throws(() => parseRetentionPolicy({ keepDays: 3.5 }), isInvalid);
    assert.throws(() => parseRetentionPolicy({ keepDays: '3' }), isInvalid);
    assert.throws(() => parseRetentionPolicy(null), isInvalid);
    assert.deepEqual(parseRetentionPolicy({ ...defaultRetentionPolicy }), defaultRetentionPolicy);
  });
});
