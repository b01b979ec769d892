// Member names as 64-bit hashes: 17 bytes a name at most, where a Map of texts would take a hundred and more.
import { hash } from 'node:crypto';

const loadMax = 0.7;
const firstCapacity = 1 << 10;

/** Maps names to numbers from 0 to 2^32-2. Two of a million names share a hash with probability 2^-25. */
export class NameTable {
  #high = new Uint32Array(firstCapacity);
  #low = new Uint32Array(firstCapacity);
  /** The number plus one; 0 where nothing is. */
  #numbers = new Uint32Array(firstCapacity);
  #count = 0;

  /** How many names it holds. */
  get size(): number {
    return this.#count;
  }

  #slotOf(high: number, low: number): number {
    const mask = this.#numbers.length - 1;
    let slot = low & mask;
    while (this.#numbers[slot] !== 0 && (this.#low[slot] !== low || this.#high[slot] !== high))
      slot = (slot + 1) & mask;
    return slot;
  }

  /** The number of a name, or -1. */
  get(name: string): number {
    const digest = hash('sha256', name, 'buffer');
    return (this.#numbers[this.#slotOf(digest.readUInt32LE(4), digest.readUInt32LE(0))] ?? 0) - 1;
  }

  /** Gives a name a number. @returns the one that it had before, or -1. */
  set(name: string, number: number): number {
    const digest = hash('sha256', name, 'buffer');
    const low = digest.readUInt32LE(0);
    const high = digest.readUInt32LE(4);
    const slot = this.#slotOf(high, low);
    const before = (this.#numbers[slot] ?? 0) - 1;
    this.#high[slot] = high;
    this.#low[slot] = low;
    this.#numbers[slot] = number + 1;
    if (before < 0 && ++this.#count > this.#numbers.length * loadMax) this.#grow();
    return before;
  }

  #grow(): void {
    const high = this.#high;
    const low = this.#low;
    const numbers = this.#numbers;
    this.#high = new Uint32Array(numbers.length * 2);
    this.#low = new Uint32Array(numbers.length * 2);
    this.#numbers = new Uint32Array(numbers.length * 2);
    for (let old = 0; old < numbers.length; old++) {
      if (numbers[old] === 0) continue;
      const slot = this.#slotOf(high[old] ?? 0, low[old] ?? 0);
      this.#high[slot] = high[old] ?? 0;
      this.#low[slot] = low[old] ?? 0;
      this.#numbers[slot] = numbers[old] ?? 0;
    }
  }
}
