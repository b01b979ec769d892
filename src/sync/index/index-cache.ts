// The client's copy of the sealed directories: what the index is built from without asking the server. A cache: deleted,
// stale or corrupt, it is rebuilt, and since every record is sealed, a damaged one is never believed.
import { open as openFile, stat } from 'node:fs/promises';
import { ByteWriter } from '../../bytes/byte-writer.ts';
import { idBytes, type RepositoryId } from '../../format/ids.ts';
import { limits } from '../../format/limits.ts';
import { decodePackHeader, packHeaderBytes } from '../../format/pack.ts';

const headBytes = 64;
const readBytes = 4 * 1024 * 1024;
const flushBytes = 1024 * 1024;
/** An id, its chunk's length, and a share of head, seal and padding. */
const chunkBytesAbout = 35;

function encodeHead(repositoryId: RepositoryId, generation: string): Uint8Array {
  const writer = new ByteWriter(headBytes).bytes(Buffer.from('FBIX')).u8(1).zeros(3).bytes(idBytes(repositoryId));
  writer.bytes(Buffer.from(generation.padEnd(40).slice(0, 40), 'latin1'));
  return writer.finish();
}

/** A cache file opened for reading its records and appending new ones. */
export class IndexCache {
  readonly #path: string;
  readonly #head: Uint8Array;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #endByte: number | undefined;

  /** @param generation of the server's records: a cache of another generation is void. */
  constructor(path: string, repositoryId: RepositoryId, generation: string) {
    this.#path = path;
    this.#head = encodeHead(repositoryId, generation);
  }

  /** About how many chunks its records list; 0 when there is no cache. */
  async expectedChunks(): Promise<number> {
    const bytes = await stat(this.#path).then(
      ({ size }) => size,
      () => 0,
    );
    return Math.floor(bytes / chunkBytesAbout);
  }

  /**
   * All whole records: header and sealed directory of one pack each, valid until the next is asked for.
   * Ends without error where the file stops making sense; what follows is overwritten by the next append.
   */
  async *records(): AsyncGenerator<Uint8Array> {
    this.#endByte = 0;
    const file = await openFile(this.#path, 'r').catch(() => undefined);
    if (file === undefined) return;
    try {
      let buffer = Buffer.allocUnsafe(readBytes);
      let filled = 0;
      let fileByte = 0;
      let isHead = true;
      for (;;) {
        const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, fileByte);
        fileByte += bytesRead;
        filled += bytesRead;
        let at = 0;
        if (isHead) {
          if (filled < headBytes || Buffer.compare(buffer.subarray(0, headBytes), this.#head) !== 0) return;
          at = headBytes;
          this.#endByte = headBytes;
          isHead = false;
        }
        for (;;) {
          const length = recordLength(buffer.subarray(at, filled));
          if (length === 'invalid') return;
          if (length === undefined || at + length > filled) break;
          yield buffer.subarray(at, at + length);
          at += length;
          this.#endByte += length;
        }
        if (bytesRead === 0) return;
        const rest = filled - at;
        const larger = rest > buffer.length / 2 ? Buffer.allocUnsafe(buffer.length * 2) : buffer;
        buffer.copy(larger, 0, at, filled);
        buffer = larger;
        filled = rest;
      }
    } finally {
      await file.close();
    }
  }

  /** Keeps a record, and writes what has gathered now and then: only of packs that the server has acknowledged. */
  append(record: Uint8Array): void {
    this.#pending.push(new Uint8Array(record));
    this.#pendingBytes += record.byteLength;
    // A failed write is no loss; the next flush tells of it.
    if (this.#pendingBytes >= flushBytes) this.flush().catch(() => undefined);
  }

  /** Forgets everything: the next flush writes a new file. */
  reset(): void {
    this.#endByte = 0;
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  /** Writes what was appended behind the last whole record. A failure is no loss: the cache is rebuilt another time. */
  flush(): Promise<void> {
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    if (this.#pending.length === 0 && this.#endByte !== 0) return;
    const start = this.#endByte ?? 0;
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    const file = await openFile(this.#path, start === 0 ? 'w' : 'r+', 0o600);
    try {
      const bytes = Buffer.concat(start === 0 ? [this.#head, ...pending] : pending);
      await file.truncate(start);
      await file.write(bytes, 0, bytes.length, start);
      this.#endByte = start + bytes.length;
    } finally {
      await file.close();
    }
  }
}

function recordLength(bytes: Uint8Array): number | undefined | 'invalid' {
  if (bytes.byteLength < packHeaderBytes) return undefined;
  try {
    const length = packHeaderBytes + decodePackHeader(bytes).directoryBytes;
    return length <= packHeaderBytes + limits.packDirectoryBytesMax ? length : 'invalid';
  } catch {
    return 'invalid';
  }
}
