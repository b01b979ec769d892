// The time of the day in which a push that the timer started may begin an archive.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { TimeWindow } from '../configuration/value-kinds.ts';

const show = (minute: number): string =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;

/** `01:00-06:30`. */
export const showWindow = ({ startMinute, endMinute }: TimeWindow): string => `${show(startMinute)}-${show(endMinute)}`;

/** A night without a push: it is told, since the night's silence would look like success. */
export const windowMissed = (window: TimeWindow): FallbackError =>
  new FallbackError(
    'WINDOW_MISSED',
    `push.window, ${showWindow(window)}, closed before the push could begin. Nothing was done; the last snapshot is as it was.`,
  );

/** @param minute minutes since local midnight. */
export function isInWindow({ startMinute, endMinute }: TimeWindow, minute: number): boolean {
  if (startMinute < endMinute) return minute >= startMinute && minute < endMinute;
  return minute >= startMinute || minute < endMinute;
}

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** Longest sleep between two looks at the clock: people and summer time set it meanwhile. */
const sleepMsMax = 10 * minuteMs;

/** Milliseconds until a window opens by the clock, less than a day; 0 while it is open. @param timeOfDayMs since local midnight. */
export function untilOpenMs(window: TimeWindow, timeOfDayMs: number): number {
  if (isInWindow(window, Math.floor(timeOfDayMs / minuteMs))) return 0;
  return (window.startMinute * minuteMs - timeOfDayMs + dayMs) % dayMs;
}

export interface WindowClock {
  /** Milliseconds since local midnight. */
  timeOfDayMs(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  readonly signal: AbortSignal;
}

/** Returns when the window is open. @throws WINDOW_MISSED when the clock went past all of it, the signal's reason. */
export async function waitForWindow(window: TimeWindow, { timeOfDayMs, sleep, signal }: WindowClock): Promise<void> {
  for (let beforeMs = timeOfDayMs(); ; ) {
    signal.throwIfAborted();
    const waitMs = untilOpenMs(window, beforeMs);
    if (waitMs === 0) return;
    await sleep(Math.min(waitMs, sleepMsMax), signal).catch((error: unknown) => {
      signal.throwIfAborted();
      throw error;
    });
    const nowMs = timeOfDayMs();
    const wentMs = (nowMs - beforeMs + dayMs) % dayMs;
    // Past it without a look inside: summer time began, or the machine slept. More than half a day is a clock set back.
    if (wentMs > waitMs && wentMs < dayMs / 2 && untilOpenMs(window, nowMs) > 0) throw windowMissed(window);
    beforeMs = nowMs;
  }
}
