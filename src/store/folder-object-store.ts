// Objects as files below one folder, written as src/fs writes them.
import { dirname, join, resolve } from 'node:path';
import { makeFolder } from '../fs/ensure-folder.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { withFsErrors } from '../fs/map-fs-error.ts';
import { beginFile, type FileDraft } from '../fs/publish-file.ts';
import { moveAside } from '../fs/remove-file.ts';
import { replaceFile } from '../fs/replace-file.ts';
import { removeLeftovers } from '../fs/temporary-file.ts';
import { type Environment, randomName } from './environment.ts';
import type { ObjectDraft, ObjectKey, ObjectReading, ObjectStore } from './object-store.ts';
import type { ByteSpan } from './repository-store.ts';

class FolderDraft implements ObjectDraft {
  readonly #store: FolderObjectStore;
  readonly #draft: FileDraft;

  constructor(store: FolderObjectStore, draft: FileDraft) {
    this.#store = store;
    this.#draft = draft;
  }

  get writtenBytes(): number {
    return this.#draft.writtenBytes;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#draft.write(bytes);
  }

  async publish(key: ObjectKey): Promise<'published' | 'exists'> {
    try {
      const path = this.#store.path(key);
      await this.#store.ensureFolderOf(path);
      return await this.#draft.publish(path);
    } finally {
      await this.#draft.discard();
    }
  }

  discard(): Promise<void> {
    return this.#draft.discard();
  }
}

/** The object store in a folder: `root` must exist. Temporary files lie in `repositories/<id>/tmp`. */
export class FolderObjectStore implements ObjectStore {
  readonly #fs: FileSystem;
  readonly #root: string;
  readonly #environment: Environment;
  /** Folders that are there and durable, or will be: whoever puts something into one waits until its own name lasts. */
  readonly #known = new Map<string, Promise<void>>();

  constructor(fs: FileSystem, root: string, environment: Environment) {
    this.#fs = fs;
    this.#root = resolve(root);
    this.#environment = environment;
  }

  /** The absolute path of a key. */
  path(key: ObjectKey): string {
    return join(this.#root, key);
  }

  async ensureFolderOf(path: string): Promise<void> {
    await this.#ensure(dirname(path));
  }

  #ensure(folder: string): Promise<void> {
    const known = this.#known.get(folder);
    if (known !== undefined) return known;
    const made = this.#make(folder).catch((error: unknown) => {
      this.#known.delete(folder);
      throw error;
    });
    this.#known.set(folder, made);
    return made;
  }

  /** Once a process for each folder, also when it is there: a process that was killed may have made it and not synced its parent. */
  async #make(folder: string): Promise<void> {
    if (folder === this.#root) return;
    await this.#ensure(dirname(folder));
    await makeFolder(this.#fs, folder);
  }

  async #temporaryFolder(repository: string): Promise<string> {
    const folder = this.path(`${repository}tmp`);
    await this.#ensure(folder);
    return folder;
  }

  /** Removes the temporary files of dead processes; returns how many. @throws IO. */
  async removeLeftovers(repository: string): Promise<number> {
    const folder = await this.#temporaryFolder(repository);
    return await withFsErrors('remove temporary files', () => removeLeftovers(this.#fs, folder));
  }

  async begin(repository: string): Promise<ObjectDraft> {
    const folder = await this.#temporaryFolder(repository);
    return new FolderDraft(this, await beginFile(this.#fs, folder, randomName(this.#environment)));
  }

  async open(key: ObjectKey): Promise<ObjectReading> {
    return await withFsErrors(`open ${key}`, async () => {
      const file = await this.#fs.openFile(this.path(key));
      try {
        const sizeBytes = await file.sizeBytes();
        return {
          sizeBytes,
          descriptor: file.descriptor,
          read: (span: ByteSpan) =>
            withFsErrors(`read ${key}`, async () => {
              // Not zeroed: that would be a fifth of what a server does for a restore. Only what was read is handed out.
              const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(span.end, sizeBytes) - span.start));
              return bytes.subarray(0, await file.read(bytes, span.start));
            }),
          close: () => file.close(),
        };
      } catch (error) {
        await file.close();
        throw error;
      }
    });
  }

  readStart(key: ObjectKey, bytesMax: number): Promise<Uint8Array> {
    return withFsErrors(`read ${key}`, () => this.#fs.readStart(this.path(key), bytesMax));
  }

  async stat(key: ObjectKey): Promise<number | undefined> {
    const facts = await withFsErrors(`look at ${key}`, () => this.#fs.facts(this.path(key)));
    return facts?.type === 'file' ? facts.sizeBytes : undefined;
  }

  async list(prefix: string): Promise<readonly ObjectKey[]> {
    const folder = this.path(prefix);
    return await withFsErrors(`list ${prefix}`, async () => {
      if ((await this.#fs.facts(folder))?.type !== 'folder') return [];
      const entries = await this.#fs.list(folder);
      return entries.map((entry) => prefix + entry.name + (entry.isFolder ? '/' : '')).sort();
    });
  }

  async settle(key: ObjectKey): Promise<void> {
    const folder = dirname(this.path(key));
    await this.#ensure(folder);
    await withFsErrors(`sync ${key}`, () => this.#fs.syncFolder(folder));
  }

  async replace(key: ObjectKey, bytes: Uint8Array, repository: string): Promise<void> {
    const folder = await this.#temporaryFolder(repository);
    await replaceFile(this.#fs, this.path(key), bytes, folder, randomName(this.#environment));
  }

  async quarantine(key: ObjectKey, repository: string): Promise<ObjectKey | undefined> {
    const prefix = `${repository}quarantine/`;
    await this.#ensure(this.path(`${repository}quarantine`));
    const name = key.slice(key.lastIndexOf('/') + 1);
    const moved = await moveAside(this.#fs, this.path(key), this.path(prefix), name);
    return moved === undefined ? undefined : prefix + moved;
  }

  async remove(keys: readonly ObjectKey[]): Promise<void> {
    const paths = keys.map((key) => this.path(key));
    await withFsErrors('remove files', () => this.#fs.unlinkAll(paths));
    for (const folder of new Set(paths.map((path) => dirname(path)))) {
      await withFsErrors('remove files', async () => {
        if ((await this.#fs.facts(folder)) !== undefined) await this.#fs.syncFolder(folder);
      });
    }
  }

  async freeBytes(): Promise<number> {
    return await withFsErrors('ask for free space', () => this.#fs.freeBytes(this.#root));
  }
}
