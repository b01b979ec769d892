// Whether stretches of a file are what they were: each is read and compared by its tag, in the thread that has the time.
import { readSync } from 'node:fs';
import { equalBytes } from '../../bytes/hex.ts';
import type { RepositoryKeys } from '../../crypto/key-hierarchy.ts';
import { SpanTagger, spanTagBytes } from '../../crypto/span-tag.ts';

/** Compares spans of an open file with their tags. */
export interface CompareTask {
  readonly kind: 'compare';
  readonly descriptor: number;
  /** Where each span begins in the file. */
  readonly starts: Float64Array;
  readonly lengths: Uint32Array;
  /** 16 bytes each. */
  readonly tags: Uint8Array;
}

/** Compares the spans of one thread's tasks. */
export class SpanComparer {
  readonly #tagger: SpanTagger;
  #buffer: Uint8Array = new Uint8Array(0);

  constructor({ spanTag }: Pick<RepositoryKeys, 'spanTag'>) {
    this.#tagger = new SpanTagger(spanTag);
  }

  /** @returns whether all of them are what they were; false also when the file cannot be read. */
  run({ descriptor, starts, lengths, tags }: CompareTask): boolean {
    for (const [index, start] of starts.entries()) {
      const bytes = this.#read(descriptor, start, lengths[index] ?? 0);
      if (bytes === undefined) return false;
      this.#tagger.update(bytes);
      const wanted = tags.subarray(index * spanTagBytes, (index + 1) * spanTagBytes);
      if (!equalBytes(this.#tagger.end(), wanted)) return false;
    }
    return true;
  }

  #read(descriptor: number, start: number, length: number): Uint8Array | undefined {
    if (this.#buffer.byteLength < length) this.#buffer = Buffer.allocUnsafeSlow(length);
    try {
      for (let at = 0; at < length; ) {
        const bytes = readSync(descriptor, this.#buffer, at, length - at, start + at);
        if (bytes === 0) return undefined;
        at += bytes;
      }
    } catch {
      // Whoever reads it next says what is wrong with it.
      return undefined;
    }
    return this.#buffer.subarray(0, length);
  }
}
