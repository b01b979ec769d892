// Values as people type them on the command line. All throw USAGE, which says what would have been right.
import { FallbackError } from '../errors/fallback-error.ts';

const usage = (message: string): FallbackError => new FallbackError('USAGE', `${message} Nothing was changed.`);
const shown = (text: string): string => JSON.stringify(text.slice(0, 60));

/** A whole number from `min` to `max`. */
export function parseWhole(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw usage(`${shown(text)} is not a whole number ${range}.`);
  };
}

const msOfUnit: Readonly<Record<string, number>> = { s: 1000, min: 60_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `15min`, `1h`, `7d`: milliseconds. */
export function parseDurationMs(text: string): number {
  const match = /^(\d{1,6})\s*(s|min|m|h|d)$/.exec(text.trim());
  const ms = Number(match?.[1]) * (msOfUnit[match?.[2] ?? ''] ?? Number.NaN);
  if (ms > 0) return ms;
  throw usage(`${shown(text)} is not a length of time such as 30min, 1h or 7d.`);
}

const powers = 'kMGTP';

/** `500MB`, `20G`, `1.5TB` (decimal) or `20GiB` (binary): bytes. */
export function parseSizeBytes(text: string): number {
  const match = /^(\d{1,6}(?:\.\d{1,3})?)\s*([kKMGTP])?(i?)B?$/.exec(text.trim());
  if (match !== null) {
    const letter = match[2] === 'K' ? 'k' : (match[2] ?? '');
    const power = letter === '' ? 0 : powers.indexOf(letter) + 1;
    const bytes = Math.round(Number(match[1]) * (match[3] === 'i' ? 1024 : 1000) ** power);
    if (Number.isSafeInteger(bytes) && bytes > 0 && (power > 0 || match[3] === '')) return bytes;
  }
  throw usage(`${shown(text)} is not a size such as 500MB, 20GB or 1.5TB.`);
}

export interface HostPort {
  /** A name or address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`, or a bare IPv6 address. @param portDefault when none is given. */
export function parseHostPort(portDefault: number): (text: string) => HostPort {
  return (text) => {
    const trimmed = text.trim();
    const bracketed = /^\[([0-9A-Fa-f:.%a-z]+)\](?::(\d{1,5}))?$/.exec(trimmed);
    const named = /^([^:[\]\s/]+)(?::(\d{1,5}))?$/.exec(trimmed);
    const bare = /^[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.exec(trimmed);
    const host = bracketed?.[1] ?? named?.[1] ?? bare?.[0];
    const port = Number(bracketed?.[2] ?? named?.[2] ?? portDefault);
    if (host !== undefined && host.length <= 255 && /^[0-9A-Za-z._:%-]+$/.test(host) && port <= 65_535) {
      return { host, port };
    }
    const why = trimmed.includes('://') ? 'Give the address without https:// in front.' : 'Give HOST or HOST:PORT.';
    throw usage(`${shown(text)} is not an address. ${why}`);
  };
}

/** As shown to people: IPv6 addresses in brackets. */
export const showHostPort = ({ host, port }: HostPort): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** 64 hexadecimal digits in any grouping: by colons, hyphens or spaces. @returns lower-case hexadecimal. */
export function parseFingerprint(text: string): string {
  const hex = text.replace(/[\s:-]/g, '').toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  throw usage(
    /^[0-9a-f]*$/.test(hex)
      ? `A fingerprint has 64 digits; this one has ${hex.length}. Compare it with the recovery sheet.`
      : 'The fingerprint holds something other than the digits 0-9 and a-f. Compare it with the recovery sheet.',
  );
}

/** A percentage from above 0 to 100, with or without its sign. */
export function parsePercent(text: string): number {
  const value = Number(/^(\d{1,3}(?:\.\d+)?)\s*%?$/.exec(text.trim())?.[1]);
  if (value > 0 && value <= 100) return value;
  throw usage(`${shown(text)} is not a percentage from above 0 to 100.`);
}

/** One of a few words. */
export function parseChoice<Choice extends string>(choices: readonly Choice[]): (text: string) => Choice {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    throw usage(`${shown(text)} is not one of ${choices.join(', ')}.`);
  };
}
