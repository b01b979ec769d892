// Durable publish, FORMAT.md "Write order": a file appears under its name whole and durable, or not at all.
//   1 create a temporary file (O_EXCL)   2 write   3 check the length   4 fsync   5 close
//   6 link to the final name (never overwrites)   7 unlink the temporary name   8 fsync the folder   9 only then return
// Crash before 6: a leftover, removed later. Between 6 and 8: the file is there whole, or not there. After 8: it stays.
import { dirname, join } from 'node:path';
import { FallbackError } from '../errors/fallback-error.ts';
import type { FileSystem, OpenFile } from './file-system.ts';
import { systemErrorCode, withFsErrors } from './map-fs-error.ts';
import { temporaryName } from './temporary-file.ts';

/** A file that is being written and has no name yet. */
export interface FileDraft {
  readonly writtenBytes: number;
  /** Adds bytes at its end. @throws DISK_FULL, IO. */
  write(bytes: Uint8Array): Promise<void>;
  /** Gives it its name, durably; `exists` when the name is taken (the draft is gone then). @throws DISK_FULL, IO. */
  publish(path: string): Promise<'published' | 'exists'>;
  /** Throws it away. Safe at any time. */
  discard(): Promise<void>;
}

class Draft implements FileDraft {
  readonly #fs: FileSystem;
  readonly #path: string;
  #file: OpenFile | undefined;
  #named = true;
  writtenBytes = 0;

  constructor(fs: FileSystem, path: string, file: OpenFile) {
    this.#fs = fs;
    this.#path = path;
    this.#file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const file = this.#file;
    if (file === undefined) throw new Error('a draft was written after its end');
    await withFsErrors('write a file', () => file.append(bytes));
    this.writtenBytes += bytes.byteLength;
  }

  async #finish(): Promise<void> {
    const file = this.#file;
    if (file === undefined) throw new Error('a draft was finished twice');
    const sizeBytes = await file.sizeBytes();
    if (sizeBytes !== this.writtenBytes) {
      throw new FallbackError(
        'IO',
        `A file has ${sizeBytes} bytes after ${this.writtenBytes} were written; it was discarded.`,
      );
    }
    // After a failed fsync the kernel may have dropped the pages and say yes the next time: this file is never synced again.
    await file.sync();
    this.#file = undefined;
    await file.close();
  }

  async publish(path: string): Promise<'published' | 'exists'> {
    try {
      return await withFsErrors('store a file', async () => {
        await this.#finish();
        try {
          await this.#fs.link(this.#path, path);
        } catch (error) {
          if (systemErrorCode(error) === 'EEXIST') return 'exists';
          throw error;
        }
        await this.#removeName();
        await this.#fs.syncFolder(dirname(path));
        return 'published';
      });
    } finally {
      await this.discard();
    }
  }

  async #removeName(): Promise<void> {
    if (!this.#named) return;
    this.#named = false;
    await this.#fs.unlink(this.#path);
  }

  async discard(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    try {
      await file?.close();
      await this.#removeName();
    } catch {
      // A leftover is removed when the store is opened next; the error that brought us here matters more.
    }
  }
}

/**
 * Begins a file that will be published. The temporary file lies in `folder`, on the file system of its final place.
 * @param random hexadecimal, new for each draft.
 * @throws DISK_FULL, IO.
 */
export async function beginFile(fs: FileSystem, folder: string, random: string): Promise<FileDraft> {
  const path = join(folder, temporaryName(random));
  return new Draft(fs, path, await withFsErrors('create a temporary file', () => fs.createFile(path)));
}
