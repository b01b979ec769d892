import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteReader } from '../../src/bytes/byte-reader.ts';
import { ByteWriter } from '../../src/bytes/byte-writer.ts';
import { limits } from '../../src/format/limits.ts';
import {
  decodeRuns,
  encodeRuns,
  iterateRuns,
  type Recipe,
  type Run,
  readRecipe,
  runsBytes,
  writeRecipe,
} from '../../src/format/recipe.ts';
import { assertCanonical, assertRefused, truncations, withTail } from '../bytes/tampering.ts';

const run = fc
  .record({
    pack: fc.oneof(fc.integer({ min: 1, max: 99 }), fc.integer({ min: 1, max: limits.packNumberMax })),
    first: fc.nat(30_000),
    count: fc.integer({ min: 1, max: 30_000 }),
    extra: fc.nat(1_000_000),
  })
  .map(({ pack, first, count, extra }): Run => ({ pack, first, count, bytes: count + extra }));

const sample: Recipe = {
  lengthBytes: 5000,
  sha256: new Uint8Array(32).fill(9),
  nested: false,
  runs: [
    { pack: 300, first: 0, count: 3, bytes: 4000 },
    { pack: 2, first: 70, count: 1, bytes: 1000 },
  ],
};

function encode(recipe: Recipe): Uint8Array {
  const writer = new ByteWriter();
  writeRecipe(writer, recipe);
  return writer.finish();
}

function decode(bytes: Uint8Array): Recipe {
  const reader = new ByteReader(bytes, 'sample');
  const recipe = readRecipe(reader);
  reader.end();
  return recipe;
}

test('runs come back, whole, one by one, and written in pieces', () => {
  fc.assert(
    fc.property(fc.array(run), fc.nat(30), (runs, cut) => {
      const bytes = encodeRuns(runs);
      assert.deepEqual(decodeRuns(bytes), runs);
      assert.deepEqual([...iterateRuns(bytes)], runs);
      const head = runs.slice(0, cut);
      const tail = encodeRuns(runs.slice(cut), head.at(-1)?.pack);
      assert.deepEqual(new Uint8Array([...encodeRuns(head), ...tail]), bytes);
      assert.equal(
        runsBytes(runs),
        runs.reduce((sum, { bytes }) => sum + bytes, 0),
      );
    }),
  );
});

test('runs: truncations inside a record, other forms and flips', () => {
  const bytes = encodeRuns(sample.runs);
  const firstRecordBytes = encodeRuns(sample.runs.slice(0, 1)).byteLength;
  for (const part of truncations(bytes)) {
    if (part.byteLength === 0 || part.byteLength === firstRecordBytes) continue;
    assertRefused(() => decodeRuns(part), ['FORMAT_INVALID']);
  }
  assertCanonical(bytes, decodeRuns, (runs) => encodeRuns(runs));
});

test('runs out of range are refused', () => {
  const record = (...values: number[]): Uint8Array => {
    const writer = new ByteWriter();
    for (const value of values) writer.varint(value);
    return writer.finish();
  };
  const refused = [
    record(0, 0, 1, 1),
    record(1, 0, 1, 1),
    record(limits.packNumberMax * 2 + 2, 0, 1, 1),
    record(2, 0, 0, 1),
    record(2, 0, 2, 1),
    record(2, limits.packChunksMax, 1, 1),
    record(2, limits.packChunksMax + 1, 1, 1),
    record(2, 0, 1, limits.packContentsBytesMax + 1),
    new Uint8Array([...record(4, 0, 1, 1), ...record(3, 0, 1, 1)]),
  ];
  for (const [index, bytes] of refused.entries()) {
    assertRefused(() => decodeRuns(bytes), ['FORMAT_INVALID'], `case ${index}`);
  }
  assert.equal(decodeRuns(record(limits.packNumberMax * 2, 0, 1, 1))[0]?.pack, limits.packNumberMax);
});

test('recipes come back, plain and nested', () => {
  assert.deepEqual(decode(encode(sample)), sample);
  const nested = { ...sample, nested: true, lengthBytes: limits.archiveBytesMax };
  assert.deepEqual(decode(encode(nested)), nested);
  const empty = { ...sample, lengthBytes: 0, runs: [] };
  assert.deepEqual(decode(encode(empty)), empty);
});

test('recipes: truncations, tails, flips', () => {
  const bytes = encode(sample);
  for (const part of truncations(bytes)) assertRefused(() => decode(part), ['FORMAT_INVALID']);
  assertRefused(() => decode(withTail(bytes, 0)), ['FORMAT_INVALID']);
  assertCanonical(bytes, decode, encode);
});

test('recipes whose runs do not add up, or that are beyond a limit, are refused', () => {
  const refused = [
    { ...sample, lengthBytes: 4999 },
    { ...sample, runs: [] },
    { ...sample, nested: true, runs: [] },
    { ...sample, lengthBytes: limits.archiveBytesMax + 1, nested: true },
    {
      ...sample,
      nested: true,
      runs: new Array<Run>(17).fill({ pack: 1, first: 0, count: 9, bytes: limits.packContentsBytesMax }),
    },
  ];
  for (const [index, recipe] of refused.entries()) {
    assertRefused(() => decode(encode(recipe)), ['FORMAT_INVALID'], `case ${index}`);
  }
  assertRefused(() => readRecipe(new ByteReader(encode(sample), 'sample'), 4999), ['FORMAT_INVALID']);
  const bytes = encode(sample);
  bytes[2 + 32] = 2;
  assertRefused(() => decode(bytes), ['FORMAT_INVALID']);
});
