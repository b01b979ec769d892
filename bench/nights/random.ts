// Deterministic randomness for generated nights: the same seed gives the same bytes on every machine.
import { createCipheriv, createHash } from 'node:crypto';

const zeros = Buffer.alloc(1024 * 1024);

/** A stream of random numbers and bytes named by a text. */
export class SeededRandom {
  readonly #cipher;
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(seed: string) {
    const key = createHash('sha256').update(seed).digest();
    this.#cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  }

  /** `count` random bytes. */
  bytes(count: number): Buffer {
    const parts: Buffer[] = [];
    for (let left = count; left > 0; left -= zeros.length)
      parts.push(this.#cipher.update(zeros.subarray(0, Math.min(left, zeros.length))));
    return Buffer.concat(parts);
  }

  /** An integer from 0 to below `bound` (at most 2^32). */
  integer(bound: number): number {
    if (this.#at + 4 > this.#buffer.length) {
      this.#buffer = this.bytes(4096);
      this.#at = 0;
    }
    this.#at += 4;
    return Math.floor((this.#buffer.readUInt32LE(this.#at - 4) / 2 ** 32) * bound);
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.integer(items.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }
}
