// Errors as people and machines see them: what happened and what is safe, what to type next, the code. No stack but for defects.
import { errorCodes } from '../errors/error-codes.ts';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import { systemErrorCode, systemHint } from '../fs/map-fs-error.ts';
import { showText } from './show.ts';

/** Any thrown value as an error of the table: a system error keeps its reason, anything else is a defect. */
export function asFallbackError(thrown: unknown): FallbackError {
  if (isFallbackError(thrown)) return thrown;
  const system = systemErrorCode(thrown);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (system === 'ENOSPC' || system === 'EDQUOT') {
    return new FallbackError('DISK_FULL', 'The disk is full; what was finished before is kept.', { cause: thrown });
  }
  if (system !== undefined && /^E[A-Z0-9]+$/.test(system)) {
    const hint = systemHint(system) ?? errorCodes.IO.hint;
    return new FallbackError('IO', `The system reports: ${message}.`, { cause: thrown, hint });
  }
  return new FallbackError('INTERNAL', `fallback met something that it does not expect: ${message}.`, {
    cause: thrown,
    hint: `${errorCodes.INTERNAL.hint} (FALLBACK_DEBUG=1 shows where it happened.)`,
  });
}

/** The lines for people. The server that was tried is named: half of all such errors are a wrong address. */
export function describeError(error: FallbackError): string[] {
  const { server } = error.details;
  return [
    `fallback: ${showText(error.message)}`,
    ...(typeof server === 'string' ? [`  server: ${showText(server)}`] : []),
    `  next: ${showText(error.hint)}`,
    `  code: ${error.code}`,
  ];
}

function plainDetails(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(details).map(([key, value]): [string, unknown] => {
    const isRanges = typeof value === 'object' && value !== null && 'toText' in value;
    return [key, isRanges && typeof value.toText === 'function' ? value.toText() : value];
  });
  return Object.fromEntries(entries);
}

/** The object for machines. */
export function encodeError(error: FallbackError): object {
  const { code, message, hint, exitCode, retry, details } = error;
  return { error: { code, message, hint, exitCode, retry, details: plainDetails(details) } };
}

/** The stack of a defect and its causes, for FALLBACK_DEBUG=1. */
export function describeStack(thrown: unknown): string[] {
  const lines: string[] = [];
  let at: unknown = thrown;
  for (let depth = 0; depth < 5 && at instanceof Error; depth++) {
    lines.push(`${depth === 0 ? '' : 'caused by '}${at.stack ?? at.message}`);
    at = at.cause;
  }
  return lines;
}
