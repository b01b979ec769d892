// Writes bytes into a fresh file: neighbours in one call, and zero regions not at all, so that they take no space.
import { writeSync, writevSync } from 'node:fs';

const blockBytes = 64 * 1024;
/** So much is gathered before it is written: a call costs as much as copying 10 KB. */
const gatheredBytesMax = 1024 * 1024;
const gatheredPiecesMax = 256;
const zeros = Buffer.alloc(blockBytes);

function isZero(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0 || bytes[bytes.byteLength - 1] !== 0) return false;
  for (let at = 0; at < bytes.byteLength; at += blockBytes) {
    const piece = bytes.subarray(at, at + blockBytes);
    if (zeros.compare(piece, 0, piece.byteLength, 0, piece.byteLength) !== 0) return false;
  }
  return true;
}

/** Writes to one file. Errors are the kernel's own. */
export class SparseWriter {
  readonly #descriptor: number;
  #pieces: Uint8Array[] = [];
  #start = 0;
  #end = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /**
   * Writes `bytes` at `position`, where nothing was written yet; all zeros, and zero blocks of 64 KiB (aligned in the file), are
   * skipped. The file's length is the caller's to set. The bytes must stay as they are until `flush`.
   */
  write(bytes: Uint8Array, position: number): void {
    if (bytes.byteLength === 0 || isZero(bytes)) return;
    let from = 0;
    let at = Math.min(bytes.byteLength, (blockBytes - (position % blockBytes)) % blockBytes);
    for (; at + blockBytes <= bytes.byteLength; at += blockBytes) {
      if (!isZero(bytes.subarray(at, at + blockBytes))) continue;
      this.#gather(bytes.subarray(from, at), position + from);
      from = at + blockBytes;
    }
    this.#gather(bytes.subarray(from), position + from);
  }

  #gather(bytes: Uint8Array, position: number): void {
    if (bytes.byteLength === 0) return;
    if (position !== this.#end) this.flush();
    if (this.#pieces.length === 0) this.#start = position;
    this.#pieces.push(bytes);
    this.#end = position + bytes.byteLength;
    if (this.#end - this.#start >= gatheredBytesMax || this.#pieces.length >= gatheredPiecesMax) this.flush();
  }

  /** Writes what was gathered. */
  flush(): void {
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    this.#pieces = [];
    let written = pieces.length === 1 ? 0 : writevSync(this.#descriptor, pieces, this.#start);
    let position = this.#start;
    for (const piece of pieces) {
      // What a call left over, as on a full disk, the next one writes or says why not.
      for (let at = Math.min(written, piece.byteLength); at < piece.byteLength; ) {
        at += writeSync(this.#descriptor, piece, at, piece.byteLength - at, position + at);
      }
      written = Math.max(0, written - piece.byteLength);
      position += piece.byteLength;
    }
  }
}
