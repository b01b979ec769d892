// How far the server's clock may be trusted. Only deleting depends on it.
import type { ClockRecord, MetadataWrite } from './metadata-store.ts';
import { dayMs } from './retention-policy.ts';

/** Steps back up to this are what time servers do. */
const backMsMax = 10 * 60 * 1000;
/** A store that saw nothing for longer was switched off, or its clock leapt: the two look alike. */
const leapMsMax = 7 * dayMs;
/** So long must the clock run steadily after a jump before it may decide what is old. */
export const steadyMsMin = 7 * dayMs;

/** The record after the clock was seen at `nowMs`. */
export function observe(clock: ClockRecord | undefined, nowMs: number): ClockRecord {
  if (clock === undefined) return { lastSeenMs: nowMs, jumpedAtMs: undefined };
  const jumped = nowMs < clock.lastSeenMs - backMsMax || nowMs > clock.lastSeenMs + leapMsMax;
  if (jumped) return { lastSeenMs: nowMs, jumpedAtMs: nowMs };
  const steady = clock.jumpedAtMs === undefined || nowMs - clock.jumpedAtMs >= steadyMsMin;
  return { lastSeenMs: nowMs, jumpedAtMs: steady ? undefined : clock.jumpedAtMs };
}

/** Notes the present time in the records, at most once a minute. */
export async function observeClock(change: MetadataWrite, nowMs: number): Promise<ClockRecord> {
  const before = await change.clock();
  const after = observe(before, nowMs);
  const isWorthwhile =
    before === undefined ||
    before.jumpedAtMs !== after.jumpedAtMs ||
    Math.abs(after.lastSeenMs - before.lastSeenMs) >= 60_000;
  if (isWorthwhile) await change.putClock(after);
  return after;
}
