// What may be spent on sending chunks of half-dead packs again: a share of what is new, so that nights stay what they were.
import type { PackKind } from './pack-writer.ts';

/** So much of what is sent anyway may be sent again. */
export const resentShareMax = 0.09;
/** And, however little a night sends, this share of what the last one read: 45 KB of 900 MB. */
export const resentReadShareMax = 1 / 20_000;
/** A night that goes as usual may spend its share by the time it has earned a quarter of it: what comes by early counts too. */
const aheadMax = 4;
/** About what a byte of contents costs when it is sent, by kind: compressible chunks, incompressible ones, metadata. */
const costs = [0.25, 1, 0.6] as const;

/** What nights may spend, in bytes as they are sent; handed on from push to push. */
export interface ResentBudget {
  /** What a night earns, the last ones weighing most; 0 while there was only a first push. */
  readonly averageEarnedBytes: number;
  /** What every night may spend, earned or not. */
  readonly freeBytes: number;
  /** What earlier nights spent and did not earn. */
  readonly debtBytes: number;
}

export const noResentBudget: ResentBudget = { averageEarnedBytes: 0, freeBytes: 0, debtBytes: 0 };

/** The account of one push: what is new pays for what is sent again, while it goes by. */
export class ResentAccount {
  readonly #budget: ResentBudget;
  #earnedBytes = 0;
  #spentBytes = 0;

  constructor(budget: ResentBudget) {
    this.#budget = budget;
  }

  /** Whether a chunk can be paid for now. */
  canPay(kind: PackKind, bytes: number): boolean {
    const { averageEarnedBytes, freeBytes, debtBytes } = this.#budget;
    const earned = this.#earnedBytes;
    const allowed = freeBytes - debtBytes + Math.min(earned * aheadMax, Math.max(earned, averageEarnedBytes));
    return this.#spentBytes + costs[kind] * bytes <= allowed;
  }

  /** A chunk was sent that the store did not have. */
  earn(kind: PackKind, bytes: number): void {
    this.#earnedBytes += costs[kind] * bytes * resentShareMax;
  }

  /** A chunk was sent again. */
  spend(kind: PackKind, bytes: number): void {
    this.#spentBytes += costs[kind] * bytes;
  }

  /** What the next night may count on. @param isFirst nothing is learnt about nights from a first push. */
  next(readBytes: number, isFirst: boolean): ResentBudget {
    const { averageEarnedBytes, freeBytes, debtBytes } = this.#budget;
    const earned = isFirst ? 0 : this.#earnedBytes;
    return {
      averageEarnedBytes: averageEarnedBytes === 0 ? earned : (3 * averageEarnedBytes + earned) / 4,
      freeBytes: readBytes * resentReadShareMax,
      debtBytes: Math.max(0, debtBytes + this.#spentBytes - earned - freeBytes),
    };
  }
}
