// Every way to damage a small byte string, and what must come of it.
import assert from 'node:assert/strict';
import { equalBytes, toHex } from '../../src/bytes/hex.ts';
import type { ErrorCode } from '../../src/errors/error-codes.ts';
import { FallbackError } from '../../src/errors/fallback-error.ts';

/** All copies of `bytes` with one bit flipped, and where (in bytes). */
export function* bitFlips(bytes: Uint8Array): Generator<{ readonly at: number; readonly bytes: Uint8Array }> {
  for (let at = 0; at < bytes.byteLength; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const copy = new Uint8Array(bytes);
      copy[at] = (copy[at] ?? 0) ^ (1 << bit);
      yield { at, bytes: copy };
    }
  }
}

/** All prefixes of `bytes`, the whole left out, each in memory of its own length. */
export function* truncations(bytes: Uint8Array): Generator<Uint8Array> {
  for (let length = 0; length < bytes.byteLength; length++) yield bytes.slice(0, length);
}

/** `bytes` with `more` behind them. */
export const withTail = (bytes: Uint8Array, ...more: readonly number[]): Uint8Array =>
  new Uint8Array([...bytes, ...more]);

/** What `call` returns, or the code of the FallbackError it throws; anything else it throws is a defect and goes on. */
export function outcome<T>(call: () => T): { readonly value: T } | { readonly code: ErrorCode } {
  try {
    return { value: call() };
  } catch (error) {
    if (error instanceof FallbackError) return { code: error.code };
    throw error;
  }
}

/** Asserts that `call` throws a FallbackError with one of `codes`. */
export function assertRefused(call: () => unknown, codes: readonly ErrorCode[], what = ''): void {
  const result = outcome(call);
  if ('code' in result && codes.includes(result.code)) return;
  assert.fail(`${what} must be refused with ${codes.join(' or ')}, got ${'code' in result ? result.code : 'data'}`);
}

/**
 * Asserts that `decode` takes one form only: every single-bit flip of `bytes` is refused, or decodes to something that
 * encodes to exactly the flipped bytes. @returns the offsets whose flips are accepted, ascending.
 */
export function assertCanonical<T>(
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
): number[] {
  const free = new Set<number>();
  for (const flip of bitFlips(bytes)) {
    const result = outcome(() => decode(flip.bytes));
    if ('code' in result) continue;
    const again = encode(result.value);
    assert.ok(equalBytes(again, flip.bytes), `two forms, byte ${flip.at}: ${toHex(flip.bytes)} and ${toHex(again)}`);
    free.add(flip.at);
  }
  return [...free];
}

/** The numbers from `first` up to `end`, `end` excluded. */
export const span = (first: number, end: number): number[] =>
  Array.from({ length: end - first }, (_, index) => first + index);
