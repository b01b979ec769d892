// What is known of packs that the store has lost. Of more than one night can heal some are kept, drawn by lot: else the same ones, whose
// chunks never go by again, could stand in the way of all others for ever.
import type { RandomBytes } from '../../crypto/seal.ts';
import { copyOf, type KnownPack } from './known-pack.ts';

/** So many chunks of lost packs are kept in memory, 50 MB: far more than one night heals. */
export const lostChunksMax = 2 ** 18;

/** Packs by number. */
export class LostPacks {
  readonly packs = new Map<number, KnownPack>();
  readonly #numbers: number[] = [];
  readonly #randomBytes: RandomBytes;
  #chunks = 0;

  constructor(randomBytes: RandomBytes) {
    this.#randomBytes = randomBytes;
  }

  get isFull(): boolean {
    return this.#chunks >= lostChunksMax;
  }

  /** A later record of a pack replaces an earlier one. */
  add(pack: KnownPack): void {
    const before = this.packs.get(pack.number);
    if (before === undefined) this.#numbers.push(pack.number);
    this.#chunks += pack.lengths.length - (before?.lengths.length ?? 0);
    this.packs.set(pack.number, copyOf(pack));
    while (this.#chunks > lostChunksMax) this.#drop();
  }

  #drop(): void {
    const at = Buffer.from(this.#randomBytes(6)).readUIntBE(0, 6) % this.#numbers.length;
    const number = this.#numbers[at] ?? 0;
    this.#numbers[at] = this.#numbers.at(-1) ?? 0;
    this.#numbers.pop();
    this.#chunks -= this.packs.get(number)?.lengths.length ?? 0;
    this.packs.delete(number);
  }
}
