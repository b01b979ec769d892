// The index in memory: chunk id → (pack, position). Open addressing, entries of 20 bytes and no object each, in 256 tables that
// grow each by itself. What memory is read at random decides: 300 ns a place in hundreds of megabytes. So packs are first only
// appended, each chunk to its table, and the tables are put in order one after the other, in the processor's cache.

const tablesLog2 = 8;
const tableCount = 1 << tablesLog2;
const entryWords = 5;
const idWordCount = 8;
const capacityMin = 16;
/** A table grows by a quarter once it is fuller than this: it is 0.68 to 0.85 full, and 25 to 29 bytes a chunk are taken. */
const loadMax = 0.85;
const growth = 1.25;
/** How full tables are made whose number of chunks is known beforehand: room for chance, and for a night. */
const loadExpected = 0.78;

// An entry: 109 bits of the id and the place. The table's number stands for the upper 8 bits of the id's first word.
//   0  lower 24 bits of word 0, upper 8 of word 3   1  word 1   2  word 2   3  lower 32 bits of the pack's number
//   4  position (16), upper 8 bits of the pack's number, lower 5 bits of word 3, 1 used, 1 taken
const lowMask = 0x00ffffff;
const tailMask = 0x1f;
const tailShift = 24;
const tailBits = tailMask << tailShift;
const placeMask = 0x00ffffff;
const usedBit = 1 << 29;
const takenBit = 1 << 30;

/** Where a chunk lies; filled by `find`, so that a hit makes no object. */
export interface ChunkPlace {
  pack: number;
  position: number;
}

const noTable = new Int32Array(0);

/**
 * Maps chunk ids to places. Only 109 of an id's 256 bits are kept: ids are HMAC outputs, so two of a thousand million chunks share
 * them with probability 2^-50, and an archive's SHA-256 would tell.
 */
export class ChunkIndex {
  readonly #tables: Int32Array<ArrayBuffer>[] = new Array<Int32Array<ArrayBuffer>>(tableCount).fill(noTable);
  readonly #counts = new Uint32Array(tableCount);
  readonly #capacityStart: number;
  #size = 0;
  /** Until then a table holds its entries one after the other, some perhaps twice. */
  #isInOrder = false;
  /** The entry that `find` or `set` touched last. */
  #lastTable: Int32Array = noTable;
  #lastAt = 0;

  /** @param expectedChunks makes room for this many; memory is taken as they come. */
  constructor(expectedChunks = 0) {
    this.#capacityStart = Math.max(capacityMin, Math.ceil(expectedChunks / tableCount / loadExpected));
  }

  get size(): number {
    this.#putInOrder();
    return this.#size;
  }

  /** Where in its table an id stands, or the free place where it belongs. Tables are in the order of the ids' second word. */
  #placeOf(table: Int32Array, k0: number, w1: number, w2: number, tail: number): number {
    const length = table.length;
    let at = Math.floor(((w1 >>> 0) * (length / entryWords)) / 2 ** 32) * entryWords;
    for (;;) {
      const packed = table[at + 4] ?? 0;
      if (packed === 0) return at;
      if (table[at + 2] === w2 && table[at] === k0 && table[at + 1] === w1 && (packed & tailBits) === tail) return at;
      at += entryWords;
      if (at === length) at = 0;
    }
  }

  /**
   * Finds an id.
   * @param ids 32-byte ids as 32-bit words; `word` is where this one begins.
   * @returns whether it is known; then `place` says where.
   */
  find(ids: Uint32Array, word: number, place: ChunkPlace): boolean {
    if (!this.#isInOrder) this.#putInOrder();
    const w0 = (ids[word] ?? 0) | 0;
    const w3 = (ids[word + 3] ?? 0) | 0;
    const table = this.#tables[w0 >>> (32 - tablesLog2)] ?? noTable;
    if (table.length === 0) return false;
    const k0 = (w0 & lowMask) | (w3 & ~lowMask);
    const tail = (w3 & tailMask) << tailShift;
    const at = this.#placeOf(table, k0, (ids[word + 1] ?? 0) | 0, (ids[word + 2] ?? 0) | 0, tail);
    const packed = table[at + 4] ?? 0;
    if (packed === 0) return false;
    this.#lastTable = table;
    this.#lastAt = at;
    place.position = packed & 0xffff;
    place.pack = packOf(table, at);
    return true;
  }

  /** Adds an id, or moves it to another place. @param pack below 2^40, @param position at most 65,535. */
  set(ids: Uint32Array, word: number, pack: number, position: number): void {
    if (!this.#isInOrder) this.#putInOrder();
    const w0 = (ids[word] ?? 0) | 0;
    const w1 = (ids[word + 1] ?? 0) | 0;
    const w2 = (ids[word + 2] ?? 0) | 0;
    const w3 = (ids[word + 3] ?? 0) | 0;
    const number = w0 >>> (32 - tablesLog2);
    let table = this.#tables[number] ?? noTable;
    if (((this.#counts[number] ?? 0) + 1) * entryWords > table.length * loadMax) table = this.#grow(number);
    const k0 = (w0 & lowMask) | (w3 & ~lowMask);
    const tail = (w3 & tailMask) << tailShift;
    const at = this.#placeOf(table, k0, w1, w2, tail);
    const before = table[at + 4] ?? 0;
    if (before === 0) {
      this.#counts[number] = (this.#counts[number] ?? 0) + 1;
      this.#size++;
    }
    table[at] = k0;
    table[at + 1] = w1;
    table[at + 2] = w2;
    table[at + 3] = pack | 0;
    table[at + 4] = packedOf(pack, position) | tail | (before & usedBit);
    this.#lastTable = table;
    this.#lastAt = at;
  }

  /**
   * Adds all chunks of a pack. Of chunks that lie in several packs the one in the pack with the highest number is found, whatever
   * the order in which they are added: that is where the newest snapshot looks for it.
   * @param ids 32 bytes each, by position. @param holes positions that the pack lacks.
   */
  addPack(ids: Uint32Array, pack: number, holes: ArrayLike<number>): void {
    const count = ids.length / idWordCount;
    const lower = pack | 0;
    const packed = packedOf(pack, 0);
    let nextHole = 0;
    for (let position = 0, word = 0; position < count; position++, word += idWordCount) {
      if (holes[nextHole] === position) {
        nextHole++;
        continue;
      }
      if (this.#isInOrder) {
        this.#setIfNewer(ids, word, pack, position);
        continue;
      }
      const w0 = (ids[word] ?? 0) | 0;
      const w3 = (ids[word + 3] ?? 0) | 0;
      const number = w0 >>> (32 - tablesLog2);
      const entry = this.#counts[number] ?? 0;
      let table = this.#tables[number] ?? noTable;
      const at = entry * entryWords;
      if (at === table.length) table = this.#lengthen(number);
      table[at] = (w0 & lowMask) | (w3 & ~lowMask);
      table[at + 1] = (ids[word + 1] ?? 0) | 0;
      table[at + 2] = (ids[word + 2] ?? 0) | 0;
      table[at + 3] = lower;
      table[at + 4] = packed | ((w3 & tailMask) << tailShift) | position;
      this.#counts[number] = entry + 1;
    }
  }

  #setIfNewer(ids: Uint32Array, word: number, pack: number, position: number): void {
    const place: ChunkPlace = { pack: 0, position: 0 };
    if (!this.find(ids, word, place) || place.pack <= pack) this.set(ids, word, pack, position);
  }

  /** Marks the chunk that the last `find` found or `set` set. @returns true the first time. */
  markUsed(): boolean {
    const at = this.#lastAt + 4;
    const before = this.#lastTable[at] ?? 0;
    this.#lastTable[at] = before | usedBit;
    return (before & usedBit) === 0;
  }

  /** More room behind entries that are not in order yet. */
  #lengthen(number: number): Int32Array<ArrayBuffer> {
    const old = this.#tables[number] ?? noTable;
    const table = new Int32Array(this.#capacityAfter(old) * entryWords);
    table.set(old);
    return this.#replace(number, table);
  }

  #capacityAfter(old: Int32Array): number {
    return old.length === 0 ? this.#capacityStart : Math.ceil((old.length / entryWords) * growth);
  }

  #replace(number: number, table: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
    const old = this.#tables[number] ?? noTable;
    this.#tables[number] = table;
    // At once: the collector counts what lies outside its heap late, and old tables would be most of the memory.
    if (old !== noTable) old.buffer.transfer(0);
    return table;
  }

  /** Makes tables of what was appended, one after the other. */
  #putInOrder(): void {
    if (this.#isInOrder) return;
    this.#isInOrder = true;
    let scratch = noTable;
    for (let number = 0; number < tableCount; number++) {
      const count = this.#counts[number] ?? 0;
      if (count === 0) continue;
      let table = this.#tables[number] ?? noTable;
      if (count * entryWords > table.length * loadMax) table = this.#lengthen(number);
      if (scratch.length < table.length)
        scratch = new Int32Array(Math.ceil((table.length / entryWords) * growth) * entryWords);
      const ordered = scratch.subarray(0, table.length);
      const distinct = this.#order(table, count, ordered);
      this.#counts[number] = distinct;
      this.#size += distinct;
      table.set(ordered);
      ordered.fill(0);
    }
  }

  /** Puts `count` entries from the front of `from` where they belong in `table`. @returns how many ids there are. */
  #order(from: Int32Array, count: number, table: Int32Array): number {
    let distinct = 0;
    const end = count * entryWords;
    for (let entry = 0; entry < end; entry += entryWords) {
      const packed = from[entry + 4] ?? 0;
      if (packed === 0) continue;
      const k0 = from[entry] ?? 0;
      const w1 = from[entry + 1] ?? 0;
      const w2 = from[entry + 2] ?? 0;
      const at = this.#placeOf(table, k0, w1, w2, packed & tailBits);
      if (table[at + 4] === 0) distinct++;
      else if (packOf(table, at) > packOf(from, entry)) continue;
      table[at] = k0;
      table[at + 1] = w1;
      table[at + 2] = w2;
      table[at + 3] = from[entry + 3] ?? 0;
      table[at + 4] = packed;
    }
    return distinct;
  }

  /** Moves a table that is in order into a larger one, in its own order: memory is read and written from front to back. */
  #grow(number: number): Int32Array<ArrayBuffer> {
    const old = this.#tables[number] ?? noTable;
    const table = new Int32Array(this.#capacityAfter(old) * entryWords);
    this.#order(old, old.length / entryWords, table);
    return this.#replace(number, table);
  }
}

function packOf(table: Int32Array, at: number): number {
  const upper = ((table[at + 4] ?? 0) & placeMask) >>> 16;
  const lower = (table[at + 3] ?? 0) >>> 0;
  return upper === 0 ? lower : upper * 2 ** 32 + lower;
}

function packedOf(pack: number, position: number): number {
  const upper = pack < 2 ** 32 ? 0 : Math.floor(pack / 2 ** 32) << 16;
  return takenBit | upper | position;
}

/** Ids as 32-bit words, without a copy when they are aligned. */
export function idWords(ids: Uint8Array): Uint32Array {
  if (ids.byteOffset % 4 === 0) return new Uint32Array(ids.buffer, ids.byteOffset, ids.byteLength / 4);
  const copy = new Uint8Array(ids);
  return new Uint32Array(copy.buffer);
}
