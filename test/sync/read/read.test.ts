// Reading through recipes and catalogues: any place, any pieces, bounded memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CatalogueEncoder, type CatalogueMember, decodeCatalogue } from '../../../src/format/catalogue.ts';
import { encodeRuns, type Run } from '../../../src/format/recipe.ts';
import { ArchiveReader } from '../../../src/sync/read/archive-reader.ts';
import { CatalogueDecoder } from '../../../src/sync/read/catalogue-decoder.ts';
import { CatalogueReader } from '../../../src/sync/read/catalogue-reader.ts';
import { MemberPatterns, normalizeMemberPath } from '../../../src/sync/read/member-pattern.ts';
import { NameTable } from '../../../src/sync/read/name-table.ts';
import { PackReader } from '../../../src/sync/read/pack-reader.ts';
import { RunTable } from '../../../src/sync/read/run-table.ts';
import { type TarEntry, TarReader } from '../../../src/tar/tar-reader.ts';
import { folder, hardlinkTo, lines, noise, symlinkTo, type TarEntryInput, tarOf, withArchive } from './archives.ts';

test('a table of a million runs takes 20 MB, and finds every run', () => {
  const count = 1_000_000;
  function* runs(): Generator<Run> {
    for (let index = 0; index < count; index++) {
      yield {
        pack: 1 + ((index * 7919) % 5000),
        first: index % 500,
        count: 1 + (index % 3),
        bytes: 8000 + (index % 100),
      };
    }
  }
  const encoded = encodeRuns(runs());
  const before = process.memoryUsage().arrayBuffers;
  const table = RunTable.decode(encoded);
  const used = process.memoryUsage().arrayBuffers - before;
  assert.ok(used <= 21_000_000, `${used} bytes`);
  assert.equal(table.length, count);
  let at = 0;
  let index = 0;
  for (const run of runs()) {
    if (index % 997 === 0) {
      assert.equal(table.find(at), index);
      assert.equal(table.find(at + run.bytes - 1), index);
      const found = {
        pack: table.packAt(index),
        first: table.firstAt(index),
        count: table.countAt(index),
        bytes: table.bytesAt(index),
      };
      assert.deepEqual(found, run);
    }
    at += run.bytes;
    index++;
  }
  assert.equal(table.lengthBytes, at);
  assert.equal(table.find(at), count);
});

test('any span of an archive, alone or many in a row, is what it was', async () => {
  const bytes = tarOf([
    ['a.sql', lines(30_000, 3)],
    ['noise', noise(1_500_000, 4)],
    ['zeros', Buffer.alloc(900_000)],
  ]);
  await withArchive(bytes, async (session, archive) => {
    const packs = new PackReader(session, 1_000_000);
    const reader = await ArchiveReader.open(packs, archive.recipe);
    assert.equal(reader.lengthBytes, bytes.byteLength);
    const position = fc.nat(bytes.byteLength + 10);
    const span = fc
      .tuple(position, fc.constantFrom(0, 1, 512, 70_000, 600_000))
      .map(([start, length]) => ({ start, end: start + length }));
    await fc.assert(
      fc.asyncProperty(fc.array(span, { maxLength: 8 }), fc.func(fc.boolean()), async (spans, isSkipped) => {
        const many = reader.spans({ cacheBytesMax: 300_000, packsAhead: 2 });
        for (const { start, end } of spans) many.add(start, end);
        for (const [index, { start, end }] of spans.entries()) {
          const expected = Buffer.from(bytes.subarray(start, end));
          assert.ok(expected.equals(await reader.read(start, end)));
          if (isSkipped(index)) continue;
          const pieces: Uint8Array[] = [];
          for await (const piece of many.pieces(index)) pieces.push(piece);
          assert.ok(expected.equals(Buffer.concat(pieces)), `${start}-${end}`);
        }
      }),
      { numRuns: 60 },
    );
  });
});

const sample: TarEntryInput[] = [
  folder('.'),
  folder('./d'),
  ['./d/file', 'contents', { modifiedSeconds: 12.5 }],
  ['d/other', lines(50, 1), { userId: 0, userName: 'root' }],
  symlinkTo('d/link', '../elsewhere'),
  hardlinkTo('d/hard', './d/file'),
  [`${'long/'.repeat(60)}name`, 'x', { userId: 33, groupId: 33, userName: 'www-data', groupName: 'www-data' }],
];

test('members stream from the catalogue as the tar reader finds them', async () => {
  const entries: TarEntryInput[] = [
    ...sample,
    ...Array.from({ length: 5000 }, (_, index): TarEntryInput => [`many/${index}`, `${index}`]),
  ];
  for (const format of ['pax', 'gnu'] as const) {
    const bytes = tarOf(entries, format);
    const expected: TarEntry[] = [];
    new TarReader({ onEntry: (entry) => expected.push(entry) }).push(bytes);
    await withArchive(bytes, async (session, archive) => {
      const catalogue = new CatalogueReader(new PackReader(session), archive);
      for (let round = 0; round < 2; round++) {
        const members: CatalogueMember[] = [];
        for await (const member of catalogue.members()) members.push(member);
        assert.equal(members.length, expected.length);
        for (const [index, member] of members.entries()) {
          const entry = expected[index];
          for (const [key, value] of Object.entries(member))
            assert.deepEqual(value, entry?.[key as keyof TarEntry], `${member.name} ${key}`);
        }
      }
    });
  }
});

test('a catalogue decodes from any pieces as it does whole; cut off, it is refused', () => {
  const encoder = new CatalogueEncoder();
  const entries: TarEntry[] = [];
  new TarReader({ onEntry: (entry) => entries.push(entry) }).push(tarOf(sample));
  for (const entry of entries) encoder.add(entry);
  const bytes = encoder.take();
  const expected = [...decodeCatalogue(bytes)];
  assert.equal(expected.length, sample.length);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 200 })), (sizes) => {
      const decoder = new CatalogueDecoder();
      const members: CatalogueMember[] = [];
      let at = 0;
      for (const size of [...sizes, bytes.byteLength]) {
        members.push(...decoder.push(bytes.subarray(at, at + size)));
        at += size;
      }
      decoder.finish();
      assert.deepEqual(members, expected);
    }),
  );
  for (let length = 1; length < bytes.byteLength; length++) {
    const decoder = new CatalogueDecoder();
    let count = 0;
    let error: unknown;
    try {
      for (const member of decoder.push(bytes.subarray(0, length))) assert.deepEqual(member, expected[count++]);
      decoder.finish();
    } catch (thrown) {
      error = thrown;
    }
    const isAtRecord = expected.slice(0, count).length === count && error === undefined;
    let whole: CatalogueMember[] | undefined;
    try {
      whole = [...decodeCatalogue(bytes.subarray(0, length))];
    } catch {
      whole = undefined;
    }
    assert.equal(isAtRecord, whole !== undefined, `cut after ${length}`);
  }
  const decoder = new CatalogueDecoder();
  assert.throws(() => [...decoder.push(new Uint8Array(400_000).fill(0xff))], /catalogue|FORMAT_INVALID/);
});

test('paths and globs mean what an admin expects', () => {
  const means = (pattern: string, path: string): boolean =>
    new MemberPatterns([pattern]).matches(normalizeMemberPath(path));
  assert.ok(means('apps/x', './apps/x/'));
  assert.ok(means('/apps/x/', 'apps/x/y/z'));
  assert.ok(!means('apps/x', 'apps/xy'));
  assert.ok(means('apps/*', 'apps/x/deep/file'));
  assert.ok(!means('apps/*.sql', 'apps/x/db.sql'));
  assert.ok(means('**/db.sql', 'db.sql'));
  assert.ok(means('**/db.sql', 'a/b/db.sql'));
  assert.ok(means('a/**/c', 'a/c'));
  assert.ok(means('a/**', 'a/b/c'));
  assert.ok(!means('a/**', 'b/a'));
  assert.ok(means('a?c', 'aßc'));
  assert.ok(means('odd[*]', 'odd[x]'));
  assert.ok(means('*literal', '*literal'));
  assert.ok(means('.', 'anything'));
  assert.ok(new MemberPatterns([]).matches('anything'));
});

test('names keep their numbers while the table grows', () => {
  const table = new NameTable();
  for (let index = 0; index < 50_000; index++) assert.equal(table.set(`name ${index}`, index), -1);
  for (let index = 0; index < 50_000; index += 7) assert.equal(table.get(`name ${index}`), index);
  assert.equal(table.set('name 5', 70_000), 5);
  assert.equal(table.get('name 5'), 70_000);
  assert.equal(table.get('unknown'), -1);
  assert.equal(table.size, 50_000);
});
