// Bounds how many of something are under way.

/** Hands out `permits` permits, first come first served. */
export class Semaphore {
  #permits: number;
  readonly #queue: (() => void)[] = [];

  constructor(permits: number) {
    this.#permits = permits;
  }

  /** How many wait for a permit. */
  get waiting(): number {
    return this.#queue.length;
  }

  async acquire(): Promise<void> {
    if (this.#permits > 0) {
      this.#permits--;
      return;
    }
    await new Promise<void>((resolve) => this.#queue.push(resolve));
  }

  release(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#permits++;
    else next();
  }
}
