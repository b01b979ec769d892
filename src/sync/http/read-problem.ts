// A server's refusal (RFC 9457) as an error. Codes outside the table, and pages of other servers, are classified by their status.
import type { ErrorCode } from '../../errors/error-codes.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { PackRange } from '../../format/pack-ranges.ts';
import { answerCodes, type Failure, failureOf, foreignAnswer, statusFailures } from './classify-failure.ts';

type Headers = Readonly<Record<string, string | string[] | undefined>>;

const isAnswerCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(answerCodes, code);

/** The server's own words, as one harmless line: it may be hostile, and a terminal obeys control characters. */
function printable(value: unknown): string {
  const text = typeof value === 'string' ? value : '';
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ').slice(0, 300);
}

/** Ranges of packs, as `details.missing` has them. */
function readRanges(value: readonly unknown[]): PackRange[] {
  return value.slice(0, 1_000).flatMap((item): PackRange[] => {
    if (typeof item !== 'object' || item === null || !('first' in item) || !('last' in item)) return [];
    const { first, last } = item;
    const isRange = Number.isSafeInteger(first) && Number.isSafeInteger(last) && Number(first) <= Number(last);
    return isRange ? [{ first: Number(first), last: Number(last) }] : [];
  });
}

function readDetails(value: unknown): Record<string, unknown> {
  const details: Record<string, unknown> = {};
  if (typeof value !== 'object' || value === null) return details;
  for (const [key, detail] of Object.entries(value).slice(0, 16)) {
    if (!/^[a-zA-Z]{1,40}$/.test(key)) continue;
    if (typeof detail === 'number' || typeof detail === 'boolean') details[key] = detail;
    else if (typeof detail === 'string') details[key] = printable(detail);
    else if (Array.isArray(detail)) details[key] = readRanges(detail);
  }
  return details;
}

function retryAfterMs(headers: Headers): number | undefined {
  const value = headers['retry-after'];
  return typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) * 1000 : undefined;
}

function readProblem(headers: Headers, body: Uint8Array): Failure | undefined {
  if (!String(headers['content-type']).startsWith('application/problem+json')) return undefined;
  try {
    const problem: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    if (typeof problem !== 'object' || problem === null || !('code' in problem)) return undefined;
    const { code } = problem;
    if (!isAnswerCode(code)) return undefined;
    const title = 'title' in problem ? printable(problem.title) : '';
    const details = readDetails('details' in problem ? problem.details : undefined);
    // The hint is this program's own: a hostile server must not be able to tell an admin what to type.
    const error = new FallbackError(code, title === '' ? `The server refused this (${code}).` : title, { details });
    return { error, repeat: answerCodes[code] ?? 'no' };
  } catch {
    return undefined;
  }
}

/** The failure that an answer with an unexpected status stands for. */
export function failureOfAnswer(status: number, headers: Headers, body: Uint8Array): Failure {
  const failure =
    readProblem(headers, body) ?? failureOf(statusFailures[status] ?? foreignAnswer, undefined, { status });
  const waitMs = retryAfterMs(headers);
  return waitMs === undefined ? failure : { ...failure, retryAfterMs: waitMs };
}
