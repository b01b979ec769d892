// Room kept for a bad day: a file that is given up when the disk is full, so that what frees space, or restores, has what it needs.
import { join } from 'node:path';
import type { FileSystem } from './file-system.ts';

export const ballastName = 'ballast';
/** Written in pieces of so many bytes. */
const pieceBytes = 1024 * 1024;

export interface BallastRequest {
  readonly folder: string;
  /** 0: none is kept. */
  readonly sizeBytes: number;
  /** What can be neither compressed nor shared: else the file would take no room. */
  readonly randomBytes: (count: number) => Uint8Array;
}

/** The ballast of one folder. No call of it throws: it is an aid, and whatever it was to help says better what is wrong. */
export class Ballast {
  readonly #fs: FileSystem;
  readonly #request: BallastRequest;
  readonly #path: string;

  constructor(fs: FileSystem, request: BallastRequest) {
    this.#fs = fs;
    this.#request = request;
    this.#path = join(request.folder, ballastName);
  }

  /** Gives it up when less than half of it is left on the disk; returns whether there was any. */
  async releaseWhenFull(): Promise<boolean> {
    const freeBytes = await this.#fs.freeBytes(this.#request.folder).catch(() => Number.POSITIVE_INFINITY);
    return freeBytes < this.#request.sizeBytes / 2 && (await this.release());
  }

  /** Gives it up; returns whether there was any. */
  async release(): Promise<boolean> {
    return await this.#fs.unlink(this.#path).then(
      () => true,
      () => false,
    );
  }

  /** Makes it when it is not there, or not whole, and four times its size is free. */
  async fill(): Promise<void> {
    const { folder, sizeBytes } = this.#request;
    try {
      const there = (await this.#fs.facts(this.#path))?.sizeBytes;
      if (there === sizeBytes || (await this.#fs.freeBytes(folder)) < 4 * sizeBytes) return;
      if (there !== undefined) await this.release();
      if (sizeBytes > 0) await this.#write();
    } catch {
      // A read-only disk, one that has filled up meanwhile.
    }
  }

  async #write(): Promise<void> {
    const { sizeBytes, randomBytes } = this.#request;
    const file = await this.#fs.createFile(this.#path);
    try {
      for (let left = sizeBytes; left > 0; left -= pieceBytes) {
        await file.append(randomBytes(Math.min(left, pieceBytes)));
      }
      // Not to last: blocks that were only promised are not there on the day.
      await file.sync();
    } catch (error) {
      await this.release();
      throw error;
    } finally {
      await file.close();
    }
  }
}
