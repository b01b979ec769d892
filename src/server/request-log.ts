// One line of JSON for each request: what was asked and how it went, without tokens, bodies or query values.
import type { ErrorCode } from '../errors/error-codes.ts';

/** Takes one line, without its end. */
export type LogLine = (line: string) => void;

/** What is known of a request when it is over. */
export interface RequestRecord {
  readonly atMs: number;
  readonly requestId: string;
  readonly address: string;
  readonly method: string;
  /** The route's template, not the path as sent: a path that no route has may hold anything. */
  readonly route: string | undefined;
  readonly repositoryId: string | undefined;
  readonly number: string | undefined;
  readonly status: number | undefined;
  readonly code: ErrorCode | string | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly durationMs: number;
  readonly error: string | undefined;
}

/** The line of one request. */
export function formatRequest(record: RequestRecord): string {
  const { atMs, requestId, error, durationMs, ...rest } = record;
  return JSON.stringify({
    at: new Date(atMs).toISOString(),
    event: 'request',
    request: requestId,
    ...rest,
    durationMs: Math.round(durationMs),
    error,
  });
}

/** The line of anything else that happens: started, stopped, maintenance. */
export function formatEvent(atMs: number, event: string, facts: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({ at: new Date(atMs).toISOString(), event, ...facts });
}

/** The text of a defect or of the disk's trouble, for the log: messages and the stack's first lines, cut short. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error).slice(0, 200);
  const cause = error.cause instanceof Error ? ` < ${error.cause.message}` : '';
  const place = /\n\s+at ([^\n]+)/.exec(error.stack ?? '')?.[1] ?? '';
  return `${error.name}: ${error.message}${cause} (${place})`.slice(0, 500);
}
