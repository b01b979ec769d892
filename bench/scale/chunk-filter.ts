// The first step towards an index of a hundred million chunks that does not lie in memory: a filter that tells new chunks from
// known ones, so that only known ones cost a look at the disk. A process of its own, so that its memory is its own:
//   node chunk-filter.ts CHUNKS  →  FilterFigures as JSON
import { SeededRandom } from '../nights/random.ts';

/** A blocked Bloom filter: all bits of an id lie in one cache line of 64 bytes. */
export class ChunkFilter {
  readonly #words: Int32Array;
  readonly #blocks: number;

  /** @param chunks that it will hold. @param bitsPerChunk 10 let one new chunk in a hundred through. */
  constructor(chunks: number, bitsPerChunk: number) {
    this.#blocks = Math.ceil((chunks * bitsPerChunk) / 512);
    this.#words = new Int32Array(this.#blocks * 16);
  }

  get bytes(): number {
    return this.#words.byteLength;
  }

  #blockOf(ids: Uint32Array, word: number): number {
    return Math.floor(((ids[word] ?? 0) * this.#blocks) / 2 ** 32) * 16;
  }

  // Six bits, each by nine bits of the id: three from each of two further words.
  add(ids: Uint32Array, word: number): void {
    const block = this.#blockOf(ids, word);
    for (let next = 1; next <= 2; next++) {
      for (let bits = ids[word + next] ?? 0, left = 3; left > 0; left--, bits >>>= 9) {
        const at = block + ((bits >>> 5) & 15);
        this.#words[at] = (this.#words[at] ?? 0) | (1 << (bits & 31));
      }
    }
  }

  /** False only for an id that was never added. */
  mayHave(ids: Uint32Array, word: number): boolean {
    const block = this.#blockOf(ids, word);
    for (let next = 1; next <= 2; next++) {
      for (let bits = ids[word + next] ?? 0, left = 3; left > 0; left--, bits >>>= 9) {
        if (((this.#words[block + ((bits >>> 5) & 15)] ?? 0) & (1 << (bits & 31))) === 0) return false;
      }
    }
    return true;
  }
}

export interface FilterFigures {
  readonly filterBytes: number;
  readonly addMs: number;
  /** For a million known and a million new ids each. */
  readonly knownMs: number;
  readonly newMs: number;
  /** Share of new ids that it takes for known ones. */
  readonly wrongShare: number;
}

const asked = 1_000_000;
const idWords = 8;
const batch = 10_000;

/** Calls `work` for `count` random ids, the same ones for the same seed; the time that it took, without making them. */
function eachId(seed: string, count: number, work: (ids: Uint32Array, word: number) => void): number {
  const random = new SeededRandom(seed);
  let ms = 0;
  for (let done = 0; done < count; done += batch) {
    const bytes = new Uint8Array(random.bytes(batch * idWords * 4));
    const ids = new Uint32Array(bytes.buffer);
    const start = performance.now();
    for (let word = 0; word < ids.length; word += idWords) work(ids, word);
    ms += performance.now() - start;
  }
  return ms;
}

function measure(chunks: number): FilterFigures {
  const filter = new ChunkFilter(chunks, 10);
  const addMs = eachId('known', chunks, (ids, word) => filter.add(ids, word));
  let found = 0;
  const count = (ids: Uint32Array, word: number): void => {
    if (filter.mayHave(ids, word)) found++;
  };
  const knownMs = eachId('known', asked, count);
  if (found !== asked) throw new Error(`the filter lost ${asked - found} ids`);
  found = 0;
  const newMs = eachId('new', asked, count);
  return { filterBytes: filter.bytes, addMs, knownMs, newMs, wrongShare: found / asked };
}

if (process.argv[2] !== undefined) console.log(JSON.stringify(measure(Number(process.argv[2]))));
