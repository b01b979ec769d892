// Differences between snapshots: exact, against a plain comparison of both tars, and nearly without fetching.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RepositoryReader } from '../../../src/store/repository-store.ts';
import { diffSnapshots, newDiffCounters, type SnapshotDifference } from '../../../src/sync/compare/diff-snapshots.ts';
import { findSnapshot } from '../../../src/sync/snapshots.ts';
import { type ClientFixture, makeMemoryRepository } from '../../support/client-fixture.ts';
import {
  folder,
  lines,
  noise,
  pushNights,
  symlinkTo,
  type TarEntryInput,
  tarOf,
  withQuickSession,
} from '../read/archives.ts';

/** Bytes that were fetched of packs, beyond directories' size. */
async function diff(
  fixture: ClientFixture,
  before: number,
  after: number,
): Promise<{ found: SnapshotDifference[]; wholePacks: Set<number> }> {
  return await withQuickSession(fixture.repository as RepositoryReader, fixture.secret, async (session) => {
    const wholePacks = new Set<number>();
    const watched = new Proxy(session.repository, {
      get(target, key) {
        if (key !== 'pack') return Reflect.get(target, key).bind(target);
        return (number: number, span?: { start: number; end: number }) => {
          if (span === undefined) wholePacks.add(number);
          return target.pack(number, span);
        };
      },
    });
    const found: SnapshotDifference[] = [];
    const options = {
      session: { ...session, repository: watched },
      before: await findSnapshot(session, `${before}`),
      after: await findSnapshot(session, `${after}`),
      counters: newDiffCounters(),
    };
    for await (const difference of diffSnapshots(options)) found.push(difference);
    assert.equal(options.counters.archivesDone, options.counters.archivesTotal);
    return { found, wholePacks };
  });
}

const inShort = (found: readonly SnapshotDifference[]): string[] =>
  found.map(
    (one) =>
      `${one.change} ${one.archive}${one.kind === 'member' ? `:${one.name}` : ''} ${one.beforeBytes}→${one.afterBytes}`,
  );

test('archives and members that were added, removed and changed are named with their sizes', async () => {
  const before: TarEntryInput[] = [
    folder('d'),
    ['d/same', lines(3000, 2)],
    ['d/grown', 'short'],
    ['d/edited', 'aaaa'],
    ['d/chmod', 'x'],
    ['d/gone', 'x'],
    ['twice', 'old'],
    ['twice', 'same'],
    symlinkTo('link', 'a'),
  ];
  const after: TarEntryInput[] = [
    folder('d'),
    ['new', 'new'],
    ['d/grown', 'longer than before'],
    ['d/same', lines(3000, 2)],
    ['d/edited', 'aaab'],
    ['d/chmod', 'x', { mode: 0o600 }],
    ['twice', 'same'],
    symlinkTo('link', 'b'),
  ];
  const plain = noise(10_000, 1);
  const fixture = await pushNights([
    { app: tarOf(before), same: tarOf([['x', 'y']]), old: plain },
    { app: tarOf(after), same: tarOf([['x', 'y']]), fresh: plain },
  ]);
  const { found } = await diff(fixture, 1, 2);
  assert.deepEqual(inShort(found), [
    `changed app ${tarOf(before).byteLength}→${tarOf(after).byteLength}`,
    'added app:new undefined→3',
    'contents app:d/grown 5→18',
    'contents app:d/edited 4→4',
    'metadata app:d/chmod 1→1',
    'metadata app:link 0→0',
    'removed app:d/gone 1→undefined',
    'added fresh undefined→10000',
    'removed old 10000→undefined',
  ]);
  assert.deepEqual((await diff(fixture, 2, 2)).found, []);
});

test('unchanged contents are not fetched, also behind a change and when members moved', async () => {
  const files: TarEntryInput[] = Array.from({ length: 40 }, (_, index) => [
    `f${index}`,
    noise(60_000 + index, index + 1),
  ]);
  const changed: TarEntryInput[] = [
    ...files.slice(20),
    ['f5', noise(60_005, 99)],
    ...files.slice(0, 5),
    ...files.slice(6, 20),
  ];
  const fixture = await pushNights([{ app: tarOf(files) }, { app: tarOf(changed) }]);
  const { found, wholePacks } = await diff(fixture, 1, 2);
  assert.deepEqual(inShort(found).slice(1), ['contents app:f5 60005→60005']);
  assert.ok(fixture.repository.packs.size > 9, 'many packs');
  assert.ok(wholePacks.size <= 5, `${[...wholePacks]} of ${fixture.repository.packs.size} packs were fetched`);
});

test('what is reported equals a plain comparison of both tars', async () => {
  const fixture = makeMemoryRepository();
  interface MemberInput {
    readonly name: string;
    readonly size: number;
    readonly seed: number;
    readonly at: number;
    readonly mode: number;
  }
  const member: fc.Arbitrary<MemberInput> = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd/a', 'd/b', 'e'),
    size: fc.constantFrom(0, 10, 9000, 30_000, 120_000),
    seed: fc.nat(2),
    at: fc.constantFrom(-1, 0, 5000, 29_999),
    mode: fc.constantFrom(0o644, 0o600),
  });
  const night = fc.array(member, { maxLength: 6 });
  const entriesOf = (members: readonly MemberInput[]): TarEntryInput[] =>
    members.map(({ name, size, seed, at, mode }) => {
      const bytes = noise(size, seed + 1);
      if (at >= 0 && at < size) bytes[at] = 255 - (bytes[at] ?? 0);
      return [name, bytes, { mode }];
    });
  let pushed = 0;
  await fc.assert(
    fc.asyncProperty(night, night, async (one, two) => {
      const [before, after] = [entriesOf(one), entriesOf(two)];
      await pushNights(
        [{ app: tarOf([['first', ''], ...before]) }, { app: tarOf([['first', ''], ...after]) }],
        fixture,
      );
      pushed += 2;
      const { found } = await diff(fixture, pushed - 1, pushed);
      const last = (entries: readonly TarEntryInput[]) => new Map(entries.map((entry) => [entry[0], entry]));
      const [old, current] = [last(before), last(after)];
      const expected: string[] = [];
      for (const [name, [, content, overrides]] of current) {
        const was = old.get(name);
        if (was === undefined) expected.push(`added ${name}`);
        else if (!Buffer.from(was[1] ?? '').equals(Buffer.from(content ?? ''))) expected.push(`contents ${name}`);
        else if (was[2]?.mode !== overrides?.mode) expected.push(`metadata ${name}`);
      }
      for (const name of old.keys()) if (!current.has(name)) expected.push(`removed ${name}`);
      const reported = found.filter((one) => one.kind === 'member').map((one) => `${one.change} ${one.name}`);
      assert.deepEqual(reported.sort(), expected.sort());
    }),
    { numRuns: 30 },
  );
});
