// How hard a pack is compressed: harder while the line is what a push waits for, less while it is the processors.

/**
 * zstd levels that are each worth their step. On a night's new chunks level 6 sends 3 % less than 3, and 9 and 12 next to nothing less
 * than 6; on a first push level 1 sends 2 % more than 3 in half the time.
 */
const ladder = [1, 3, 6, 9, 12] as const;
/** A night has few new bytes: so many are compressed at level 6 whatever it waits for. */
const nightBytesMax = 32 * 1024 * 1024;
const nightStep = 2;
/** So many packs in a row must have waited for the line: one alone may have waited for a server that was busy. */
const waitsMin = 4;

/** What a push waits for, when a pack is about to be compressed. */
export interface PackQueues {
  /** Sealed packs without a place among the uploads. */
  readonly sealedWaiting: number;
  /** Packs that are full and not sealed yet, this one not counted. */
  readonly unsealedWaiting: number;
}

/** Chooses the level of one pack after the other. */
export class CompressionLevel {
  #step: number;
  #nightBytesLeft: number;
  #waits = 0;

  /** @param isFirst whether the store had no chunk before: then all is new, and on a fast line the processors are what it waits for. */
  constructor(isFirst: boolean) {
    this.#step = isFirst ? 0 : nightStep;
    this.#nightBytesLeft = isFirst ? 0 : nightBytesMax;
  }

  /** The level for a pack of `contentsBytes`. */
  next(contentsBytes: number, { sealedWaiting, unsealedWaiting }: PackQueues): number {
    const waitsForLine = sealedWaiting > 0 && unsealedWaiting === 0;
    this.#waits = waitsForLine ? this.#waits + 1 : 0;
    if (this.#waits >= waitsMin) {
      this.#step = Math.min(this.#step + 1, ladder.length - 1);
      this.#waits = 0;
    } else if (!waitsForLine && this.#nightBytesLeft <= 0) {
      this.#step = Math.max(this.#step - 1, 0);
    }
    this.#nightBytesLeft -= contentsBytes;
    return ladder[this.#step] ?? 1;
  }
}
