// Numbers for new packs, above every number that this machine has sealed a pack under, whether the store acknowledged it or not: the
// upload of a push that was killed may still arrive, and a hostile store could make a client seal a second pack under a number by failing
// the first (THREAT-MODEL.md, T6).
import { dirname } from 'node:path';
import { ByteWriter } from '../../bytes/byte-writer.ts';
import { isFallbackError } from '../../errors/fallback-error.ts';
import type { RepositoryId } from '../../format/ids.ts';
import { limits } from '../../format/limits.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { cacheHead, cacheHeadBytes, readCacheFile } from '../index/cache-file.ts';

/** Numbers that are marked as used ahead of their use, so that the mark is seldom written. */
const block = 64;
/** A store takes numbers that run ahead by 10,000. Only after hundreds of killed pushes in a row would the mark lie further ahead: then it is passed over. */
const aheadMax = 5_000;
const markFile = { bytesMax: 1024, what: 'mark of pack numbers' };

/** The file beside the index: "FBPN" and the rest of a cache's head, varint highest number. */
const headOf = (repository: RepositoryId): Uint8Array => cacheHead('FBPN', 1, repository);

/** Hands out pack numbers, ascending. */
export class PackNumbers {
  readonly #path: string;
  readonly #head: Uint8Array;
  readonly #randomHex: () => string;
  #next: number;
  #marked: number;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, head: Uint8Array, randomHex: () => string, next: number) {
    this.#path = path;
    this.#head = head;
    this.#randomHex = randomHex;
    this.#next = next;
    this.#marked = next - 1;
  }

  /** @param firstPack the lease's: no number below it is free. */
  static async open(
    indexPath: string,
    repository: RepositoryId,
    firstPack: number,
    randomHex: () => string,
  ): Promise<PackNumbers> {
    const path = `${indexPath}.numbers`;
    const head = headOf(repository);
    const mark = (await readCacheFile(path, head, markFile, (reader) => reader.varint(limits.packNumberMax))) ?? 0;
    const next = mark >= firstPack && mark < firstPack + aheadMax ? mark + 1 : firstPack;
    return new PackNumbers(path, head, randomHex, next);
  }

  /** Sees that some numbers ahead are marked as used, durably, before `take` gives them out. A full disk is no reason not to push. */
  async prepare(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      if (this.#next + block / 4 > this.#marked) await this.#mark(this.#next + block);
    });
    await this.#writing;
  }

  take(): number {
    return this.#next++;
  }

  /** Gives back what was marked and not used. */
  async close(): Promise<void> {
    await this.#writing;
    if (this.#next - 1 < this.#marked) await this.#mark(this.#next - 1);
  }

  async #mark(number: number): Promise<void> {
    this.#marked = number;
    const bytes = new ByteWriter(cacheHeadBytes + 8).bytes(this.#head).varint(number).finish();
    const random = this.#randomHex();
    await replaceFile(nodeFileSystem, this.#path, bytes, dirname(this.#path), random).catch((error: unknown) => {
      if (!isFallbackError(error)) throw error;
    });
  }
}
