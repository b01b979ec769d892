// Which errors say that what the store gave is damaged or lost, rather than that it could not be reached.
import type { ErrorCode } from '../../errors/error-codes.ts';
import { type FallbackError, isFallbackError } from '../../errors/fallback-error.ts';

const damageCodes: ReadonlySet<ErrorCode> = new Set([
  'DAMAGED',
  'SEAL_BROKEN',
  'FORMAT_INVALID',
  'FORMAT_UNSUPPORTED',
  'LIMIT_EXCEEDED',
  'NOT_FOUND',
  'TRUST_REPOSITORY',
]);

/** Whether asking again would give the same: the object is lost, or is not what was stored. */
export function isDamage(error: unknown): error is FallbackError {
  return isFallbackError(error) && damageCodes.has(error.code);
}
