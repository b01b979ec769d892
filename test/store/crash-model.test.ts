// Power cuts in a model of POSIX durability: at every single change of the file system, in every state it may leave behind.
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Epoch, parseEpoch, parseSnapshotNumber } from '../../src/format/ids.ts';
import { FolderObjectStore } from '../../src/store/folder-object-store.ts';
import { FolderRepository } from '../../src/store/folder-repository.ts';
import { settleStore } from '../../src/store/open-store.ts';
import { defaultStoreOptions, RepositoryContext, type StoreParts } from '../../src/store/repository-context.ts';
import { applyRetention } from '../../src/store/retention.ts';
import { dayMs } from '../../src/store/retention-policy.ts';
import { RunningBytes } from '../../src/store/running-bytes.ts';
import { Store } from '../../src/store/store.ts';
import { CrashFileSystem, type LeftOut, PowerCut } from '../support/crash-file-system.ts';
import { MemoryMetadataStore } from '../support/memory-metadata-store.ts';
import { type PairedRepository, pair, TestEnvironment } from '../support/temporary-store.ts';
import { TestWriter } from '../support/writer.ts';

type Parts = StoreParts & { readonly objects: FolderObjectStore; readonly metadata: MemoryMetadataStore };

function partsOver(fs: CrashFileSystem, metadata: MemoryMetadataStore, environment: TestEnvironment): Parts {
  const objects = new FolderObjectStore(fs, '/', environment);
  return { objects, metadata, environment, options: { ...defaultStoreOptions }, running: new RunningBytes() };
}

/** What was acknowledged before the power went: the oracle. */
interface Acknowledged {
  paired: PairedRepository | undefined;
  epoch: Epoch;
  readonly writers: TestWriter[];
  /** Retention was allowed to drop it. */
  readonly droppable: Set<number>;
}

const policy = { keepDays: 1, daily: 0, weekly: 0, monthly: 0, floor: 1, graceDays: 1 };

/** Two nights, a raised epoch, a third night, and retention until the first night is gone. */
async function scenario(parts: Parts, environment: TestEnvironment, acknowledged: Acknowledged): Promise<void> {
  const store = new Store('/', '00', parts);
  acknowledged.paired = await pair(store);
  const repository = await store.repository(acknowledged.paired.id);
  const push = async (reused: readonly number[]): Promise<void> => {
    const writer = await TestWriter.begin(repository, 'test', acknowledged.epoch);
    acknowledged.writers.push(writer);
    const first = await writer.putNew();
    const second = await writer.putNew();
    await writer.commit([...reused, first.number, second.number]);
    await writer.end();
  };
  await push([]);
  environment.timeMs += 2 * dayMs;
  await push([2]);
  await repository.raiseEpoch(acknowledged.epoch);
  acknowledged.epoch = parseEpoch(2);
  await push([2, 3]);
  acknowledged.droppable.add(1).add(2);
  await applyRetention(repository, { policy });
  environment.timeMs += 2 * dayMs;
  await applyRetention(repository, { policy });
}

/** Opens what a power cut left, and holds it against what was acknowledged. */
async function check(
  fs: CrashFileSystem,
  metadata: MemoryMetadataStore,
  environment: TestEnvironment,
  said: Acknowledged,
) {
  const parts = partsOver(fs, metadata, environment);
  await settleStore(parts);
  if (said.paired === undefined) return;
  const store = new Store('/', '00', parts);
  assert.equal((await store.authenticate(said.paired.pushToken))?.repositoryId, said.paired.id);
  const repository = new FolderRepository(new RepositoryContext(parts, said.paired.id));
  assert.deepEqual(Buffer.from(await repository.configuration()), Buffer.from(said.paired.configuration));
  const listed = await repository.snapshots();
  const { epoch, head } = await repository.status();
  // The chain that a client sees has no holes: what retention dropped lies before it.
  const numbers = listed.map((one) => one.number);
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => (head?.number ?? 0) - numbers.length + 1 + index),
    'the chain',
  );
  assert.ok(said.droppable.size > 0 || numbers.length === (head?.number ?? 0), 'the chain begins late');
  assert.ok(epoch >= said.epoch, 'the epoch went back');
  for (const writer of said.writers) {
    for (const [number, { file }] of writer.snapshots) {
      const isListed = listed.some((one) => one.number === number);
      assert.ok(isListed || said.droppable.has(number), `acknowledged snapshot ${number} is gone`);
      if (isListed)
        assert.deepEqual(Buffer.from(await repository.snapshot(parseSnapshotNumber(number))), Buffer.from(file));
    }
    for (const [number, pack] of writer.packs) {
      if (said.droppable.size > 0 && !listed.some((one) => one.number === 3)) continue;
      const isNeeded = said.droppable.size === 0 || [2, 3, 5, 6].includes(number);
      if (isNeeded)
        assert.deepEqual(Buffer.from(await repository.pack(number)), Buffer.from(pack.file), `pack ${number}`);
    }
  }
  const { context } = repository;
  for (const snapshot of await context.read((view) => view.snapshots(context.id))) {
    if (snapshot.state === 'deleting') continue;
    await repository.snapshot(parseSnapshotNumber(snapshot.number));
    for (const number of snapshot.packs.numbers()) await repository.pack(number);
  }
  // The same commands again simply work.
  const writer = await TestWriter.begin(repository, 'test', epoch);
  const pack = await writer.putNew();
  await writer.commit([pack.number]);
  await writer.end();
  await applyRetention(repository, { policy });
}

/** Cuts the power before change `cut`; returns how many changes there were. */
async function cutAt(cut: number, leftOut: readonly LeftOut[], statesMax: number): Promise<number> {
  const environment = new TestEnvironment();
  const fs = new CrashFileSystem(leftOut);
  fs.cutBefore = cut;
  const metadata = new MemoryMetadataStore();
  metadata.beforeCommit = () => fs.requirePower();
  const said: Acknowledged = { paired: undefined, epoch: parseEpoch(1), writers: [], droppable: new Set() };
  try {
    await scenario(partsOver(fs, metadata, environment), environment, said);
  } catch (error) {
    if (!(error instanceof PowerCut)) throw error;
  }
  let seed = cut * 2654435761;
  const random = (): number => {
    seed = (Math.imul(seed ^ (seed >>> 15), 2246822519) + 0x9e3779b9) >>> 0;
    return seed / 2 ** 32;
  };
  const states = [...fs.afterCut(statesMax, random)].map((disk) => [disk, metadata.afterCrash()] as const);
  // The same with the database lost besides: everything comes from the files.
  const bare = [...fs.afterCut(statesMax, random)].map((disk) => [disk, new MemoryMetadataStore()] as const);
  for (const [disk, records] of [...states, ...bare]) {
    try {
      await check(disk, records, environment, said);
    } catch (error) {
      throw new Error(`power cut before change ${cut}`, { cause: error });
    }
  }
  return fs.changes;
}

/** `packs/` takes its time to be synced: whoever comes meanwhile finds what was made in it. */
class SlowPacksFolder extends CrashFileSystem {
  override async syncFolder(path: string): Promise<void> {
    if (path.endsWith('/packs')) for (let turns = 0; turns < 50; turns++) await nextTurn();
    await super.syncFolder(path);
  }
}

const repositoryPrefix = 'repositories/0123/';
const keyOf = (number: number): string => `${repositoryPrefix}packs/000000000/00000000000${number}.pack`;

/** Publishes a file, and holds every disk that a power cut at the moment of its acknowledgement may leave against it. */
async function publishAndCut(fs: CrashFileSystem, store: FolderObjectStore, number: number): Promise<void> {
  const draft = await store.begin(repositoryPrefix);
  await draft.write(Buffer.from(`pack ${number}`));
  await draft.publish(keyOf(number));
  for (const disk of fs.afterCut(256, Math.random)) {
    const file = await new FolderObjectStore(disk, '/', new TestEnvironment()).readStart(keyOf(number), 100);
    assert.equal(Buffer.from(file).toString(), `pack ${number}`);
  }
}

describe('power cuts', () => {
  test('several files at once into a folder that is new: none is acknowledged before the folder lasts', async () => {
    const fs = new SlowPacksFolder();
    const store = new FolderObjectStore(fs, '/', new TestEnvironment());
    const first = publishAndCut(fs, store, 1);
    while ((await fs.facts(dirname(`/${keyOf(1)}`))) === undefined) await nextTurn();
    await Promise.all([first, publishAndCut(fs, store, 2), publishAndCut(fs, store, 3)]);
  });

  test('a killed process left folders that nobody synced: whoever uses them next makes them last', async () => {
    const fs = new CrashFileSystem();
    const folders = ['repositories', '0123', 'packs', '000000000'];
    for (let depth = 1; depth <= folders.length; depth++)
      await fs.createFolder(`/${folders.slice(0, depth).join('/')}`);
    await publishAndCut(fs, new FolderObjectStore(fs, '/', new TestEnvironment()), 1);
  });

  test('a killed process left a whole file in such a folder: settled, it lasts', async () => {
    const fs = new CrashFileSystem();
    const folders = ['repositories', '0123', 'packs', '000000000'];
    for (let depth = 1; depth <= folders.length; depth++)
      await fs.createFolder(`/${folders.slice(0, depth).join('/')}`);
    const file = await fs.createFile(`/${keyOf(1)}`);
    await file.append(Buffer.from('pack 1'));
    await file.sync();
    await new FolderObjectStore(fs, '/', new TestEnvironment()).settle(keyOf(1));
    for (const disk of fs.afterCut(256, Math.random)) assert.ok(await disk.facts(`/${keyOf(1)}`));
  });

  test('at every change of pairing, pushes, takeover and retention: nothing acknowledged is lost, all goes on', async () => {
    const total = await cutAt(Number.POSITIVE_INFINITY, [], 1);
    assert.ok(total > 100, `${total} changes`);
    for (let cut = 1; cut <= total; cut++) await cutAt(cut, [], 32);
  });

  for (const leftOut of ['file sync', 'folder sync'] as const) {
    test(`the test itself: without the ${leftOut} it goes red`, async () => {
      const total = await cutAt(Number.POSITIVE_INFINITY, [], 1);
      await assert.rejects(async () => {
        for (let cut = 1; cut <= total; cut++) await cutAt(cut, [leftOut], 32);
      }, /power cut before change/);
    });
  }
});
