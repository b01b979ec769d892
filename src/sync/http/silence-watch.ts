// Ends a request when nothing moves for too long; a request that moves, however slowly, is never ended.
import { FallbackError } from '../../errors/fallback-error.ts';

/** A watch over one attempt. Its signal aborts with TIMEOUT. */
export class SilenceWatch {
  readonly #abort = new AbortController();
  readonly #silenceMs: number;
  #timer: NodeJS.Timeout | undefined;
  #extraMs = 0;
  #isOver = false;

  constructor(silenceMs: number, outer: AbortSignal) {
    this.#silenceMs = silenceMs;
    if (outer.aborted) this.#abort.abort(outer.reason);
    else outer.addEventListener('abort', this.#onOuter, { once: true });
    this.#removeOuter = () => outer.removeEventListener('abort', this.#onOuter);
    this.touch();
  }

  readonly #removeOuter: () => void;
  readonly #onOuter = (event: Event): void => this.#abort.abort((event.target as AbortSignal).reason);

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Something moved. @param extraMs is added to the time until the next move, for what cannot be seen. */
  touch(extraMs = 0): void {
    // For every piece of 16 KiB: a new timer would cost five times as much.
    if (this.#timer !== undefined && extraMs === this.#extraMs) {
      this.#timer.refresh();
      return;
    }
    this.pause();
    this.#extraMs = extraMs;
    // A body that is still read after an early answer must not keep the process alive for another minute.
    if (this.#isOver) return;
    this.#timer = setTimeout(() => {
      const seconds = Math.round((this.#silenceMs + extraMs) / 1000);
      this.#abort.abort(new FallbackError('TIMEOUT', `Nothing came from the server for ${seconds} seconds.`));
    }, this.#silenceMs + extraMs);
  }

  /** The wait is ours (a rate limit): the clock stands still until the next touch. */
  pause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  end(): void {
    this.#isOver = true;
    this.pause();
    this.#removeOuter();
  }
}
