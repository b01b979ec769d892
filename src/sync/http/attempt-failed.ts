// How a failed attempt travels from the request to the retry loop.
import type { Failure } from './classify-failure.ts';

/** Carries a failure up to the retry loop, which unwraps it. */
export class AttemptFailed extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.error.message, { cause: failure.error });
    this.failure = failure;
  }
}
