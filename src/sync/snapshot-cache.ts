// The client's copy of sealed snapshot files, so that listing them fetches only those that are new. A cache: deleted, stale or
// corrupt, it is filled again; a file of it is used only where its SHA-256 is the one that the store announces.
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import { toHex } from '../bytes/hex.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { readWholeFile } from '../fs/read-file.ts';
import { replaceFile } from '../fs/replace-file.ts';
import type { SnapshotSummary } from '../store/repository-store.ts';

/** A cache file beyond this is neither read nor written: some thousand snapshots. */
const cacheBytesMax = 64 * 1024 * 1024;
const lengthBytes = 4;

const nameOf = (file: Uint8Array): string => createHash('sha256').update(file).digest('hex');

/** Snapshot files, each after its length (u32, little endian), up to where the bytes stop making sense. */
function splitFiles(bytes: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + lengthBytes <= bytes.byteLength; ) {
    const end = at + lengthBytes + view.getUint32(at, true);
    if (end > bytes.byteLength) break;
    const file = bytes.subarray(at + lengthBytes, end);
    files.set(nameOf(file), file);
    at = end;
  }
  return files;
}

function joinFiles(files: Iterable<Uint8Array>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const file of files) {
    const length = Buffer.alloc(lengthBytes);
    length.writeUInt32LE(file.byteLength);
    parts.push(length, file);
  }
  return Buffer.concat(parts);
}

/** Snapshot files by their SHA-256, kept in one file of the client's folder. */
export class SnapshotCache {
  readonly #fs: FileSystem;
  readonly #path: string;
  readonly #files: Map<string, Uint8Array>;
  #isChanged = false;

  private constructor(fs: FileSystem, path: string, files: Map<string, Uint8Array>) {
    this.#fs = fs;
    this.#path = path;
    this.#files = files;
  }

  /** The cache at `path`; empty when there is none that can be read. */
  static async open(fs: FileSystem, path: string): Promise<SnapshotCache> {
    const bytes = await readWholeFile(fs, path, cacheBytesMax).catch(() => new Uint8Array(0));
    return new SnapshotCache(fs, path, splitFiles(bytes));
  }

  /** The file whose SHA-256 the store announces. */
  find({ sha256 }: Pick<SnapshotSummary, 'sha256'>): Uint8Array | undefined {
    return this.#files.get(toHex(sha256));
  }

  /** Keeps a file that was opened and found to be what the store announced. */
  add(file: Uint8Array): void {
    this.#files.set(nameOf(file), file);
    this.#isChanged = true;
  }

  /**
   * Forgets what is listed no more, and writes the cache if anything changed. A failure is no loss: it is filled another time.
   * @param random hexadecimal, new for each call.
   */
  async save(listed: readonly SnapshotSummary[], random: string): Promise<void> {
    const names = new Set(listed.map(({ sha256 }) => toHex(sha256)));
    for (const name of this.#files.keys()) {
      if (names.has(name)) continue;
      this.#files.delete(name);
      this.#isChanged = true;
    }
    if (!this.#isChanged) return;
    const bytes = joinFiles(this.#files.values());
    if (bytes.byteLength > cacheBytesMax) return;
    await replaceFile(this.#fs, this.#path, bytes, dirname(this.#path), random).catch(() => undefined);
  }
}
