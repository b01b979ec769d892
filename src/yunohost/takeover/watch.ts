// Decides what a look at the main server means: nothing, an incident, a takeover, or that it is back. Pure.
import type { ProbeResult } from './probes.ts';

/** What is kept between two looks; JSON. */
export interface WatchState {
  /** Since when every probe has failed, in milliseconds since 1970. */
  readonly silentSinceMs?: number;
  /** An incident was declared, and nobody has been told that it is over. */
  readonly isIncident?: boolean;
  /** This incident's takeover met a machine that was busy: it has not begun, and the next look tries again. */
  readonly isPutOff?: boolean;
  /** When the last look was: a gap in looking must not count as silence. */
  readonly lookedAtMs?: number;
  /** How often the watch went on with a takeover that lay half done. */
  readonly resumes?: number;
  /** People were told that a takeover lies half done. */
  readonly isHalfDoneTold?: boolean;
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
  const putOff = isIncident && before.isPutOff === true ? { isPutOff: true } : {};
  if (isOwnLinkDown) return { verdict: 'cut-off', state: { isIncident, ...putOff, lookedAtMs: nowMs } };
  if (probes.some(({ isAlive }) => isAlive)) {
    return { verdict: isIncident ? 'recovered' : 'alive', state: { lookedAtMs: nowMs } };
  }
  const passedMs = nowMs - (before.lookedAtMs ?? nowMs);
  const isGap = passedMs > Math.max(gapMsMax, delayMs) || passedMs < 0;
  const silentSinceMs = isGap ? nowMs : (before.silentSinceMs ?? nowMs);
  const state = { silentSinceMs, isIncident, ...putOff, lookedAtMs: nowMs };
  if (isIncident) return { verdict: 'still-down', state };
  if (nowMs - silentSinceMs < delayMs) return { verdict: 'quiet', state };
  return { verdict: 'incident', state: { ...state, isIncident: true } };
}

/** How often a takeover that lies half done is gone on with: what fails three times is for a person. */
export const resumesMax = 3;

/**
 * What to do about a takeover that lies half done: go on with it, tell people, or rest because they were told.
 * @returns what to do, and what to keep. The next look at an idle machine forgets it.
 */
export function decideHalfDone(
  before: WatchState,
  mayResume: boolean,
): { readonly action: 'resume' | 'tell' | 'rest'; readonly state: WatchState } {
  const resumes = before.resumes ?? 0;
  if (mayResume && resumes < resumesMax) return { action: 'resume', state: { ...before, resumes: resumes + 1 } };
  if (before.isHalfDoneTold === true) return { action: 'rest', state: before };
  return { action: 'tell', state: { ...before, isHalfDoneTold: true } };
}
