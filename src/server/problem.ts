// How an error is told to a client: RFC 9457 problem details that carry the error's code, hint and details.
import type { ErrorCode } from '../errors/error-codes.ts';
import { FallbackError, type FallbackErrorOptions } from '../errors/fallback-error.ts';
import { jsonReply, type Reply } from './reply.ts';

/** The codes that a server answers with, and their status. Any other code is a defect or the machine's own trouble: 500 SERVER_ERROR. */
export const statusOfCode = {
  REQUEST_INVALID: 400,
  DIGEST_MISMATCH: 400,
  UNAUTHORIZED: 401,
  PAIRING_INVALID: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  TIMEOUT: 408,
  CONFLICT: 409,
  ALREADY_EXISTS: 409,
  FENCED: 409,
  LEASE_LOST: 409,
  PACKS_MISSING: 409,
  LIMIT_EXCEEDED: 413,
  FORMAT_INVALID: 422,
  FORMAT_UNSUPPORTED: 422,
  BUSY: 423,
  RATE_LIMITED: 429,
  SERVER_ERROR: 500,
  DAMAGED: 500,
  STORE_LOCKED: 503,
  QUOTA_EXCEEDED: 507,
  SERVER_FULL: 507,
} as const satisfies Partial<Record<ErrorCode, number>>;

export type ServerCode = keyof typeof statusOfCode;

/** An error with a status or headers of its own, for what concerns HTTP more than the store. */
export class RequestRefused extends FallbackError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: ServerCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
    options: FallbackErrorOptions = {},
  ) {
    super(code, message, options);
    this.status = status;
    this.headers = headers;
  }
}

/** The client went away, or was dropped: there is nobody to answer. */
export class PeerGone extends Error {
  override readonly name = 'PeerGone';
}

const isServerCode = (code: ErrorCode): code is ServerCode => Object.hasOwn(statusOfCode, code);

/** The error as the client may see it: a defect, and the trouble of this machine's disk, keep their text to the log. */
function presentable(error: unknown): FallbackError & { readonly code: ServerCode } {
  if (error instanceof FallbackError) {
    if (isServerCode(error.code)) return error as FallbackError & { readonly code: ServerCode };
    if (error.code === 'DISK_FULL') return serverError('SERVER_FULL', 'The fallback server’s disk is full.');
  }
  return serverError('SERVER_ERROR', 'The fallback server could not do this; its log says why.');
}

const serverError = (code: ServerCode, message: string): FallbackError & { readonly code: ServerCode } =>
  new FallbackError(code, message) as FallbackError & { readonly code: ServerCode };

const isPlain = (value: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof value);

/** A range of packs, as the store names those that are missing. */
const isRange = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.values(value).every((part) => typeof part === 'number');

/** Facts of an error as JSON: plain values and lists of ranges; anything else stays here. */
function plainDetails(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const shown = (value: unknown): boolean => isPlain(value) || (Array.isArray(value) && value.every(isRange));
  return Object.fromEntries(Object.entries(details).filter(([, value]) => shown(value)));
}

/** The answer for anything that was thrown. @param requestId names the request in the server's log. */
export function problemReply(thrown: unknown, requestId: string): Reply {
  const error = presentable(thrown);
  const refused = thrown instanceof RequestRefused ? thrown : undefined;
  const status = refused?.status ?? statusOfCode[error.code];
  const problem = {
    type: `urn:fallback:error:${error.code}`,
    title: error.message,
    status,
    code: error.code,
    hint: error.hint,
    details: plainDetails(error.details),
    instance: `urn:fallback:request:${requestId}`,
  };
  return {
    ...jsonReply(status, problem),
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...refused?.headers },
    code: error.code,
  };
}
