// One suite for both engines: what the contract in chunker.ts promises, and what tar awareness is for.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Chunker, ChunkerEngine, ChunkerParameters } from '../../src/chunker/chunker.ts';
import { createChunker } from '../../src/chunker/create-chunker.ts';
import { defaultChunkerParameters } from '../../src/chunker/parameters.ts';
import { encodeTarEnd, encodeTarHeaders } from '../../src/tar/tar-writer.ts';
import { plainMember } from '../tar/tar-samples.ts';
import {
  chunksOf,
  coversExactly,
  cutAll,
  dumpBytesOf,
  file,
  mixedTar,
  photoBytesOf,
  randomBytesOf,
  smallParameters,
  tarOf,
  testSeed,
  textBytesOf,
} from './samples.ts';

const whole = () => 1e9;
const engines: readonly ChunkerEngine[] = ['fallback', 'fastcdc-wasm'];

function open(engine: ChunkerEngine, parameters: ChunkerParameters = smallParameters, poolBytes = 2 ** 18): Chunker {
  return createChunker({ ...parameters, engine }, testSeed, { poolBytes });
}

/** How many of `after`’s chunks are not among `before`’s. */
function newChunks(chunker: Chunker, before: Uint8Array, after: Uint8Array): number {
  const known = new Set(chunksOf(before, cutAll(chunker, before, whole).ends));
  return chunksOf(after, cutAll(chunker, after, whole).ends).filter((chunk) => !known.has(chunk)).length;
}

const streams = fc.oneof(
  fc.constant(mixedTar()),
  fc.nat(60_000).map((length) => mixedTar().subarray(0, length)),
  fc.tuple(fc.nat(40_000), fc.nat(255)).map(([at, value]) => mixedTar().with(at, value)),
  fc.nat(20_000).map((length) => textBytesOf(length, length)),
  fc
    .nat(20_000)
    .map((length) =>
      tarOf([file('a', textBytesOf(1, 700)), file('dump', dumpBytesOf(2, length)), file('b', photoBytesOf(3, 3000))]),
    ),
  fc.nat(40_000).map((length) => new Uint8Array(length)),
  fc.array(fc.tuple(fc.nat(12_000), fc.boolean()), { maxLength: 6 }).map((members) =>
    tarOf(
      members.map(([length, isPhoto], index) =>
        file(`${index}`.repeat(index * 40 + 1), isPhoto ? photoBytesOf(index, length) : textBytesOf(index, length)),
      ),
      members.length % 2 ? 'pax' : 'gnu',
    ),
  ),
);

for (const engine of engines) {
  const chunker = open(engine);

  test(`${engine}: cuts cover the input, within the sizes, however it falls into windows`, () => {
    fc.assert(
      fc.property(
        streams,
        fc.infiniteStream(fc.integer({ min: 1, max: 9000 })),
        fc.integer({ min: 1, max: 9 }),
        (bytes, steps, room) => {
          const expected = cutAll(chunker, bytes, whole);
          assert.ok(coversExactly(bytes, expected.ends));
          for (const [index, end] of expected.ends.entries()) {
            const sizes = expected.kinds[index] === 1 ? smallParameters.coarse : smallParameters.fine;
            assert.ok(end - (expected.ends[index - 1] ?? 0) <= sizes.maximumBytes);
          }
          const next = () => steps.next().value ?? 1;
          assert.deepEqual(cutAll(chunker, bytes, next), expected);
          assert.deepEqual(cutAll(chunker, bytes, next, room), expected, 'with little room for cuts');
          assert.deepEqual(
            cutAll(chunker, bytes, () => 700),
            expected,
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  test(`${engine}: every truncation of a small tar, byte by byte too`, () => {
    const tar = tarOf([file('a', textBytesOf(1, 2500)), file('b', photoBytesOf(2, 3100))]).subarray(0, 9216);
    for (let length = 0; length <= tar.byteLength; length += length % 512 < 4 || length % 512 > 508 ? 1 : 13) {
      const bytes = tar.subarray(0, length);
      assert.ok(coversExactly(bytes, cutAll(chunker, bytes, whole).ends), `length ${length}`);
    }
    const short = tar.subarray(0, 5000);
    assert.deepEqual(
      cutAll(chunker, short, () => 1),
      cutAll(chunker, short, whole),
    );
  });

  test(`${engine}: large members begin and end with a cut, behind their padding; incompressible ones are coarse`, () => {
    const { ends, kinds, members } = cutAll(chunker, mixedTar(), whole);
    for (const { name, headerOffset, headerBytes, sizeBytes } of members) {
      const start = headerOffset + headerBytes;
      const end = start + Math.ceil(sizeBytes / 512) * 512;
      const isLarge = sizeBytes >= smallParameters.largeMemberBytesMin;
      if (isLarge) assert.ok(ends.includes(start) && ends.includes(end), name);
      const inside = kinds.filter((_, index) => (ends[index] ?? 0) > start && (ends[index] ?? 0) <= end);
      const isCoarse = sizeBytes >= smallParameters.coarseMemberBytesMin && name !== 'dump';
      if (isLarge)
        assert.ok(
          inside.every((kind) => kind === (isCoarse ? 1 : 0)),
          name,
        );
      // Whatever fits into one coarse chunk is one.
      if (isCoarse && sizeBytes <= 8192) assert.equal(inside.length, 1, name);
    }
    assert.ok(kinds.includes(1));
  });

  test(`${engine}: a dump is cut by the sizes for what is edited all over, and by the fine ones where there are none`, () => {
    const [before, dump, after] = [textBytesOf(1, 5000), dumpBytesOf(2, 9000), textBytesOf(3, 5000)];
    const tar = tarOf([file('a', before), file('dump', dump), file('b', after)]);
    const plain = createChunker({ ...smallParameters, engine, edited: undefined }, testSeed, { poolBytes: 2 ** 17 });
    const { headerOffset = 0, headerBytes = 0 } = cutAll(chunker, tar, whole).members[1] ?? {};
    const start = headerOffset + headerBytes;
    // The contents with their padding, cut alone.
    const contents = tar.subarray(start, start + 9216);
    for (const [own, sizes] of [
      [chunker, smallParameters.edited],
      [plain, smallParameters.fine],
    ] as const) {
      const expected = [...own.cutBytes(contents, sizes ?? smallParameters.fine)].map((end) => start + end);
      for (const next of [whole, () => 600]) {
        const { ends } = cutAll(own, tar, next);
        assert.deepEqual(
          ends.filter((end) => end > start && end <= start + 9216),
          expected,
        );
      }
    }
    const outside = ({ ends }: { readonly ends: readonly number[] }): number[] =>
      ends.filter((end) => end <= start || end > start + 9216);
    assert.deepEqual(outside(cutAll(chunker, tar, whole)), outside(cutAll(plain, tar, whole)));
  });

  test(`${engine}: a file that is no tar is cut coarsely when it looks incompressible, finely when it does not`, () => {
    const film = new Uint8Array(randomBytes(200_000));
    film.set(Buffer.from('\x00\x00\x00\x18ftypmp42', 'latin1'));
    const lines = Buffer.from(Array.from({ length: 9000 }, (_, line) => `line ${line} of a log`).join('\n'));
    assert.ok(cutAll(chunker, film, whole).kinds.every((kind) => kind === 1));
    assert.ok(cutAll(chunker, film, () => 700).kinds.every((kind) => kind === 1));
    assert.ok(cutAll(chunker, new Uint8Array(lines), whole).kinds.every((kind) => kind === 0));
  });

  test(`${engine}: members are told in order, with what their headers say`, () => {
    const { members } = cutAll(chunker, mixedTar(), () => 100);
    assert.deepEqual(
      members.map(({ name, sizeBytes }) => [name, sizeBytes]),
      [
        ['small', 300],
        ['dump', 9000],
        ['photo', 5000],
        ['short', 2100],
        ['video', 30_000],
        ['empty', 0],
        ['dump', 2048],
        ['cipher', 12_000],
        ['last', 3000],
      ],
    );
    assert.equal(members[1]?.modifiedSeconds, 1758209844);
    assert.equal(members[1]?.headerBytes, 1536);
    assert.equal(members[1]?.userName, 'ada');
  });

  test(`${engine}: moved and renamed members are known whole`, () => {
    const large = [
      file('a', textBytesOf(1, 9000)),
      file('b', photoBytesOf(2, 30_000)),
      file('c', textBytesOf(3, 5000)),
    ];
    const before = tarOf(large);
    const moved = tarOf([2, 0, 1].flatMap((index) => large[index] ?? []));
    const renamed = tarOf(large.map(({ content }, index) => file(`new/place/${index}`, content)));
    // What is new are headers, each a chunk of its own (with the end of the tar, two at most).
    assert.ok(newChunks(chunker, before, moved) <= 3);
    assert.ok(newChunks(chunker, before, renamed) <= 4);
  });

  test(`${engine}: a byte put in changes few chunks`, () => {
    const before = textBytesOf(5, 100_000);
    for (const at of [0, 1000, 50_000, 99_999]) {
      const after = Buffer.concat([before.subarray(0, at), Buffer.from('!'), before.subarray(at)]);
      assert.ok(newChunks(chunker, before, after) <= 6, `at ${at}`);
    }
  });

  test(`${engine}: whatever is no tar, or claims to be more than it is, is covered`, () => {
    const huge = encodeTarHeaders({ ...plainMember('huge'), sizeBytes: 2 ** 50 }, 'gnu');
    const inputs = [
      new Uint8Array(0),
      Uint8Array.of(1),
      encodeTarEnd(0),
      Buffer.concat([huge, textBytesOf(1, 20_000)]),
      Buffer.concat([huge, photoBytesOf(1, 20_000)]),
      Buffer.concat([huge, photoBytesOf(1, 10)]),
      Buffer.concat([mixedTar(), randomBytesOf(1, 5000), mixedTar()]),
      new Uint8Array(30_000).fill(0xff),
    ];
    for (const bytes of inputs) {
      const expected = cutAll(chunker, bytes, whole);
      assert.ok(coversExactly(bytes, expected.ends));
      assert.deepEqual(
        cutAll(chunker, bytes, () => 999),
        expected,
      );
    }
  });

  test(`${engine}: archives can be cut side by side, and a used-up or misused chunker says so`, () => {
    const [first, second] = [chunker.startArchive(), chunker.startArchive()];
    const bytes = textBytesOf(1, 20_000);
    const cuts = () => ({ ends: new Uint32Array(400), kinds: new Uint8Array(400), count: 0 });
    chunker.pool.set(bytes);
    chunker.pool.set(bytes, 100_000);
    const [one, two] = [cuts(), cuts()];
    assert.equal(first.cut(0, 10_000, false, one), second.cut(100_000, 10_000, false, two));
    assert.deepEqual(one, two);
    assert.throws(() => first.cut(0, 10, false, cuts()), RangeError);
    assert.throws(() => second.cut(chunker.pool.byteLength - 10, 10_000, true, cuts()), RangeError);
    const rest = 20_000 - (one.ends[one.count - 1] ?? 0);
    assert.equal(first.cut(20_000 - rest, rest, true, cuts()), rest);
    assert.throws(() => first.cut(0, 0, true, cuts()), RangeError);
  });

  test(`${engine}: byte strings are cut as one window would be, also when longer than a window`, () => {
    const bytes = textBytesOf(8, 9_000_000);
    const sizes = { minimumBytes: 1024, averageBytes: 4096, maximumBytes: 65_536 };
    const ends = [...chunker.cutBytes(bytes, sizes)];
    assert.ok(coversExactly(bytes, ends));
    const large = createChunker({ ...defaultChunkerParameters, engine, fine: sizes }, testSeed, { poolBytes: 2 ** 24 });
    assert.deepEqual(cutAll(large, bytes, whole).ends, ends);
    assert.deepEqual([...chunker.cutBytes(new Uint8Array(0), sizes)], []);
    // Minimum chunks only, more of them than one call returns.
    assert.ok(coversExactly(bytes, [...chunker.cutBytes(bytes, { ...smallParameters.fine })]));
  });
}

test('the seed decides where our engine cuts, and not where fastcdc-wasm does', () => {
  const other = testSeed.with(0, 99);
  const bytes = textBytesOf(1, 50_000);
  for (const engine of engines) {
    const parameters = { ...smallParameters, engine };
    const cuts = [testSeed, other].map((seed) =>
      createChunker(parameters, seed, { poolBytes: 2 ** 17 }).cutBytes(bytes, smallParameters.fine),
    );
    assert.equal(
      Buffer.compare(Buffer.from(cuts[0] ?? []), Buffer.from(cuts[1] ?? [])) === 0,
      engine === 'fastcdc-wasm',
    );
  }
});
