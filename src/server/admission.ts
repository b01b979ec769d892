// Who may ask how much at one time: requests in all and per token, those without a token, failed attempts per address.
import { RequestRefused } from './problem.ts';
import type { ServerLimits } from './server-limits.ts';

/** What an address is counted as: an IPv4 address, or the /64 of an IPv6 address, which one household or server owns. */
export function addressKey(address: string | undefined): string {
  const text = (address ?? 'unknown').replace(/^::ffff:(?=\d+\.)/, '').slice(0, 64);
  if (!text.includes(':')) return text;
  const [head = '', tail] = text.split('::');
  const left = head.split(':').filter((group) => group !== '');
  const right = tail === undefined ? [] : tail.split(':').filter((group) => group !== '');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...Array<string>(zeros).fill('0'), ...right].slice(0, 4).join(':');
}

/** Counts what runs under each key; a key without any costs nothing. */
class Counts {
  readonly #counts = new Map<string, number>();

  tryEnter(key: string, max: number): boolean {
    const count = this.#counts.get(key) ?? 0;
    if (count >= max) return false;
    this.#counts.set(key, count + 1);
    return true;
  }

  leave(key: string): void {
    const count = this.#counts.get(key) ?? 0;
    if (count <= 1) this.#counts.delete(key);
    else this.#counts.set(key, count - 1);
  }
}

/** The gate that every request passes. */
export class Admission {
  readonly #limits: ServerLimits;
  readonly #requests = new Counts();
  readonly #open = new Counts();
  #total = 0;

  constructor(limits: ServerLimits) {
    this.#limits = limits;
  }

  /** @returns what to call when the request is over. @throws RATE_LIMITED (503) when the server has too many. */
  enter(): () => void {
    if (this.#total >= this.#limits.requestsMax) {
      throw new RequestRefused(503, 'RATE_LIMITED', 'The server has too many requests.', { 'retry-after': '1' });
    }
    this.#total++;
    return () => {
      this.#total--;
    };
  }

  /**
   * The gates of requests that need no valid token: whoever keeps those waiting takes nothing from those that have one. Recovery has
   * a gate of its own: whoever keeps pairings waiting must not stop a rescue.
   * @returns what to call when the request is over. @throws RATE_LIMITED (503 in all, 429 of this address).
   */
  enterOpen(address: string | undefined, gate: 'recovery' | 'other'): () => void {
    const { openRequestsMax, openRequestsPerAddressMax } = this.#limits;
    const retry = { 'retry-after': '1' };
    if (!this.#open.tryEnter(gate, openRequestsMax)) {
      throw new RequestRefused(503, 'RATE_LIMITED', 'The server has too many requests without a token.', retry);
    }
    const key = `${gate} ${addressKey(address)}`;
    if (!this.#open.tryEnter(key, openRequestsPerAddressMax)) {
      this.#open.leave(gate);
      throw new RequestRefused(429, 'RATE_LIMITED', 'This address has too many requests without a token.', retry);
    }
    return () => {
      this.#open.leave(gate);
      this.#open.leave(key);
    };
  }

  /** @returns what to call when the request is over. @throws RATE_LIMITED when this token has too many. */
  enterToken(key: string): () => void {
    if (!this.#requests.tryEnter(key, this.#limits.requestsPerTokenMax)) {
      throw new RequestRefused(429, 'RATE_LIMITED', 'This token has too many requests at once.', {
        'retry-after': '1',
      });
    }
    return () => this.#requests.leave(key);
  }
}

/**
 * Failed attempts of each address: a bucket that fills by one a failure and is forgiven with time. A valid token is always
 * let in, whatever its address did before: else a stranger behind the same router could lock a server out.
 */
export class FailedAttempts {
  readonly #limits: ServerLimits;
  readonly #monotonicMs: () => number;
  readonly #attempts = new Map<string, { count: number; atMs: number }>();

  constructor(limits: ServerLimits, monotonicMs: () => number) {
    this.#limits = limits;
    this.#monotonicMs = monotonicMs;
  }

  /** Notes a failure. @throws RATE_LIMITED when the address has had too many. */
  note(address: string | undefined): void {
    const { failedAttemptForgivenMs, failedAttemptsMax, failedAddressesMax } = this.#limits;
    const key = addressKey(address);
    const nowMs = this.#monotonicMs();
    const known = this.#attempts.get(key);
    const forgiven = known === undefined ? 0 : (nowMs - known.atMs) / failedAttemptForgivenMs;
    const count = Math.max(0, (known?.count ?? 0) - forgiven);
    const tooMany = Math.ceil(count) >= failedAttemptsMax;
    this.#attempts.delete(key);
    this.#attempts.set(key, { count: tooMany ? count : count + 1, atMs: nowMs });
    // The oldest is forgotten first: a table that an attacker can grow must have an end.
    const oldest = this.#attempts.size > failedAddressesMax ? this.#attempts.keys().next().value : undefined;
    if (oldest !== undefined) this.#attempts.delete(oldest);
    if (!tooMany) return;
    const waitSeconds = Math.ceil((Math.max(1, count - failedAttemptsMax + 1) * failedAttemptForgivenMs) / 1000);
    throw new RequestRefused(429, 'RATE_LIMITED', 'Too many failed attempts from this address.', {
      'retry-after': String(waitSeconds),
    });
  }
}

/**
 * Memory for bodies that are taken whole (packs are not). Small ones are free: requests are counted anyway. Each holder has one
 * at a time: what is announced counts before it has come, and one token could take it all.
 */
export class BodyMemory {
  readonly #limits: ServerLimits;
  readonly #holders = new Set<string>();
  #takenBytes = 0;

  constructor(limits: ServerLimits) {
    this.#limits = limits;
  }

  /** @returns what to call when the bytes are let go. @throws RATE_LIMITED (503 in all, 429 of this holder). */
  take(bytes: number, holder: string): () => void {
    if (bytes <= this.#limits.freeBodyBytes) return () => {};
    if (this.#holders.has(holder)) {
      const retry = { 'retry-after': '2' };
      throw new RequestRefused(429, 'RATE_LIMITED', 'This token is sending another snapshot already.', retry);
    }
    if (this.#takenBytes + bytes > this.#limits.bodyMemoryBytesMax) {
      throw new RequestRefused(503, 'RATE_LIMITED', 'The server is taking too many snapshots.', { 'retry-after': '2' });
    }
    this.#takenBytes += bytes;
    this.#holders.add(holder);
    return () => {
      this.#takenBytes -= bytes;
      this.#holders.delete(holder);
    };
  }
}
