import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { FolderObjectStore } from '../../src/store/folder-object-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { CrashFileSystem } from '../support/crash-file-system.ts';
import { MemoryObjectStore } from '../support/memory-object-store.ts';
import { TestEnvironment } from '../support/temporary-store.ts';
import { rejectsWith } from './repository-conformance.ts';

const repository = 'repositories/0123/';
const key = `${repository}packs/000000000/000000000001.pack`;

function describeObjectStore(name: string, make: () => Promise<ObjectStore>): void {
  const put = async (store: ObjectStore, at: string, text: string): Promise<string> => {
    const draft = await store.begin(repository);
    for (const letter of text) await draft.write(Buffer.from(letter));
    assert.equal(draft.writtenBytes, text.length);
    return await draft.publish(at);
  };
  const get = async (store: ObjectStore, at: string): Promise<string> => {
    const reading = await store.open(at);
    try {
      return Buffer.from(await reading.read({ start: 0, end: reading.sizeBytes })).toString();
    } finally {
      await reading.close();
    }
  };

  describe(`object store: ${name}`, () => {
    test('what is published is there, whole and in spans; what is discarded is not', async () => {
      const store = await make();
      assert.equal(await store.stat(key), undefined);
      await rejectsWith(store.open(key), 'NOT_FOUND');
      await rejectsWith(store.readStart(key, 1), 'NOT_FOUND');
      const draft = await store.begin(repository);
      await draft.write(Buffer.from('never'));
      assert.equal(await store.stat(key), undefined);
      await draft.discard();
      await draft.discard();
      assert.equal(await put(store, key, 'hello'), 'published');
      await store.settle(key);
      assert.equal(await store.stat(key), 5);
      assert.equal(await get(store, key), 'hello');
      const reading = await store.open(key);
      assert.equal(Buffer.from(await reading.read({ start: 1, end: 3 })).toString(), 'el');
      assert.equal((await reading.read({ start: 4, end: 99 })).byteLength, 1);
      for (const [bytesMax, text] of [
        [2, 'he'],
        [5, 'hello'],
        [99, 'hello'],
      ] as const)
        assert.equal(Buffer.from(await store.readStart(key, bytesMax)).toString(), text);
      await store.remove([key]);
      assert.equal(Buffer.from(await reading.read({ start: 0, end: 5 })).toString(), 'hello');
      await reading.close();
    });

    test('nothing is overwritten', async () => {
      const store = await make();
      await put(store, key, 'first');
      assert.equal(await put(store, key, 'second'), 'exists');
      assert.equal(await get(store, key), 'first');
      const outcomes = await Promise.all(['a', 'b', 'c'].map((text) => put(store, `${key}2`, text)));
      assert.deepEqual(outcomes.sort(), ['exists', 'exists', 'published']);
    });

    test('lists are one level deep and in order', async () => {
      const store = await make();
      assert.deepEqual(await store.list(`${repository}packs/`), []);
      for (const one of ['packs/2/b', 'packs/2/a', 'packs/1/c', 'configuration'])
        await put(store, repository + one, 'x');
      assert.deepEqual(await store.list(`${repository}packs/`), [`${repository}packs/1/`, `${repository}packs/2/`]);
      assert.deepEqual(await store.list(`${repository}packs/2/`), [`${repository}packs/2/a`, `${repository}packs/2/b`]);
    });

    test('quarantine keeps every file under a name of its own', async () => {
      const store = await make();
      const names: (string | undefined)[] = [];
      for (const text of ['one', 'two', 'three']) {
        await put(store, key, text);
        names.push(await store.quarantine(key, repository));
      }
      assert.equal(await store.quarantine(key, repository), undefined);
      assert.equal(await store.stat(key), undefined);
      const base = `${repository}quarantine/000000000001.pack`;
      assert.deepEqual(names, [base, `${base}.1`, `${base}.2`]);
      assert.equal(await get(store, `${base}.1`), 'two');
    });

    test('documents are replaced; removal does not mind what is gone', async () => {
      const store = await make();
      await put(store, `${repository}configuration`, 'x');
      await store.replace(`${repository}repository.json`, Buffer.from('one'), repository);
      await store.replace(`${repository}repository.json`, Buffer.from('two'), repository);
      assert.equal(await get(store, `${repository}repository.json`), 'two');
      await store.remove([`${repository}repository.json`, key, `${repository}packs/9/x`]);
      assert.equal(await store.stat(`${repository}repository.json`), undefined);
      assert.ok((await store.freeBytes()) > 0);
    });
  });
}

const root = await mkdtemp(join(tmpdir(), 'fallback-objects-'));
after(() => rm(root, { recursive: true }));
const environment = new TestEnvironment();

describeObjectStore('a folder', async () => {
  return new FolderObjectStore(nodeFileSystem, await mkdtemp(join(root, 'store-')), environment);
});
describeObjectStore('a folder in the model of power cuts', async () => {
  return new FolderObjectStore(new CrashFileSystem(), '/', environment);
});
describeObjectStore('memory', async () => new MemoryObjectStore());
