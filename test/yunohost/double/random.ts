// Deterministic bytes, numbers and words from a seed: the same seed, the same server.
import { createCipheriv, createHash } from 'node:crypto';

const vocabulary =
  'server mail backup archive night garden river window letter summer winter photo table music paper mountain coffee family travel house bread story light water friend market'.split(
    ' ',
  );

/** A stream of pseudo-random bytes (AES-CTR over zeros), named by a seed and a label. */
export class Random {
  readonly #cipher;

  constructor(seed: number, label: string) {
    const key = createHash('sha256').update(`${seed} ${label}`).digest();
    this.#cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  }

  bytes(length: number): Buffer {
    return this.#cipher.update(Buffer.alloc(length));
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    return limit <= 1 ? 0 : this.bytes(4).readUInt32LE() % limit;
  }

  /** Words until there are about `length` characters. */
  text(length: number): string {
    const words: string[] = [];
    for (let size = 0; size < length; ) {
      const word = vocabulary[this.below(vocabulary.length)] ?? 'word';
      words.push(word);
      size += word.length + 1;
    }
    return words.join(' ');
  }
}
