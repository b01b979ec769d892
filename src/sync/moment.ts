// Dates as admins type them: ISO 8601 only. What JavaScript would guess of `05/11/2026` is half a year off for half of the world.

const pattern = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d{1,3})?))?(Z|[+-]\d\d:?\d\d)?)?$/;

/**
 * Reads `2026-11-22` (its end, by this machine's clock), `2026-11-22 03:00`, `2026-11-22T03:00:00Z`.
 * @returns milliseconds since 1970; undefined when it is no date, or one that no calendar has.
 */
export function parseMoment(text: string): number | undefined {
  const [whole, year, month, day, hour, minute, second = '00', zone] = pattern.exec(text.trim()) ?? [];
  if (whole === undefined) return undefined;
  // JavaScript takes 31 February for 3 March.
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (date.getUTCMonth() + 1 !== Number(month) || date.getUTCDate() !== Number(day)) return undefined;
  const isOfDay = hour === undefined || (Number(hour) < 24 && Number(minute) < 60 && Number(second) < 60);
  if (!isOfDay) return undefined;
  const isoZone =
    zone === undefined || zone === 'Z' || zone.includes(':') ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`;
  const time = hour === undefined ? 'T23:59:59.999' : `T${hour}:${minute}:${second}${isoZone ?? ''}`;
  const timeMs = Date.parse(`${year}-${month}-${day}${time}`);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}
