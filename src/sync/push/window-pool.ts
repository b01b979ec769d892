// The windows that archives are read into: slices of the chunker's shared memory, reused, bounded.
import type { Chunker, CutList, SpanList } from '../../chunker/chunker.ts';
import { Semaphore } from './semaphore.ts';

/** One window: its bytes, the cuts that the chunker found in it, and the ids that a worker wrote. */
export interface Window {
  /** Where it begins in the chunker's pool. */
  readonly startByte: number;
  readonly bytes: Buffer<SharedArrayBuffer>;
  readonly cuts: CutList & { readonly spans: SpanList };
  /** 32 bytes for each cut, in shared memory. */
  readonly ids: Buffer<SharedArrayBuffer>;
  /** The same memory as 32-bit words. */
  readonly words: Uint32Array<SharedArrayBuffer>;
}

/** A fixed number of windows, handed out one at a time. */
export class WindowPool {
  readonly #free: Window[] = [];
  readonly #permits: Semaphore;
  /** Windows that two hold: the first release only ends that. */
  readonly #shared = new Set<Window>();

  /** @param windowBytes at least the chunker's `windowBytesMin`. */
  constructor(chunker: Chunker, windowBytes: number) {
    const count = Math.floor(chunker.pool.byteLength / windowBytes);
    const cutsMax = chunker.cutsMax(windowBytes);
    for (let index = 0; index < count; index++) {
      const startByte = index * windowBytes;
      const ids = Buffer.from(new SharedArrayBuffer(cutsMax * 32));
      this.#free.push({
        startByte,
        bytes: Buffer.from(chunker.pool.buffer, chunker.pool.byteOffset + startByte, windowBytes),
        cuts: {
          ends: new Uint32Array(cutsMax),
          kinds: new Uint8Array(cutsMax),
          count: 0,
          spans: { ids, known: new Uint8Array(cutsMax), knownCount: 0, ends: [] },
        },
        ids,
        words: new Uint32Array(ids.buffer),
      });
    }
    this.#permits = new Semaphore(count);
  }

  async acquire(): Promise<Window> {
    await this.#permits.acquire();
    const window = this.#free.pop();
    if (window === undefined) throw new RangeError('no free window');
    return window;
  }

  /** From now on two hold the window, and both release it. */
  share(window: Window): void {
    this.#shared.add(window);
  }

  release(window: Window): void {
    if (this.#shared.delete(window)) return;
    this.#free.push(window);
    this.#permits.release();
  }
}
