import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SqliteConnection } from '../../src/store/sqlite-connection.ts';
import { SqliteMetadataStore } from '../../src/store/sqlite-metadata-store.ts';
import { MemoryMetadataStore } from '../support/memory-metadata-store.ts';
import {
  checkTwins,
  describeMetadataStore,
  documentOf,
  packOf,
  repositoryIds,
  snapshotOf,
} from './metadata-conformance.ts';

const folder = await mkdtemp(join(tmpdir(), 'fallback-metadata-'));
after(() => rm(folder, { recursive: true }));
let count = 0;

async function sqlite(): Promise<SqliteMetadataStore> {
  const path = join(folder, `${count++}.sqlite`);
  SqliteMetadataStore.create(path);
  return await SqliteMetadataStore.open(path, true);
}

describeMetadataStore('SQLite', sqlite);
describeMetadataStore('memory', async () => new MemoryMetadataStore());

test('SQLite and its twin in memory answer the same after the same changes', async () => {
  await checkTwins(async () => [await sqlite(), new MemoryMetadataStore()]);
});

test('a database that counted stored bytes to the byte counts blocks once it is opened', async () => {
  const [id] = repositoryIds;
  assert.ok(id !== undefined);
  const store = await sqlite();
  await store.write(async (change) => {
    await change.putRepository({ document: documentOf(id), lastPack: 0, settledPack: 0 });
    await change.putPack(id, packOf(1, { fileBytes: 5_000 }));
    await change.putPack(id, packOf(2, { fileBytes: 5_000, state: 'lost' }));
    await change.putSnapshot(id, snapshotOf(1, { fileBytes: 500 }));
  });
  await store.close();
  const path = join(folder, `${count - 1}.sqlite`);
  const old = new SqliteConnection(path);
  old.exec('UPDATE repositories SET stored_bytes = 5596; PRAGMA user_version = 1');
  old.close();
  const storedBytes = async (): Promise<number | undefined> => {
    const opened = await SqliteMetadataStore.open(path);
    const record = await opened.read((view) => view.repository(id));
    await opened.close();
    return record?.storedBytes;
  };
  assert.equal(await storedBytes(), 8_192 + 4_096);
  assert.equal(await storedBytes(), 8_192 + 4_096, 'once is enough');
});

test('sets of many thousands of packs, with and without gaps, are read whole', async () => {
  const [id] = repositoryIds;
  assert.ok(id !== undefined);
  const stores = [await sqlite(), new MemoryMetadataStore()];
  const sets: unknown[] = [];
  for (const store of stores) {
    await store.write(async (change) => {
      await change.putRepository({ document: documentOf(id), lastPack: 0, settledPack: 0 });
      for (let number = 1; number <= 14_000; number++) {
        const state = number > 9_000 ? (['whole', 'holed', 'lost', 'deleting'] as const)[number % 4] : 'whole';
        const condemnedAtMs = number % 7 === 0 && number > 4_500 ? 7 : undefined;
        if (number !== 4_097) await change.putPack(id, packOf(number, { state: state ?? 'whole', condemnedAtMs }));
      }
    });
    const which = ['present', 'holed', 'lost', 'condemned', 'deleting'] as const;
    sets.push(await store.read((view) => Promise.all(which.map((one) => view.packNumbers(id, one)))));
    await store.close();
  }
  assert.deepEqual(sets[0], sets[1]);
});
