// The one class of error, and what every error must carry. The table of codes is in error-codes.ts.
import { type ErrorCode, type ExitCode, errorCodes, type Retry } from './error-codes.ts';

export interface FallbackErrorOptions {
  /** What to do next, in words for an admin at night; the table's own hint when left out. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Facts for machines (`--json`, problem details): never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** An expected failure: a stable code, what happened, what to do next. Anything else that is thrown is a defect. */
export class FallbackError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retry: Retry;
  readonly exitCode: ExitCode;
  readonly details: Readonly<Record<string, unknown>>;

  /** @param message one sentence: what happened, and what is safe. */
  constructor(code: ErrorCode, message: string, options: FallbackErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FallbackError';
    const row = errorCodes[code];
    this.code = code;
    this.hint = options.hint ?? row.hint;
    this.retry = row.retry;
    this.exitCode = row.exitCode;
    this.details = options.details ?? {};
  }
}

/** What happened and what to do next, in one line. */
export function messageWithHint(error: unknown): string {
  if (error instanceof FallbackError) return `${error.message} ${error.hint}`.trim();
  return error instanceof Error ? error.message : String(error);
}

/** Tells whether `error` is a FallbackError, with this code when one is given. */
export function isFallbackError(error: unknown, code?: ErrorCode): error is FallbackError {
  return error instanceof FallbackError && (code === undefined || error.code === code);
}
