// Numbers for people: sizes in decimal units with three significant digits, times, counts. The same everywhere.

const units = ['kB', 'MB', 'GB', 'TB', 'PB', 'EB'] as const;

/** `0 B`, `999 B`, `1.23 kB`, `12.3 MB`, `123 GB`. */
export function showBytes(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  let value = bytes;
  let unit = '';
  for (const next of units) {
    value /= 1000;
    unit = next;
    // What rounds up to 1000 belongs to the next unit.
    if (value < 999.5) break;
  }
  return `${threeDigits(value)} ${unit}`;
}

/** 1.23, 12.3, 123: digits behind the point only as far as they count. */
export function threeDigits(value: number): string {
  if (value < 9.995) return value.toFixed(2);
  if (value < 99.95) return value.toFixed(1);
  return value.toFixed(0);
}

/** `12.3 MB/s`. */
export const showRate = (bytesPerSecond: number): string => `${showBytes(bytesPerSecond)}/s`;

/** `0.45 s`, `12.3 s`, `3 min 05 s`, `1 h 02 min`, `3 days 4 h`. */
export function showDuration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds < 9.995 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, '0')} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} days ${hours % 24} h`;
}

/** A rough time to come: `5 s`, `3 min`, `2 h 10 min`. */
export function showTimeLeft(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.round(minutes / 1440)} days`;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** Local time: `2026-11-22 03:00`; `?` for what no calendar holds. */
export function showTime(timeMs: number): string {
  const date = new Date(timeMs);
  if (Number.isNaN(date.getTime())) return '?';
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** `just now`, `5 min ago`, `3 h ago`, `2 days ago`; `in 2 days` for what is to come. */
export function showAge(timeMs: number, nowMs: number): string {
  const difference = nowMs - timeMs;
  const minutes = Math.floor(Math.abs(difference) / 60_000);
  if (minutes < 1) return 'just now';
  let text = `${Math.floor(minutes / 1440)} days`;
  if (minutes < 60) text = `${minutes} min`;
  else if (minutes < 48 * 60) text = `${Math.floor(minutes / 60)} h`;
  return difference >= 0 ? `${text} ago` : `in ${text}`;
}

/** `1 archive`, `2 archives`, `1 234 chunks`. */
export function showCount(count: number, one: string, many = `${one}s`): string {
  return `${showNumber(count)} ${count === 1 ? one : many}`;
}

/** Thousands apart by a space: `1 234 567`. */
export const showNumber = (value: number): string => String(value).replace(/\B(?=(\d{3})+$)/g, ' ');

/** A share in percent: `0 %`, `0.4 %`, `44 %`; never `100 %` for less than all, nor `0 %` for more than nothing. */
export function showPercent(part: number, whole: number): string {
  if (whole <= 0) return '100 %';
  const percent = (part / whole) * 100;
  if (percent <= 0) return '0 %';
  if (percent >= 100) return `${Math.round(percent)} %`;
  if (percent < 10) return `${Math.max(0.1, percent).toFixed(1)} %`;
  return `${Math.min(99, Math.round(percent))} %`;
}

/** Text from outside, safe for a terminal: control characters and the like as `\x1b`, so that a file's name steers nothing. */
export function showText(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/** A SHA-256 as people compare it: `1f3a9c0e-…`, eight groups of eight. */
export const showFingerprint = (hex: string): string => hex.match(/.{1,8}/g)?.join('-') ?? hex;
