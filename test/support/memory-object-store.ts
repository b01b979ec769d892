// Objects in memory: the slow, readable twin of the folder.
import { FallbackError } from '../../src/errors/fallback-error.ts';
import type { ObjectDraft, ObjectKey, ObjectReading, ObjectStore } from '../../src/store/object-store.ts';

/** Objects in a map. */
export class MemoryObjectStore implements ObjectStore {
  readonly #objects = new Map<ObjectKey, Uint8Array>();

  async begin(): Promise<ObjectDraft> {
    const parts: Uint8Array[] = [];
    const objects = this.#objects;
    return {
      get writtenBytes() {
        return parts.reduce((sum, part) => sum + part.byteLength, 0);
      },
      async write(bytes) {
        parts.push(new Uint8Array(bytes));
      },
      async publish(key) {
        if (objects.has(key)) return 'exists';
        objects.set(key, new Uint8Array(Buffer.concat(parts)));
        return 'published';
      },
      async discard() {},
    };
  }

  async open(key: ObjectKey): Promise<ObjectReading> {
    const bytes = this.#objects.get(key);
    if (bytes === undefined) throw new FallbackError('NOT_FOUND', `There is no ${key}.`);
    return {
      sizeBytes: bytes.byteLength,
      read: async ({ start, end }) => bytes.slice(start, end),
      close: async () => undefined,
    };
  }

  async readStart(key: ObjectKey, bytesMax: number): Promise<Uint8Array> {
    return await (await this.open(key)).read({ start: 0, end: bytesMax });
  }

  async stat(key: ObjectKey): Promise<number | undefined> {
    return this.#objects.get(key)?.byteLength;
  }

  async list(prefix: string): Promise<readonly ObjectKey[]> {
    const found = new Set<string>();
    for (const key of this.#objects.keys()) {
      if (!key.startsWith(prefix)) continue;
      const end = key.indexOf('/', prefix.length);
      found.add(end < 0 ? key : key.slice(0, end + 1));
    }
    return [...found].sort();
  }

  async settle(): Promise<void> {}

  async replace(key: ObjectKey, bytes: Uint8Array): Promise<void> {
    this.#objects.set(key, new Uint8Array(bytes));
  }

  async quarantine(key: ObjectKey, repository: string): Promise<ObjectKey | undefined> {
    const bytes = this.#objects.get(key);
    if (bytes === undefined) return undefined;
    const name = `${repository}quarantine/${key.slice(key.lastIndexOf('/') + 1)}`;
    let target = name;
    for (let count = 1; this.#objects.has(target); count++) target = `${name}.${count}`;
    this.#objects.set(target, bytes);
    this.#objects.delete(key);
    return target;
  }

  async remove(keys: readonly ObjectKey[]): Promise<void> {
    for (const key of keys) this.#objects.delete(key);
  }

  async freeBytes(): Promise<number> {
    return 2 ** 40;
  }
}
