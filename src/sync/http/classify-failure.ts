// From what went wrong on the network to an error for people, and whether the same request may be sent again: one table.
import type { ErrorCode } from '../../errors/error-codes.ts';
import { FallbackError } from '../../errors/fallback-error.ts';

/** Whether a request that may be repeated is sent again after this failure. */
export type Repeat = 'no' | 'twice' | 'yes';

/** A failed attempt. */
export interface Failure {
  readonly error: FallbackError;
  readonly repeat: Repeat;
  /** The server's Retry-After, in milliseconds. */
  readonly retryAfterMs?: number;
}

export interface FailureRow {
  readonly code: ErrorCode;
  readonly repeat: Repeat;
  /** What happened, as a whole sentence. */
  readonly message: string;
}

const row = (code: ErrorCode, repeat: Repeat, message: string): FailureRow => ({ code, repeat, message });
const broken = row('UNREACHABLE', 'yes', 'The connection to the server broke.');
const unresolved = row('UNREACHABLE', 'yes', 'The server’s name cannot be resolved.');
const noRoute = row('UNREACHABLE', 'yes', 'There is no way to the server’s network.');
const notTls = row('PROTOCOL', 'no', 'What answers at this address does not speak TLS 1.3.');
const stranger = row(
  'CERTIFICATE_MISMATCH',
  'no',
  'The server’s certificate is not the one this machine trusts; nothing was sent.',
);
const notHttp = row('PROTOCOL', 'no', 'What answers at this address does not speak HTTP as a fallback server does.');

/** By `code` of Node's, OpenSSL's or undici's error. */
export const networkFailures: Readonly<Record<string, FailureRow>> = {
  ECONNREFUSED: row('UNREACHABLE', 'yes', 'Nothing listens at the server’s address.'),
  ECONNRESET: broken,
  ECONNABORTED: broken,
  EPIPE: broken,
  UND_ERR_SOCKET: broken,
  UND_ERR_DESTROYED: broken,
  UND_ERR_CLOSED: broken,
  ENOTFOUND: unresolved,
  EAI_AGAIN: unresolved,
  EHOSTUNREACH: noRoute,
  ENETUNREACH: noRoute,
  ENETDOWN: noRoute,
  EHOSTDOWN: noRoute,
  EADDRNOTAVAIL: noRoute,
  ETIMEDOUT: row('TIMEOUT', 'yes', 'The server did not answer the connection in time.'),
  UND_ERR_CONNECT_TIMEOUT: row('TIMEOUT', 'yes', 'The server did not answer the connection in time.'),
  UND_ERR_HEADERS_TIMEOUT: row('TIMEOUT', 'yes', 'The server did not answer in time.'),
  UND_ERR_BODY_TIMEOUT: row('TIMEOUT', 'yes', 'The server stopped in the middle of an answer.'),
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: broken,
  UND_ERR_HEADERS_OVERFLOW: notHttp,
  EPROTO: notTls,
  ERR_SSL_WRONG_VERSION_NUMBER: notTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: notTls,
  ERR_SSL_UNSUPPORTED_PROTOCOL: notTls,
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: notTls,
  ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: broken,
  ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC: broken,
  DEPTH_ZERO_SELF_SIGNED_CERT: stranger,
  SELF_SIGNED_CERT_IN_CHAIN: stranger,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: stranger,
  UNABLE_TO_GET_ISSUER_CERT: stranger,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: stranger,
  CERT_SIGNATURE_FAILURE: stranger,
  CERT_UNTRUSTED: stranger,
  CERT_REVOKED: stranger,
  INVALID_PURPOSE: stranger,
  HOSTNAME_MISMATCH: stranger,
  ERR_TLS_CERT_ALTNAME_INVALID: stranger,
  CERT_HAS_EXPIRED: row('CERTIFICATE_MISMATCH', 'no', 'The server’s certificate has expired; nothing was sent.'),
  CERT_NOT_YET_VALID: row(
    'CERTIFICATE_MISMATCH',
    'no',
    'The server’s certificate is not valid yet: one of the two clocks is wrong. Nothing was sent.',
  ),
};

/** Codes that stand for a family: the first prefix that fits. */
export const networkFailureFamilies: readonly (readonly [prefix: string, row: FailureRow])[] = [
  ['ERR_SSL_', notTls],
  ['ERR_TLS_', notTls],
  ['HPE_', notHttp],
];

/** By status, for answers that are no problem of a fallback server: a proxy's own pages, or another server altogether. */
export const statusFailures: Readonly<Record<number, FailureRow>> = {
  407: row('PROTOCOL', 'no', 'A proxy on the way asks for a login.'),
  408: row('TIMEOUT', 'yes', 'Something on the way did not wait for the request.'),
  413: row('LIMIT_EXCEEDED', 'no', 'A reverse proxy refuses bodies of this size (nginx: client_max_body_size).'),
  421: row('PROTOCOL', 'no', 'Another server answers at this address.'),
  429: row('RATE_LIMITED', 'yes', 'Something on the way limits the rate of requests.'),
  500: row('SERVER_ERROR', 'yes', 'The server failed.'),
  502: row('UNREACHABLE', 'yes', 'A reverse proxy answers, and the fallback server behind it does not.'),
  503: row('UNREACHABLE', 'yes', 'A reverse proxy answers, and the fallback server behind it does not.'),
  504: row('TIMEOUT', 'yes', 'A reverse proxy answers, and the fallback server behind it did not in time.'),
  507: row('SERVER_FULL', 'no', 'The server’s disk is full.'),
};

/** Any other status without a problem, and an expected status with a body that no fallback server sends. */
export const foreignAnswer = row('PROTOCOL', 'no', 'What answers at this address is not a fallback server.');

/** Codes that a server may answer with, and whether the same request is sent again. Any other code is a foreign answer. */
export const answerCodes: Readonly<Partial<Record<ErrorCode, Repeat>>> = {
  REQUEST_INVALID: 'no',
  DIGEST_MISMATCH: 'twice',
  UNAUTHORIZED: 'no',
  PAIRING_INVALID: 'no',
  FORBIDDEN: 'no',
  NOT_FOUND: 'no',
  TIMEOUT: 'yes',
  CONFLICT: 'no',
  ALREADY_EXISTS: 'no',
  FENCED: 'no',
  LEASE_LOST: 'no',
  PACKS_MISSING: 'no',
  LIMIT_EXCEEDED: 'no',
  FORMAT_INVALID: 'no',
  FORMAT_UNSUPPORTED: 'no',
  BUSY: 'no',
  RATE_LIMITED: 'yes',
  SERVER_ERROR: 'yes',
  DAMAGED: 'no',
  STORE_LOCKED: 'yes',
  QUOTA_EXCEEDED: 'no',
  SERVER_FULL: 'no',
};

/** A row as a failure. */
export function failureOf(
  found: FailureRow,
  cause?: unknown,
  details: Readonly<Record<string, unknown>> = {},
): Failure {
  return { error: new FallbackError(found.code, found.message, { cause, details }), repeat: found.repeat };
}

const wantsAddress: ReadonlySet<ErrorCode> = new Set(['UNREACHABLE', 'TIMEOUT', 'PROTOCOL', 'CERTIFICATE_MISMATCH']);

/** `host:port` as it stands in a URL. */
export const hostAndPort = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

/** The same failure; which address was tried is among its facts where looking at it is part of the cure. */
export function failureAt(failure: Failure, host: string, port: number): Failure {
  const { code, message, hint, cause, details } = failure.error;
  if (!wantsAddress.has(code)) return failure;
  const facts = { ...details, server: hostAndPort(host, port) };
  return { ...failure, error: new FallbackError(code, message, { hint, cause, details: facts }) };
}

function codesOf(error: unknown): string[] {
  const codes: string[] = [];
  let at: unknown = error;
  for (let depth = 0; depth < 4 && at instanceof Error; depth++) {
    // A connection that was tried on several addresses fails with all their errors: the first tells enough.
    if (at instanceof AggregateError && at.errors.length > 0) codes.push(...codesOf(at.errors[0]));
    const code: unknown = (at as NodeJS.ErrnoException).code;
    if (typeof code === 'string') codes.push(code);
    at = at.cause;
  }
  return codes;
}

/** Classifies what a connection or a request threw. Undefined: a defect, not the network. */
export function classifyNetworkError(error: unknown): Failure | undefined {
  for (const code of codesOf(error)) {
    const found = networkFailures[code] ?? networkFailureFamilies.find(([prefix]) => code.startsWith(prefix))?.[1];
    if (found !== undefined) return failureOf(found, error, { network: code });
  }
  return undefined;
}
