// What the store takes from outside: main.ts builds the real ones, tests their own.
import { toHex } from '../bytes/hex.ts';

export interface Environment {
  /** Milliseconds since 1970. It may jump in both directions; nothing here trusts it further than it must. */
  nowMs(): number;
  /** `count` bytes from a cryptographic source. */
  randomBytes(count: number): Uint8Array;
}

/** 16 random bytes in hexadecimal. */
export function randomName(environment: Environment): string {
  return toHex(environment.randomBytes(16));
}
