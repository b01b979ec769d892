import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SqliteMetadataStore } from '../../src/store/sqlite-metadata-store.ts';
import { MemoryMetadataStore } from '../support/memory-metadata-store.ts';
import { checkTwins, describeMetadataStore, documentOf, packOf, repositoryIds } from './metadata-conformance.ts';

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
