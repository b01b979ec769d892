// Check names what is wrong and whom it concerns; restore never gives out a wrong byte.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { sealSnapshot } from '../../../src/crypto/sealed-snapshot.ts';
import { FallbackError, isFallbackError } from '../../../src/errors/fallback-error.ts';
import { PackRanges } from '../../../src/format/pack-ranges.ts';
import type { Run } from '../../../src/format/recipe.ts';
import { decodeSnapshotFile } from '../../../src/format/snapshot.ts';
import { type CheckReport, newCheckCounters } from '../../../src/sync/check/check-report.ts';
import { checkRepository } from '../../../src/sync/check/check-repository.ts';
import { RunTable } from '../../../src/sync/read/run-table.ts';
import type { RepositorySession } from '../../../src/sync/repository-session.ts';
import { newRestoreCounters, restoreArchiveToFile } from '../../../src/sync/restore/restore-archive.ts';
import { restoreArchiveToStream } from '../../../src/sync/restore/restore-stream.ts';
import { findArchive, findSnapshot } from '../../../src/sync/snapshots.ts';
import { type ClientFixture, testEnvironment, withSession } from '../../support/client-fixture.ts';
import {
  bound,
  counting,
  folder,
  lines,
  noise,
  pushNights,
  symlinkTo,
  tarOf,
  withQuickSession,
} from '../read/archives.ts';
import { freeze } from './frozen-repository.ts';

const check = (session: RepositorySession, readDataPercent = 0): Promise<CheckReport> =>
  checkRepository({ session, readDataPercent, counters: newCheckCounters() });

async function checkNow(fixture: ClientFixture, readDataPercent = 0): Promise<CheckReport> {
  return await withQuickSession(fixture.repository, fixture.secret, (session) => check(session, readDataPercent));
}

const manyFiles = (seed: number) =>
  Array.from({ length: 12 }, (_, index) => [`f${index}`, noise(120_000, seed + index)] as const);

/** Where runs lie in the archive. */
function spansOf(runs: readonly Run[]): { pack: number; start: number; end: number }[] {
  const table = new RunTable(runs, runs.length);
  return runs.map(({ pack }, index) => ({ pack, start: table.startAt(index), end: table.endAt(index) }));
}

test('a whole repository has no problem, and all of it is read', async () => {
  const app = tarOf([folder('d'), ['d/a', lines(20_000, 3)], ['d/b', noise(600_000, 4)], symlinkTo('l', 'd')]);
  const fixture = await pushNights([
    { app, system: tarOf([['x', 'y']]) },
    {
      app: tarOf([
        ['new', 'x'],
        ['d/a', lines(20_000, 3)],
      ]),
      plain: noise(50_000, 9),
      empty: new Uint8Array(0),
    },
    { app },
  ]);
  const listed = await checkNow(fixture);
  assert.deepEqual(listed.problems, []);
  assert.deepEqual(listed.surplus, []);
  assert.equal(listed.snapshotsChecked, 3);
  assert.equal(listed.archivesChecked, 6);
  assert.equal(listed.archivesDistinct, 5, 'the app of the third night is that of the first');
  const report = await withSession(fixture.repository, fixture.secret, (session) => check(session, 100));
  assert.deepEqual(report.problems, []);
  assert.equal(report.packsRead, fixture.repository.packs.size);
  assert.equal(report.archivesRebuilt, 1);
  assert.equal(report.rebuiltBytes, app.byteLength);
});

test('many archives are rebuilt with each pack fetched once, also what they share or repeat; damage takes its own', async () => {
  const shared = noise(700_000, 1);
  const once = noise(900_000, 5);
  const archives = {
    app: tarOf([
      ['a', shared],
      ['b', lines(9000, 2)],
    ]),
    system: tarOf([
      ['copy', shared],
      ['c', noise(300_000, 3)],
    ]),
    empty: new Uint8Array(0),
    // Each pack is needed again, whole, after others have gone by.
    again: Buffer.concat([once, noise(900_000, 6), once]),
    last: tarOf([['d', noise(400_000, 7)]]),
  };
  const fixture = await pushNights([archives]);
  const { repository, secret } = fixture;
  const own = await withQuickSession(repository, secret, async (plain) => {
    const { session, fetched } = counting(plain);
    const report = await check(session, 100);
    assert.deepEqual(report.problems, []);
    assert.equal(report.archivesRebuilt, 5);
    assert.equal(
      report.rebuiltBytes,
      Object.values(archives).reduce((sum, { byteLength }) => sum + byteLength, 0),
    );
    assert.equal(fetched.size, repository.packs.size);
    assert.deepEqual([...new Set(fetched.values())], [1], 'each pack once');
    const { recipe } = findArchive(await findSnapshot(session, 'latest'), 'system');
    return recipe.runs.findLast((run) => run.bytes > 100_000)?.pack ?? 0;
  });
  repository.packs.delete(own);
  const damaged = await checkNow(fixture, 100);
  assert.deepEqual(
    damaged.problems.map(({ pack, affected }) => [pack, affected.map(({ archive }) => archive)]),
    [[own, ['system']]],
  );
  assert.equal(damaged.archivesRebuilt, 4);
});

test('a sample reads as many packs as it says, others each time', async () => {
  const fixture = await pushNights([{ app: noise(12_000_000, 1) }]);
  const total = fixture.repository.packs.size;
  assert.ok(total >= 16, `${total} packs`);
  const seen = new Set<number>();
  await withQuickSession(fixture.repository, fixture.secret, async (session) => {
    const watched = new Proxy(session.repository, {
      get: (target, key) =>
        key === 'pack'
          ? (number: number) => {
              seen.add(number);
              return target.pack(number);
            }
          : bound(target, key),
    });
    const watchedSession = { ...session, repository: watched };
    const metadata = (await check(watchedSession)).packsRead;
    for (let round = 0; round < 5; round++) {
      const { packsRead, problems } = await check(watchedSession, 25);
      assert.deepEqual(problems, []);
      assert.ok(
        packsRead <= metadata + Math.round(total / 4) && packsRead >= Math.round(total / 4),
        `${packsRead} of ${total}`,
      );
    }
  });
  assert.ok(seen.size > total / 2, `${seen.size} of ${total}`);
});

test('a lost pack is named with the snapshots, archives and members that it takes with it', async () => {
  const files = manyFiles(1);
  const fixture = await pushNights([
    { app: tarOf(files), other: tarOf([['x', 'other']]) },
    { app: tarOf(files), other: tarOf([['x', 'other']]) },
    { app: tarOf([['f0', noise(120_000, 1)]]) },
  ]);
  const { repository } = fixture;
  const archive = await withQuickSession(repository, fixture.secret, async (session) =>
    findArchive(await findSnapshot(session, '1'), 'app'),
  );
  // Headers lie in a pack that all archives share; a photo's pack is its archive's own.
  const last = archive.recipe.runs.findLast((run) => run.bytes > 100_000)?.pack ?? 0;
  repository.packs.delete(last);
  for (const percent of [0, 100]) {
    const { problems } = await checkNow(fixture, percent);
    assert.equal(problems.length, 1, JSON.stringify(problems));
    const [problem] = problems;
    assert.equal(problem?.pack, last);
    assert.equal(problem.code, 'DAMAGED');
    assert.equal(problem.affected.length, 1);
    const [affected] = problem.affected;
    assert.deepEqual(
      { ...affected, members: undefined, membersTotal: 0 },
      { archive: 'app', snapshots: [1, 2], lost: 'contents', members: undefined, membersTotal: 0 },
    );
    // The members are those whose bytes overlap the runs of the pack.
    const expected: string[] = [];
    const spans = spansOf(archive.recipe.runs);
    const member = tarOf([files[0] ?? ['', '']]).byteLength;
    assert.ok(member > 120_000);
    for (const [index, [name]] of files.entries()) {
      const start = index * 121_856;
      if (spans.some((span) => span.pack === last && span.start < start + 120_000 && span.end > start))
        expected.push(name);
    }
    assert.ok(expected.length > 0 && expected.length < files.length);
    for (const name of expected) assert.ok(affected?.members?.includes(name), `${name} of ${affected?.members}`);
    assert.equal(affected?.membersTotal, affected?.members?.length);
    assert.ok((affected?.membersTotal ?? 99) < files.length);
  }
});

test('a pack that was healed in part takes only what lies in its holes', async () => {
  const files = Array.from({ length: 60 }, (_, index) => [`f${index}`, noise(20_000, 40 + index)] as const);
  const memberBytes = 22_016;
  const fixture = await pushNights([{ app: tarOf(files) }]);
  const { repository } = fixture;
  const archive = await withQuickSession(repository, fixture.secret, async (session) =>
    findArchive(await findSnapshot(session, '1'), 'app'),
  );
  // A pack without the catalogue; tonight brings back about half of the files in it.
  const catalogue = new Set(archive.catalogue?.runs.map((run) => run.pack));
  const span = spansOf(archive.recipe.runs).find(({ pack, end }) => !catalogue.has(pack) && end > 5 * memberBytes);
  assert.ok(span !== undefined);
  const lost = span.pack;
  const back = Math.floor((span.start + span.end) / 2 / memberBytes);
  const file = repository.packs.get(lost);
  assert.ok(file !== undefined);
  repository.packs.delete(lost);
  repository.quarantine.set(lost, file);
  const lostMembers = (await checkNow(fixture)).problems[0]?.affected[0]?.membersTotal ?? 0;
  // Tonight's archive has only some of the old chunks: the pack comes back with holes.
  await pushNights([{ app: tarOf(files.slice(0, back)) }], fixture);
  const report = await checkNow(fixture, 100);
  const [problem] = report.problems;
  assert.equal(report.problems.length, 1, JSON.stringify(report.problems));
  assert.equal(problem?.pack, lost);
  assert.deepEqual(
    problem.affected.map(({ snapshots, lost }) => ({ snapshots, lost })),
    [{ snapshots: [1], lost: 'contents' }],
  );
  const members = problem.affected[0]?.members ?? [];
  assert.ok(members.includes(`f${back}`) && members.length < lostMembers, `${members} of ${lostMembers}`);
});

test('a broken chain, a head that says too little or too much, and a lost snapshot are named', async () => {
  const fixture = await pushNights([{ app: tarOf(manyFiles(1)) }, { app: tarOf([['x', 'y']]) }]);
  await withQuickSession(fixture.repository, fixture.secret, async (session) => {
    const { head, record } = await findSnapshot(session, '1');
    const reseal = (packs: PackRanges, previousSha256 = head.previousSha256): void => {
      // Both runs of the recipe and of the head are changed, as only a defect in push could.
      const file = sealSnapshot(session.keys, { ...head, packs, previousSha256 }, record, testEnvironment.randomBytes);
      fixture.repository.files[0] = file.file;
    };
    const { problems } = await check(session);
    assert.deepEqual(problems, []);
    reseal(head.packs.union(PackRanges.fromNumbers([900])));
    const more = await check(session);
    assert.deepEqual(
      more.surplus.map(({ snapshot, packs }) => `${snapshot}: ${packs.toText()}`),
      ['1: 900'],
    );
    const chain = more.problems.find((problem) => problem.code === 'TRUST_FORK');
    assert.equal(chain?.snapshot, 2);
    assert.ok(more.problems.some((problem) => problem.pack === 900));
    reseal(head.packs, new Uint8Array(32).fill(1));
    assert.ok(
      (await check(session)).problems.some((problem) => problem.snapshot === 1 && problem.code === 'TRUST_FORK'),
    );
  });
});

/** Restores the app to a file: `refused` unless it is there afterwards. */
async function restoreFile(session: RepositorySession, path: string): Promise<string> {
  try {
    const archive = findArchive(await findSnapshot(session, 'latest'), 'app');
    await restoreArchiveToFile({ session, archive, path, counters: newRestoreCounters(), overwrite: false });
    return 'restored';
  } catch (error) {
    if (isFallbackError(error)) return 'refused';
    throw error;
  }
}

/** Restores every archive of the newest snapshot; returns what came out, or the error's code. */
async function restoreAll(session: RepositorySession): Promise<Record<string, Buffer> | string> {
  const restored: Record<string, Buffer> = {};
  try {
    const snapshot = await findSnapshot(session, 'latest');
    for (const archive of snapshot.record.archives) {
      const pieces: Buffer[] = [];
      const stream = new Writable({
        write(piece: Buffer, _encoding, done) {
          pieces.push(Buffer.from(piece));
          done();
        },
      });
      await restoreArchiveToStream({ session, archive, stream, counters: newRestoreCounters() });
      restored[archive.name] = Buffer.concat(pieces);
    }
  } catch (error) {
    if (isFallbackError(error)) return error.code;
    throw error;
  }
  return restored;
}

test('a damaged key document is named; a network that fails ends the check, and is no damage', async () => {
  const fixture = await pushNights([{ app: tarOf([['x', 'y']]) }]);
  fixture.repository.keyDocuments.push(new Uint8Array(100));
  const { problems } = await checkNow(fixture);
  assert.equal(problems.length, 1);
  assert.match(problems[0]?.message ?? '', /Key document 2/);
  const { repository: empty, secret } = await pushNights([{ app: tarOf([['x', 'y']]) }]);
  empty.keyDocuments.length = 0;
  const without = await checkNow({ repository: empty, secret });
  assert.match(without.problems.map(({ message }) => message).join(), /no key document/);
  await withQuickSession(fixture.repository, fixture.secret, async (session) => {
    const pack = async (): Promise<Uint8Array> => {
      throw new FallbackError('UNREACHABLE', 'gone');
    };
    const repository = new Proxy(session.repository, {
      get: (target, key) => (key === 'pack' ? pack : bound(target, key)),
    });
    await assert.rejects(check({ ...session, repository }, 100), (error) => isFallbackError(error, 'UNREACHABLE'));
  });
});

test('every bit of every file, flipped: check names the file, restore gives nothing wrong', async () => {
  const fixture = await pushNights([
    {
      app: tarOf([
        ['a', 'hello'],
        ['b', noise(40, 1)],
      ]),
    },
  ]);
  const { repository } = fixture;
  const frozen = await freeze(repository);
  const app = tarOf([
    ['a', 'hello'],
    ['b', noise(40, 1)],
  ]);
  let flips = 0;
  const path = join(await mkdtemp(join(tmpdir(), 'fallback-test-')), 'app.tar');
  await withQuickSession(frozen, fixture.secret, async (session) => {
    assert.deepEqual((await check(session, 100)).problems, []);
    const flip = async (
      file: Uint8Array,
      look: (report: CheckReport, where: string) => void,
      restores: boolean,
      needed = true,
    ): Promise<void> => {
      for (let byte = 0; byte < file.byteLength; byte++) {
        for (let bit = 0; bit < 8; bit++) {
          const before = file[byte] ?? 0;
          file[byte] = before ^ (1 << bit);
          const where = `bit ${bit} of byte ${byte} of ${file.byteLength}`;
          look(await check(session, 100), where);
          // The pack of metadata holds the catalogue: a whole archive comes back without it.
          if (restores && needed && bit === byte % 8 && byte % 40 === 0)
            assert.equal(await restoreFile(session, path), 'refused', where);
          if (restores && bit === byte % 8) {
            const restored = await restoreAll(session);
            if (typeof restored !== 'string') assert.deepEqual(restored, { app: Buffer.from(app) }, where);
            else assert.ok(restored.length > 0);
          }
          file[byte] = before;
          flips++;
        }
      }
    };
    const contents = new Set(findArchive(await findSnapshot(session, '1'), 'app').recipe.runs.map((run) => run.pack));
    for (const [number, file] of repository.packs) {
      const look = ({ problems }: CheckReport, where: string): void => {
        const named = problems.filter((problem) => problem.pack === number);
        assert.equal(named.length, 1, `pack ${number}, ${where}: ${JSON.stringify(problems)}`);
        assert.ok(
          named[0]?.affected.some(({ archive, snapshots }) => archive === 'app' && snapshots.includes(1)),
          where,
        );
      };
      await flip(file, look, true, contents.has(number));
    }
    for (const [index, file] of repository.files.entries()) {
      await flip(
        file,
        ({ problems }, where) =>
          assert.ok(
            problems.some(({ snapshot }) => snapshot === index + 1),
            where,
          ),
        true,
      );
    }
    await flip(repository.configurationFile, ({ problems }, where) => assert.ok(problems.length > 0, where), false);
    assert.deepEqual((await check(session, 100)).problems, []);
  });
  assert.deepEqual(await readdir(dirname(path)), []);
  await rm(dirname(path), { recursive: true });
  assert.ok(flips > 5000, `${flips} flips`);
});

test('what retention deletes while a check goes on is not missed', async () => {
  const fixture = await pushNights([
    { app: noise(400_000, 1), old: noise(1_500_000, 2) },
    { app: noise(400_000, 1), next: noise(300_000, 3) },
  ]);
  const { repository, secret } = fixture;
  const { snapshots, pack } = repository;
  let deleted: number[] = [];
  /** The first snapshot goes, with the packs that only it needs, when the first pack is asked for. */
  const deleteFirst = async (): Promise<void> => {
    if (deleted.length > 0) return;
    const [first, second] = repository.files.map((file) => decodeSnapshotFile(file).head.packs);
    deleted = [...(first ?? PackRanges.empty).minus(second ?? PackRanges.empty).numbers()];
    assert.ok(deleted.length > 0);
    for (const number of deleted) repository.packs.delete(number);
    repository.snapshots = async () => (await snapshots.call(repository)).slice(1);
  };
  repository.pack = async (number, span) => {
    await deleteFirst();
    return await pack.call(repository, number, span);
  };
  const report = await withQuickSession(repository, secret, (session) => check(session, 100));
  assert.ok(deleted.length > 0);
  assert.deepEqual(report.problems, []);
  // What a snapshot that is still there needs is missed as ever.
  for (const number of [...repository.packs.keys()].slice(0, 1)) repository.packs.delete(number);
  assert.ok((await checkNow(fixture, 100)).problems.length > 0);
});

test('a snapshot that is pushed between two questions of a check is no fork', async () => {
  const fixture = await pushNights([{ app: noise(50_000, 1) }]);
  const { repository, secret } = fixture;
  const { snapshots } = repository;
  let isPushed = false;
  repository.snapshots = async () => {
    if (!isPushed) {
      isPushed = true;
      await pushNights([{ app: noise(50_000, 2) }], fixture);
    }
    return await snapshots.call(repository);
  };
  const report = await withQuickSession(repository, secret, (session) => check(session));
  assert.ok(isPushed);
  assert.deepEqual([report.problems, report.snapshotsChecked], [[], 2]);
});

test('a server that claims to have any number of packs costs no memory', async () => {
  const fixture = await pushNights([{ app: noise(400_000, 1) }]);
  const { repository } = fixture;
  const status = repository.status.bind(repository);
  repository.status = async () => ({
    ...(await status()),
    present: PackRanges.from([{ first: 1, last: 2 ** 40 - 1 }]),
  });
  for (const percent of [1, 100]) assert.deepEqual((await checkNow(fixture, percent)).problems, []);
});

test('a store cannot take back what is found of its newest snapshot by listing it no more', async () => {
  const fixture = await pushNights([{ app: noise(300_000, 1) }, { app: noise(300_000, 2) }]);
  const { repository, secret } = fixture;
  const { snapshots } = repository;
  const second = decodeSnapshotFile(repository.files[1] ?? new Uint8Array(0)).head.packs;
  for (const number of second.numbers()) repository.packs.delete(number);
  let lists = 0;
  repository.snapshots = async () => (await snapshots.call(repository)).slice(0, ++lists > 1 ? 1 : 2);
  const report = await withQuickSession(repository, secret, (session) => check(session, 100));
  assert.ok(lists > 1 && report.problems.length > 0);
});

test('a list that ends before the head that the session has checked is a rollback, whatever status comes with it', async () => {
  const fixture = await pushNights([1, 2, 3].map((seed) => ({ a: Buffer.from(lines(2000, seed)) })));
  const { repository } = fixture;
  const found = await withQuickSession(repository, fixture.secret, async (session) => {
    repository.files.pop();
    return await check(session);
  });
  assert.deepEqual(
    found.problems.map(({ code }) => code),
    ['TRUST_ROLLBACK'],
  );
});
