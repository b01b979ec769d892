// Takes YunoHost's JSON apart without trusting it: what is not as expected is told apart from what is missing.
import { FallbackError } from '../../errors/fallback-error.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An answer that is not what YunoHost gives. */
export function unexpectedAnswer(command: string, what: string): FallbackError {
  return new FallbackError('YUNOHOST_FAILED', `yunohost ${command} answered without ${what}.`, {
    hint: 'This YunoHost may be of a version that fallback does not know. Update fallback, or report this.',
    details: { command, reason: 'answer' },
  });
}

/** @throws YUNOHOST_FAILED when `value` is no object. */
export function objectOf(value: unknown, command: string, what: string): JsonObject {
  if (isObject(value)) return value;
  throw unexpectedAnswer(command, what);
}

/** The texts of an array; undefined when it is none, other items left out. */
export function textsOf(value: unknown): string[] | undefined {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : undefined;
}

export const textOr = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);

export const numberOr = (value: unknown, otherwise: number): number =>
  typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
