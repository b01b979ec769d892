// Where a worker takes a pack's bytes from: memory that was handed over, or an open file that it reads itself.
import { readSync } from 'node:fs';
import { freeBytes } from '../../bytes/free-bytes.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import { limits } from '../../format/limits.ts';
import { isUnreadable, mapFsError } from '../../fs/map-fs-error.ts';

/** A pack's file, open in this process. */
export interface PackFile {
  readonly descriptor: number;
  readonly sizeBytes: number;
}

/** A pack as it lies in the store; bytes are given away with it. */
export type PackSource = Uint8Array | PackFile;

/** A pack's size as it lies in the store. */
export const sourceBytes = (source: PackSource): number =>
  source instanceof Uint8Array ? source.byteLength : source.sizeBytes;

/** Reads the packs of one thread, one after the other, into memory that is used again: fresh memory costs as much as reading. */
export class PackSourceReader {
  #buffer: Uint8Array = new Uint8Array(0);

  /**
   * Runs `work` on a pack's bytes, which are gone afterwards.
   * @throws DAMAGED when the file is cut short, IO, and what `work` throws.
   */
  use<Result>(number: number, source: PackSource, work: (bytes: Uint8Array) => Result): Result {
    if (!(source instanceof Uint8Array)) return work(this.#read(number, source));
    try {
      return work(source);
    } finally {
      freeBytes(source);
    }
  }

  #read(number: number, { descriptor, sizeBytes }: PackFile): Uint8Array {
    if (sizeBytes > limits.packFileBytesMax) {
      throw new FallbackError('LIMIT_EXCEEDED', `Pack ${number} is larger than the format allows.`);
    }
    if (this.#buffer.byteLength < sizeBytes) this.#buffer = Buffer.allocUnsafeSlow(sizeBytes);
    for (let at = 0; at < sizeBytes; ) {
      const bytes = readPiece(number, descriptor, this.#buffer, at, sizeBytes - at);
      if (bytes === 0) {
        const text = `Pack ${number} is damaged on the fallback server: its file is cut short.`;
        throw new FallbackError('DAMAGED', text, { details: { pack: number } });
      }
      at += bytes;
    }
    return this.#buffer.subarray(0, sizeBytes);
  }
}

function readPiece(number: number, descriptor: number, buffer: Uint8Array, at: number, bytes: number): number {
  try {
    return readSync(descriptor, buffer, at, bytes, at);
  } catch (error) {
    const failure = mapFsError(error, `read pack ${number}`);
    if (!isUnreadable(failure)) throw failure;
    const text = `Pack ${number} is damaged on the fallback server: the disk cannot read its file.`;
    throw new FallbackError('DAMAGED', text, { details: { pack: number } });
  }
}
