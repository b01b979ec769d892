// What every MetadataStore must do. The two that there are also run the same random changes, and must answer the same.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { parseEpoch, parseLeaseId, parseOrigin, parseSha256Hex, type RepositoryId } from '../../src/format/ids.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import type {
  MetadataRead,
  MetadataStore,
  MetadataWrite,
  PackRecord,
  SnapshotRecord,
} from '../../src/store/metadata-store.ts';
import type { RepositoryDocument } from '../../src/store/repository-document.ts';

const hex = (digit: string, count: number): string => digit.repeat(count);
export const repositoryIds = [hex('1', 32), hex('2', 32)] as RepositoryId[];
const [firstId, secondId] = repositoryIds as [RepositoryId, RepositoryId];

export function documentOf(repositoryId: RepositoryId, token = hex('a', 64)): RepositoryDocument {
  return {
    repositoryId,
    name: 'main',
    createdAtMs: 1,
    serial: 1,
    generation: 'g',
    epoch: parseEpoch(1),
    tokens: [{ sha256: parseSha256Hex(token), scopes: ['read'], label: 'x', createdAtMs: 1 }],
    quotaBytes: null,
    retention: null,
    pins: [3],
    reservedPacks: 10,
    healRevision: 1,
    head: null,
  };
}

export function packOf(number: number, rest: Partial<PackRecord> = {}): PackRecord {
  const sha256 = new Uint8Array(32).fill(number & 255);
  const common = {
    revision: 0,
    state: 'whole' as const,
    fileBytes: 100 + number,
    prefixBytes: 50,
    receivedAtMs: number,
  };
  return { ...common, number, sha256, condemnedAtMs: undefined, ...rest };
}

export function snapshotOf(number: number, rest: Partial<SnapshotRecord> = {}): SnapshotRecord {
  return {
    number,
    state: 'whole',
    sha256: new Uint8Array(32).fill(number),
    receivedAtMs: number * 10,
    epoch: parseEpoch(1),
    origin: parseOrigin('main'),
    complete: number % 2 === 1,
    fileBytes: 500,
    packs: PackRanges.from([{ first: number, last: number + 5 }]),
    deletedAfterMs: undefined,
    ...rest,
  };
}

/** Everything that can be read of the two repositories, as plain values. */
export async function dump(store: MetadataStore): Promise<unknown> {
  return await store.read(async (view) => {
    const all: unknown[] = [await view.repositoryIds(), await view.audit(5), await view.clock()];
    for (const id of repositoryIds) {
      all.push(await view.repository(id), plain(await view.packs(id, 0, 1000)), plain(await view.snapshots(id)));
      all.push(
        await view.lease(id),
        plain(await view.smallObjects(id)),
        await view.scrub(id),
        await view.lastComplete(id),
      );
      for (const which of ['present', 'holed', 'lost', 'condemned', 'deleting'] as const) {
        all.push((await view.packNumbers(id, which)).ranges);
      }
    }
    return all;
  });
}

/** Bytes of whatever class as one kind, so that they compare. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, inner) => (inner instanceof Uint8Array ? Buffer.from(inner).toString('hex') : inner)),
  );
}

async function makeBoth(change: MetadataWrite): Promise<void> {
  await change.putRepository({ document: documentOf(firstId), lastPack: 0, settledPack: 0 });
  await change.putRepository({ document: documentOf(secondId, hex('b', 64)), lastPack: 0, settledPack: 0 });
}

/** One random change. */
export type Command = (change: MetadataWrite) => Promise<void>;

const id = fc.constantFrom(...repositoryIds);
const number = fc.integer({ min: 1, max: 30 });
const time = fc.option(fc.nat(50), { nil: undefined });
const range = fc.tuple(number, number).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.tuple(id, number, fc.constantFrom('whole', 'holed', 'lost', 'deleting'), time).map(
    ([one, at, state, condemnedAtMs]): Command =>
      (change) =>
        change.putPack(one, packOf(at, { state, condemnedAtMs })),
  ),
  fc.tuple(id, range, fc.nat(50)).map(
    ([one, at, before]): Command =>
      (change) =>
        change.condemnPacks(one, at, 7, before),
  ),
  fc.tuple(id, range).map(
    ([one, at]): Command =>
      (change) =>
        change.releasePacks(one, at),
  ),
  fc.tuple(id, range).map(
    ([one, at]): Command =>
      (change) =>
        change.markPacks(one, at),
  ),
  fc.tuple(id, range).map(
    ([one, at]): Command =>
      (change) =>
        change.deleteMarkedPacks(one, at),
  ),
  fc.tuple(id, number).map(
    ([one, at]): Command =>
      (change) =>
        change.deletePack(one, at),
  ),
  fc.tuple(id, number, fc.constantFrom('whole', 'lost', 'deleting'), time).map(
    ([one, at, state, deletedAfterMs]): Command =>
      (change) =>
        change.putSnapshot(one, snapshotOf(at, { state, deletedAfterMs })),
  ),
  fc.tuple(id, number, time).map(
    ([one, at, deletedAfterMs]): Command =>
      (change) =>
        change.condemnSnapshot(one, at, deletedAfterMs),
  ),
  fc.tuple(id, number).map(
    ([one, at]): Command =>
      (change) =>
        change.markSnapshot(one, at),
  ),
  fc.tuple(id, number).map(
    ([one, at]): Command =>
      (change) =>
        change.deleteSnapshot(one, at),
  ),
  fc.tuple(id, number).map(
    ([one, at]): Command =>
      async (change) => {
        const record = await change.repository(one);
        assert.ok(record !== undefined);
        await change.putRepository({ ...record, settledPack: at });
      },
  ),
);

/** Runs the same random changes on two stores; some end badly and must leave no trace. */
export async function checkTwins(make: () => Promise<readonly [MetadataStore, MetadataStore]>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.array(command, { maxLength: 6 }), fc.boolean()), { maxLength: 12 }),
      async (steps) => {
        const twins = await make();
        for (const store of twins) {
          await store.write(makeBoth);
          for (const [commands, fails] of steps) {
            const work = store.write(async (change) => {
              for (const run of commands) await run(change);
              if (fails) throw new Error('on purpose');
            });
            if (fails) await assert.rejects(work, /on purpose/);
            else await work;
          }
        }
        const [one, two] = twins;
        assert.deepEqual(plain(await dump(one)), plain(await dump(two)));
        for (const store of twins) await store.close();
      },
    ),
    { numRuns: 40 },
  );
}

/** Runs the suite against one implementation. */
export function describeMetadataStore(name: string, make: () => Promise<MetadataStore>): void {
  describe(`metadata store: ${name}`, () => {
    let store: MetadataStore;
    beforeEach(async () => {
      store = await make();
      await store.write(makeBoth);
    });
    afterEach(() => store.close());

    test('records come back as they were put, apart for each repository', async () => {
      const lease = {
        leaseId: parseLeaseId(hex('c', 32)),
        holder: 'main: push',
        epoch: parseEpoch(2),
        firstPack: 5,
        acquiredAtMs: 1,
        usedAtMs: 2,
        expiresAtMs: 3,
        fenced: true,
      };
      const scrub = { startedAtMs: 4, phase: 'packs', number: 9, report: '{}' };
      const token = parseSha256Hex(hex('d', 64));
      await store.write(async (change) => {
        await change.putPack(firstId, packOf(3));
        await change.putSnapshot(firstId, snapshotOf(1, { deletedAfterMs: 99 }));
        await change.putLease(firstId, lease);
        await change.putScrub(firstId, scrub);
        await change.putSmallObject(firstId, { kind: 'key document', number: 2, file: Buffer.from('file') }, [token]);
        await change.putClock({ lastSeenMs: 5, jumpedAtMs: undefined });
        await change.putInvite({ sha256: token, name: 'n', expiresAtMs: 8, redeemed: undefined });
      });
      await store.read(async (view: MetadataRead) => {
        assert.deepEqual(plain(await view.pack(firstId, 3)), plain(packOf(3)));
        assert.equal(await view.pack(secondId, 3), undefined);
        assert.deepEqual(plain(await view.snapshot(firstId, 1)), plain(snapshotOf(1, { deletedAfterMs: 99 })));
        assert.deepEqual(await view.lease(firstId), lease);
        assert.equal(await view.lease(secondId), undefined);
        assert.deepEqual(await view.scrub(firstId), scrub);
        assert.deepEqual(await view.findRecovery(token), [{ repositoryId: firstId, number: 2 }]);
        assert.equal(await view.findToken(parseSha256Hex(hex('b', 64))), secondId);
        assert.equal(await view.findToken(token), undefined);
        assert.deepEqual(await view.clock(), { lastSeenMs: 5, jumpedAtMs: undefined });
        assert.equal((await view.invite(token))?.redeemed, undefined);
        assert.deepEqual((await view.repository(firstId))?.document, documentOf(firstId));
        assert.equal((await view.repository(firstId))?.lastPack, 3);
      });
    });

    test('a change that throws leaves no trace, and the next one works', async () => {
      const before = plain(await dump(store));
      const failure = store.write(async (change) => {
        await change.putPack(firstId, packOf(1));
        throw new Error('on purpose');
      });
      await assert.rejects(failure, /on purpose/);
      assert.deepEqual(plain(await dump(store)), before);
      await store.write((change) => change.putPack(firstId, packOf(1)));
    });

    test('changes are made one after the other, and are not seen before they end', async () => {
      const seen: number[] = [];
      const add = store.write(async (change) => {
        await change.putPack(firstId, packOf(1));
        await new Promise((resolve) => setTimeout(resolve, 20));
        seen.push((await store.read((view) => view.packs(firstId, 0, 10))).length);
      });
      const then = store.write(async (change) => {
        seen.push((await change.packs(firstId, 0, 10)).length);
      });
      await Promise.all([add, then]);
      assert.deepEqual(seen, [0, 1]);
    });

    test('the last complete snapshot is the newest one, also when a clock was ahead before', async () => {
      const last = () => store.read((view) => view.lastComplete(firstId));
      assert.equal(await last(), undefined);
      await store.write((change) => change.putSnapshot(firstId, snapshotOf(1, { receivedAtMs: 900 })));
      await store.write((change) => change.putSnapshot(firstId, snapshotOf(3, { receivedAtMs: 300 })));
      await store.write((change) => change.putSnapshot(firstId, snapshotOf(4, { receivedAtMs: 400, complete: false })));
      await store.write((change) => change.putSnapshot(firstId, snapshotOf(5, { receivedAtMs: 500, state: 'lost' })));
      await store.write((change) => change.putSnapshot(secondId, snapshotOf(7, { receivedAtMs: 700 })));
      assert.equal(await last(), 300);
    });

    test('counters follow', async () => {
      const counters = async (): Promise<[number, number]> => {
        const record = await store.read((view) => view.repository(firstId));
        return [record?.packChanges ?? -1, record?.storedBytes ?? -1];
      };
      const [changes] = await counters();
      await store.write((change) => change.putPack(firstId, packOf(1, { fileBytes: 952 })));
      await store.write((change) => change.putSnapshot(firstId, snapshotOf(1, { fileBytes: 452 })));
      assert.deepEqual(await counters(), [changes + 1, 8192]);
      await store.write((change) => change.putPack(firstId, packOf(1, { fileBytes: 952, state: 'lost' })));
      assert.deepEqual(await counters(), [changes + 2, 4096]);
      await store.write((change) => change.deleteSnapshot(firstId, 1));
      assert.equal((await counters())[1], 0);
    });
  });
}
