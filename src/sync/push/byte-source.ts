// Where an archive's bytes come from: a file, a gzipped file, or a stream. A gzipped one is read as what it holds.

import { createReadStream } from 'node:fs';
import { type FileHandle, open as openFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isGzip } from '../../chunker/detect-gzip.ts';
import { FallbackError } from '../../errors/fallback-error.ts';

/** A stream of bytes of any length, read once from start to end. */
export interface ByteSource {
  /** Length in bytes, when it is known before (for the progress line only). */
  readonly lengthBytes: number | undefined;
  /** The file that these bytes are, when they are one, nothing of it read yet. */
  readonly file: FileBytes | undefined;
  /** Fills `into` as far as it can. @returns how many bytes; 0 only at the end. @throws ARCHIVE_UNREADABLE, ARCHIVE_CHANGED. */
  read(into: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

/** A whole file, open in this process. */
export interface FileBytes {
  readonly descriptor: number;
  readonly sizeBytes: number;
  /** @throws ARCHIVE_CHANGED when it is not as it was when it was opened. */
  checkUnchanged(): Promise<void>;
}

const unreadable = (name: string, cause: unknown): FallbackError =>
  new FallbackError(
    'ARCHIVE_UNREADABLE',
    `${name} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}. The last snapshot is untouched.`,
    { cause },
  );

class FileSource implements ByteSource {
  readonly lengthBytes: number;
  readonly file: FileBytes;
  readonly #name: string;
  readonly #file: FileHandle;
  readonly #modifiedNs: bigint;
  #at = 0;

  constructor(name: string, file: FileHandle, size: bigint, modifiedNs: bigint) {
    this.#name = name;
    this.#file = file;
    this.lengthBytes = Number(size);
    this.#modifiedNs = modifiedNs;
    this.file = {
      descriptor: file.fd,
      sizeBytes: this.lengthBytes,
      checkUnchanged: () => this.#checkUnchanged(this.lengthBytes),
    };
  }

  async read(into: Uint8Array): Promise<number> {
    let filled = 0;
    try {
      while (filled < into.byteLength) {
        const { bytesRead } = await this.#file.read(into, filled, into.byteLength - filled, this.#at);
        if (bytesRead === 0) break;
        filled += bytesRead;
        this.#at += bytesRead;
      }
    } catch (cause) {
      throw unreadable(this.#name, cause);
    }
    if (filled < into.byteLength) await this.#checkUnchanged(this.#at);
    return filled;
  }

  /** @param readBytes how many were read, to the end. */
  async #checkUnchanged(readBytes: number): Promise<void> {
    const now = await this.#file.stat({ bigint: true });
    if (now.mtimeNs === this.#modifiedNs && Number(now.size) === this.lengthBytes && readBytes === this.lengthBytes)
      return;
    throw new FallbackError(
      'ARCHIVE_CHANGED',
      `${this.#name} changed while it was read. The last snapshot is untouched.`,
    );
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** A source over any readable stream. */
export class StreamSource implements ByteSource {
  readonly file = undefined;
  readonly lengthBytes: number | undefined;
  readonly #name: string;
  readonly #stream: Readable;
  readonly #iterator: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  /** @param name for messages. */
  constructor(name: string, stream: Readable, lengthBytes?: number) {
    this.#name = name;
    this.#stream = stream;
    this.#iterator = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    this.lengthBytes = lengthBytes;
  }

  async read(into: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < into.byteLength) {
      if (this.#rest.byteLength === 0) {
        let next: IteratorResult<Uint8Array>;
        try {
          next = await this.#iterator.next();
        } catch (cause) {
          throw unreadable(this.#name, cause);
        }
        if (next.done === true) break;
        this.#rest = next.value;
      }
      const part = this.#rest.subarray(0, into.byteLength - filled);
      into.set(part, filled);
      filled += part.byteLength;
      this.#rest = this.#rest.subarray(part.byteLength);
    }
    return filled;
  }

  async close(): Promise<void> {
    this.#stream.destroy();
    await this.#iterator.return?.();
  }
}

/** Opens a file as a source; a gzipped one, told by its first bytes, is unpacked on the way. @throws ARCHIVE_UNREADABLE. */
export async function openFileSource(path: string): Promise<ByteSource> {
  let file: FileHandle;
  try {
    file = await openFile(path, 'r');
  } catch (cause) {
    throw unreadable(path, cause);
  }
  try {
    const { size, mtimeNs } = await file.stat({ bigint: true });
    const first = new Uint8Array(16);
    const { bytesRead } = await file.read(first, 0, first.byteLength, 0);
    if (!isGzip(first.subarray(0, bytesRead))) return new FileSource(path, file, size, mtimeNs);
  } catch (cause) {
    await file.close();
    throw unreadable(path, cause);
  }
  await file.close();
  const unpacked = createGunzip({ chunkSize: 256 * 1024 });
  // An error of either stream ends the unpacked one, and is told to whoever reads it.
  pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), unpacked, () => undefined);
  return new StreamSource(path, unpacked);
}
