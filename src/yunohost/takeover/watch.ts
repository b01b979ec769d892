// Decides what a look at the main server means: nothing, an incident, a takeover, or that it is back. Pure.
import type { ProbeResult } from './probes.ts';

/** What is kept between two looks; JSON. */
export interface WatchState {
  /** Since when every probe has failed, in milliseconds since 1970. */
  readonly silentSinceMs?: number;
  /** An incident was declared, and nobody has been told that it is over. */
  readonly isIncident?: boolean;
  /** When the last look was: a gap in looking must not count as silence. */
  readonly lookedAtMs?: number;
}

export interface WatchInput {
  readonly before: WatchState;
  readonly nowMs: number;
  /** None of the addresses that always answer does: it is this machine that is cut off. */
  readonly isOwnLinkDown: boolean;
  readonly probes: readonly ProbeResult[];
  readonly delayMs: number;
}

/** `quiet`: silent, but not long enough yet. `cut-off`: nothing can be said. */
export type WatchVerdict = 'alive' | 'quiet' | 'incident' | 'still-down' | 'recovered' | 'cut-off';

/** Two looks further apart than this do not belong together: the timer was off, or the machine slept. */
const gapMsMax = 60 * 60_000;

/** @returns what it means, and what to keep. */
export function decideWatch(input: WatchInput): { readonly verdict: WatchVerdict; readonly state: WatchState } {
  const { before, nowMs, isOwnLinkDown, probes, delayMs } = input;
  const isIncident = before.isIncident === true;
  // Silence that was heard through a dead link, or while nobody listened, is none: its time begins anew.
  if (isOwnLinkDown) return { verdict: 'cut-off', state: { isIncident, lookedAtMs: nowMs } };
  if (probes.some(({ isAlive }) => isAlive)) {
    return { verdict: isIncident ? 'recovered' : 'alive', state: { lookedAtMs: nowMs } };
  }
  const passedMs = nowMs - (before.lookedAtMs ?? nowMs);
  const isGap = passedMs > Math.max(gapMsMax, delayMs) || passedMs < 0;
  const silentSinceMs = isGap ? nowMs : (before.silentSinceMs ?? nowMs);
  const state = { silentSinceMs, isIncident, lookedAtMs: nowMs };
  if (isIncident) return { verdict: 'still-down', state };
  if (nowMs - silentSinceMs < delayMs) return { verdict: 'quiet', state };
  return { verdict: 'incident', state: { ...state, isIncident: true } };
}
