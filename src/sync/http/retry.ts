// Repetition: exponential back-off with full jitter, bounded in time, Retry-After honoured.

import { AttemptFailed } from './attempt-failed.ts';
import type { ClientEnvironment } from './client-environment.ts';
import type { ClientLimits } from './client-limits.ts';

export interface RetryOptions {
  readonly environment: ClientEnvironment;
  readonly limits: ClientLimits;
  readonly repeatable: boolean;
  /** Whether the server has ever answered: then it is worth waiting for. */
  readonly reached: () => boolean;
  /** Ends the wait. */
  readonly signal: AbortSignal;
}

/**
 * Runs `attempt` until it succeeds, fails for good, or the time for trying is used up; then its last error is thrown.
 * What counts is the time spent waiting and on failures that came fast: an upload that broke after an hour has not used it up.
 */
export async function retry<Result>(attempt: () => Promise<Result>, options: RetryOptions): Promise<Result> {
  const { environment, limits, repeatable, reached, signal } = options;
  let spentMs = 0;
  for (let failures = 0; ; failures++) {
    const startedMs = environment.monotonicMs();
    try {
      return await attempt();
    } catch (thrown) {
      if (!(thrown instanceof AttemptFailed)) throw thrown;
      const { error, repeat, retryAfterMs } = thrown.failure;
      if (!repeatable || repeat === 'no' || signal.aborted) throw error;
      if (repeat === 'twice' && failures >= limits.digestRetriesMax) throw error;
      spentMs += Math.min(limits.connectMs, environment.monotonicMs() - startedMs);
      const ceilingMs = Math.min(limits.retryDelayMsMax, limits.retryDelayMsMin * 2 ** Math.min(failures, 20));
      const askedMs = Math.min(limits.retryAfterMsMax, retryAfterMs ?? 0);
      // Never below the asked time, and never all clients at once.
      const delayMs = askedMs + Math.max(limits.retryDelayMsMin / 4, environment.randomFraction() * ceilingMs);
      spentMs += delayMs;
      if (spentMs > (reached() ? limits.retryReachedMs : limits.retryUnreachedMs)) throw error;
      try {
        await environment.sleep(delayMs, signal);
      } catch {
        throw error;
      }
    }
  }
}
