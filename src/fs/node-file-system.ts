// The real file system behind the interface of file-system.ts.
import { type BigIntStats, closeSync, constants, open as openDescriptor, read, unlinkSync } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, readdir, rename, statfs, unlink } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FileFacts, FileSystem, OpenFile } from './file-system.ts';
import { giveFolderToFolderOwner, giveToFolderOwner } from './folder-owner.ts';

const readOnly = constants.O_RDONLY | constants.O_NOFOLLOW;
const privateFileMode = 0o600;
const privateFolderMode = 0o700;
/** So long many small calls may hold up all else that this process does. */
const turnMs = 2;

class NodeFile implements OpenFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  get descriptor(): number {
    return this.#handle.fd;
  }

  async append(bytes: Uint8Array): Promise<void> {
    let at = 0;
    while (at < bytes.byteLength) {
      const { bytesWritten } = await this.#handle.write(bytes, at, bytes.byteLength - at, null);
      at += bytesWritten;
    }
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let at = 0;
    while (at < target.byteLength) {
      const { bytesRead } = await this.#handle.read(target, at, target.byteLength - at, position + at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return at;
  }

  async sizeBytes(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  async sync(): Promise<void> {
    await this.#handle.sync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

function typeOf(stats: BigIntStats): FileFacts['type'] {
  if (stats.isFile()) return 'file';
  return stats.isDirectory() ? 'folder' : 'other';
}

/** The machine's file system. */
export const nodeFileSystem: FileSystem = {
  async createFile(path) {
    const handle = await open(
      path,
      constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      privateFileMode,
    );
    try {
      giveToFolderOwner(handle.fd, path);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return new NodeFile(handle);
  },
  async openFile(path) {
    return new NodeFile(await open(path, readOnly));
  },
  readStart(path, bytesMax) {
    // A client may want a million. A handle and a promise for each call cost 67 µs a file; most of that is waking the threads that
    // wait for the disk, and closing what was only read waits for none.
    return new Promise((resolve, reject) => {
      openDescriptor(path, readOnly, (openError, descriptor) => {
        if (openError !== null) {
          reject(openError);
          return;
        }
        const bytes = new Uint8Array(bytesMax);
        read(descriptor, bytes, 0, bytesMax, 0, (readError, count) => {
          try {
            closeSync(descriptor);
            if (readError === null) resolve(bytes.subarray(0, count));
            else reject(readError);
          } catch (closeError) {
            reject(closeError);
          }
        });
      });
    });
  },
  async createFolder(path) {
    await mkdir(path, { mode: privateFolderMode });
    giveFolderToFolderOwner(path);
  },
  link,
  rename,
  unlink,
  async unlinkAll(paths) {
    // Handing a removal to a thread takes longer than the removal: retention may have a million.
    let sinceMs = performance.now();
    for (const path of paths) {
      try {
        unlinkSync(path);
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
      if (performance.now() - sinceMs < turnMs) continue;
      await nextTurn();
      sinceMs = performance.now();
    }
  },
  async syncFolder(path) {
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async list(path) {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }));
  },
  async facts(path) {
    try {
      const stats = await lstat(path, { bigint: true });
      return {
        type: typeOf(stats),
        sizeBytes: Number(stats.size),
        mode: Number(stats.mode & 0o7777n),
        userId: Number(stats.uid),
        groupId: Number(stats.gid),
      };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  },
  async freeBytes(path) {
    const facts = await statfs(path);
    return facts.bavail * facts.bsize;
  },
};
