// The time of the day in which a push that the timer started may begin an archive.
import type { TimeWindow } from '../configuration/value-kinds.ts';

const show = (minute: number): string =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;

/** `01:00-06:30`. */
export const showWindow = ({ startMinute, endMinute }: TimeWindow): string => `${show(startMinute)}-${show(endMinute)}`;

/** @param minute minutes since local midnight. */
export function isInWindow({ startMinute, endMinute }: TimeWindow, minute: number): boolean {
  if (startMinute < endMinute) return minute >= startMinute && minute < endMinute;
  return minute >= startMinute || minute < endMinute;
}
