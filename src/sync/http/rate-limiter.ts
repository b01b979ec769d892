// A token bucket for --limit-upload and --limit-download, shared by all connections: first come, first served, no burst beyond a tenth of a second.
import type { ClientEnvironment } from './client-environment.ts';

/** Bytes may pass at a steady rate. */
export interface RateLimiter {
  /** The largest piece that should be asked for at once, in bytes. */
  readonly pieceBytesMax: number;
  readonly bytesPerSecond: number;
  /** What may pass at once after a pause, in bytes. */
  readonly burstBytes: number;
  /** Resolves when `bytes` may pass. @param signal ends the wait; its reason is thrown. */
  take(bytes: number, signal?: AbortSignal): Promise<void>;
  /** Bytes that passed without having been asked for (heads, encryption): the next ones wait for them too. */
  charge(bytes: number): void;
}

/** Over three seconds this is 3 % above the rate; and it makes up for timers that come up to 0.1 s late. */
const burstSeconds = 0.1;

class TokenBucket implements RateLimiter {
  readonly pieceBytesMax: number;
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
  readonly #bytesPerMs: number;
  readonly #environment: ClientEnvironment;
  #level: number;
  #atMs: number;
  #last: Promise<void> = Promise.resolve();

  constructor(bytesPerSecond: number, environment: ClientEnvironment) {
    this.bytesPerSecond = bytesPerSecond;
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.burstBytes = bytesPerSecond * burstSeconds;
    // A fifth of the burst: several pieces fit into it, so that a late timer is made up for and the rate is kept.
    this.pieceBytesMax = Math.max(512, Math.floor(this.burstBytes / 5));
    this.#environment = environment;
    this.#level = 0;
    this.#atMs = environment.monotonicMs();
  }

  #refill(): void {
    const nowMs = this.#environment.monotonicMs();
    this.#level = Math.min(this.burstBytes, this.#level + (nowMs - this.#atMs) * this.#bytesPerMs);
    this.#atMs = nowMs;
  }

  charge(bytes: number): void {
    this.#refill();
    this.#level -= bytes;
  }

  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const turn = this.#last.then(() => this.#takeNow(bytes, signal));
    // One that gives up must not hold up those behind it.
    this.#last = turn.catch(() => {});
    await turn;
  }

  async #takeNow(bytes: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.#refill();
    // The bytes are taken before they have gathered, and waited for: a piece larger than the bucket passes too.
    this.#level -= bytes;
    while (this.#level < 0) {
      try {
        await this.#environment.sleep(Math.max(1, -this.#level / this.#bytesPerMs), signal);
      } catch (error) {
        this.#level += bytes;
        throw error;
      }
      this.#refill();
    }
  }
}

/** @param kibPerSecond in KiB (1024 bytes) a second, above zero. */
export function createRateLimiter(kibPerSecond: number, environment: ClientEnvironment): RateLimiter {
  if (!(kibPerSecond > 0)) throw new RangeError(`not a rate: ${kibPerSecond}`);
  return new TokenBucket(kibPerSecond * 1024, environment);
}
