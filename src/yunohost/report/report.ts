// A report: short and true. What it says first is whether all is well. It never holds a secret.
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';

/** ok: nothing to do; warning: done, and something is missing or odd; failed: not done. */
export type ReportStatus = 'ok' | 'warning' | 'failed';

/** What happened, told to people and machines in the same words. */
export interface Report {
  readonly status: ReportStatus;
  /** What the report is about: `push`, `alarm`, `rehearsal`, `watch`. */
  readonly subject: string;
  /** One line, for a mail's subject. */
  readonly headline: string;
  readonly lines: readonly string[];
  /** What to type or look at next; undefined when there is nothing to do. */
  readonly nextStep?: string;
  /** For webhooks: plain data. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly hostName: string;
  readonly timeMs: number;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** `2026-11-22 03:00`, local time. */
export function showMoment(timeMs: number): string {
  const date = new Date(timeMs);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

const units = ['kB', 'MB', 'GB', 'TB', 'PB'];

/** `12.3 MB`, decimal. */
export function showSize(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes;
  let unit = -1;
  do {
    value /= 1000;
    unit++;
  } while (value >= 999.5 && unit < units.length - 1);
  return `${value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`;
}

/** `45 s`, `3 min`, `2 h 05 min`. */
export function showSpan(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${two(minutes % 60)} min` : `${Math.round(hours / 24)} days`;
}

/** Text from outside on one line without control characters: it stands in a mail. */
export function plainText(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}

/** The body of a mail, or what a terminal shows. */
export function layReport(report: Report): string[] {
  const lines = [report.headline, '', ...report.lines];
  if (report.nextStep !== undefined) lines.push('', `Next: ${report.nextStep}`);
  return lines.map((line) => (line === '' ? '' : `${/^\s*/.exec(line)?.[0] ?? ''}${plainText(line)}`));
}

/** A report about an error that ended a run. */
export function reportOfError(
  subject: string,
  error: unknown,
  { hostName, timeMs }: { readonly hostName: string; readonly timeMs: number },
): Report {
  const known = isFallbackError(error)
    ? error
    : new FallbackError('INTERNAL', error instanceof Error ? error.message : String(error));
  return {
    status: 'failed',
    subject,
    headline: `FAILED: ${subject} on ${hostName}`,
    lines: [known.message, `Code: ${known.code}`],
    nextStep: known.hint,
    facts: { code: known.code, message: known.message, exitCode: known.exitCode },
    hostName,
    timeMs,
  };
}
