// What the HTTP client takes from outside, so that tests can hold time and chance in their hands.

export interface ClientEnvironment {
  /** Milliseconds that never jump. */
  monotonicMs(): number;
  /** Resolves after so many milliseconds; rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** From 0 to below 1, for the jitter of retries. */
  randomFraction(): number;
}
