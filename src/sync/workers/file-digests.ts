// SHA-256 of files that are being written out of order: one thread reads back, as far as it goes, what all threads wrote. What is
// hashed is what the file gives back, not what was meant to go in.
import { createHash, type Hash } from 'node:crypto';
import { readSync } from 'node:fs';
import { FallbackError } from '../../errors/fallback-error.ts';
import { mapFsError } from '../../fs/map-fs-error.ts';

/** Fits into a core's own cache, where it is hashed. */
const pieceBytes = 256 * 1024;

interface RunningDigest {
  readonly hash: Hash;
  hashedBytes: number;
}

/** Goes on with the SHA-256 of a file; all tasks of one file go to one thread, in order. */
export interface FileDigestTask {
  readonly kind: 'file-digest';
  /** Unlike that of any other file or archive of this process. */
  readonly archive: number;
  readonly descriptor: number;
  /** So far everything is written. */
  readonly end: number;
  /** Whether this is all of it. */
  readonly isLast: boolean;
}

/** The digests of one thread. */
export class FileDigests {
  readonly #running = new Map<number, RunningDigest>();
  #buffer: Uint8Array | undefined;

  #of(archive: number): RunningDigest {
    const known = this.#running.get(archive);
    if (known !== undefined) return known;
    const running = { hash: createHash('sha256'), hashedBytes: 0 };
    this.#running.set(archive, running);
    return running;
  }

  /** @returns the SHA-256, when it was the last task. @throws IO. */
  run({ archive, descriptor, end, isLast }: FileDigestTask): Uint8Array | undefined {
    const running = this.#of(archive);
    if (isLast) this.#running.delete(archive);
    while (running.hashedBytes < end) {
      const piece = this.#read(descriptor, running.hashedBytes, end);
      running.hash.update(piece);
      running.hashedBytes += piece.byteLength;
    }
    return isLast ? new Uint8Array(running.hash.digest()) : undefined;
  }

  #read(descriptor: number, start: number, end: number): Uint8Array {
    this.#buffer ??= Buffer.allocUnsafeSlow(pieceBytes);
    const wanted = Math.min(pieceBytes, end - start);
    let bytes: number;
    try {
      bytes = readSync(descriptor, this.#buffer, 0, wanted, start);
    } catch (error) {
      throw mapFsError(error, 'read the restored file again');
    }
    if (bytes === 0)
      throw new FallbackError('IO', 'A restored file was cut short by somebody else while it was written.');
    return this.#buffer.subarray(0, bytes);
  }
}
