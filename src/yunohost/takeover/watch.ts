// Decides what a look at the main server means: nothing, an incident, a takeover, or that it is back. Pure.
import type { ProbeResult } from './probes.ts';

/** What is kept between two looks; JSON. */
export interface WatchState {
  /** Since when every probe has failed, in milliseconds since 1970. */
  readonly silentSinceMs?: number;
  /** How many looks found only silence since then. */
  readonly silentLooks?: number;
  /** An incident was declared, and nobody has been told that it is over. */
  readonly isIncident?: boolean;
  /** This incident's takeover has not begun, because the machine was busy or was cut off: a later look tries again. */
  readonly isDue?: boolean;
  /** How often it was tried since. */
  readonly begins?: number;
  /** When the last look was: a gap in looking must not count as silence. */
  readonly lookedAtMs?: number;
  /** How often the watch went on with a takeover that lay half done. */
  readonly resumes?: number;
  /** People were told that a takeover lies half done. */
  readonly isHalfDoneTold?: boolean;
  /** People were told that nothing can be said, and nothing has changed about that. */
  readonly isBlindTold?: boolean;
}

export interface WatchInput {
  readonly before: WatchState;
  readonly nowMs: number;
  /** None of the addresses that always answer does: it is this machine that is cut off. */
  readonly isOwnLinkDown: boolean;
  /** What the probes say is no proof that the main server is down: none asks it, say. */
  readonly isBlind: boolean;
  readonly probes: readonly ProbeResult[];
  readonly delayMs: number;
}

/** `quiet`: silent, but not long enough yet. `cut-off`, `blind`: nothing can be said. */
export type WatchVerdict = 'alive' | 'quiet' | 'incident' | 'still-down' | 'recovered' | 'cut-off' | 'blind';

/** Five times what fallback-watch.timer waits: looks further apart do not belong together, the timer was off or the machine slept. */
const gapMsMax = 5 * 60_000;

/** So many looks must have found silence, however short the delay: what two of them missed may be one short outage. */
const silentLooksMin = 3;

/** @returns what it means, and what to keep. */
export function decideWatch(input: WatchInput): { readonly verdict: WatchVerdict; readonly state: WatchState } {
  const { before, nowMs, isOwnLinkDown, isBlind, probes, delayMs } = input;
  const isIncident = before.isIncident === true;
  // Silence that was heard through a dead link, or while nobody listened, is none: its time begins anew.
  const due = isIncident && before.isDue === true ? { isDue: true, begins: before.begins ?? 0 } : {};
  const told = isBlind && before.isBlindTold === true ? { isBlindTold: true } : {};
  if (isOwnLinkDown) return { verdict: 'cut-off', state: { isIncident, ...due, ...told, lookedAtMs: nowMs } };
  if (probes.some(({ isAlive }) => isAlive)) {
    return { verdict: isIncident ? 'recovered' : 'alive', state: { ...told, lookedAtMs: nowMs } };
  }
  if (isBlind) return { verdict: 'blind', state: { isIncident, ...due, isBlindTold: true, lookedAtMs: nowMs } };
  const passedMs = nowMs - (before.lookedAtMs ?? nowMs);
  const isGap = passedMs > gapMsMax || passedMs < 0;
  const silentSinceMs = isGap ? nowMs : (before.silentSinceMs ?? nowMs);
  const silentLooks = (isGap ? 0 : (before.silentLooks ?? 0)) + 1;
  const state = { silentSinceMs, silentLooks, isIncident, ...due, lookedAtMs: nowMs };
  if (isIncident) return { verdict: 'still-down', state };
  if (!isLongSilence(state, nowMs, delayMs)) return { verdict: 'quiet', state };
  return { verdict: 'incident', state: { ...state, isIncident: true } };
}

/** Whether silence was heard for so long, and often enough, that it means something. */
function isLongSilence({ silentSinceMs, silentLooks }: WatchState, nowMs: number, delayMs: number): boolean {
  return nowMs - (silentSinceMs ?? nowMs) >= delayMs && (silentLooks ?? 0) >= silentLooksMin;
}

/** Whether a takeover that is due may begin: after a gap, or a dead link, silence must have lasted as long as for an incident. */
export function mayBegin(state: WatchState, nowMs: number, delayMs: number): boolean {
  return state.isDue === true && isLongSilence(state, nowMs, delayMs) && (state.begins ?? 0) < resumesMax;
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
