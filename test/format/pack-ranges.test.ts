// The algebra of pack ranges against sets of numbers; their encoding against every other form.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteReader } from '../../src/bytes/byte-reader.ts';
import { ByteWriter } from '../../src/bytes/byte-writer.ts';
import { limits } from '../../src/format/limits.ts';
import { PackRanges, readPackRanges, writePackRanges } from '../../src/format/pack-ranges.ts';
import { assertCanonical, assertRefused, truncations, withTail } from '../bytes/tampering.ts';

const numbers = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 });
const listed = (set: PackRanges): number[] => [...set.numbers()];
const sorted = (values: Iterable<number>): number[] => [...new Set(values)].sort((a, b) => a - b);

function encode(set: PackRanges): Uint8Array {
  const writer = new ByteWriter();
  writePackRanges(writer, set);
  return writer.finish();
}

function decode(bytes: Uint8Array): PackRanges {
  const reader = new ByteReader(bytes, 'sample');
  const set = readPackRanges(reader);
  reader.end();
  return set;
}

function assertNormal(set: PackRanges): void {
  let previous = -1;
  for (const { first, last } of set.ranges) {
    assert.ok(first > previous + 1 && first <= last);
    previous = last;
  }
}

test('the algebra is that of sets', () => {
  fc.assert(
    fc.property(numbers, numbers, (a, b) => {
      const [left, right] = [PackRanges.fromNumbers(a), PackRanges.fromNumbers(b)];
      const [setA, setB] = [new Set(a), new Set(b)];
      assert.deepEqual(listed(left), sorted(a));
      assert.deepEqual(listed(left.union(right)), sorted([...setA, ...setB]));
      assert.deepEqual(listed(left.minus(right)), sorted(a.filter((number) => !setB.has(number))));
      assert.deepEqual(listed(left.intersect(right)), sorted(a.filter((number) => setB.has(number))));
      assert.equal(left.size, setA.size);
      assert.equal(left.isEmpty, setA.size === 0);
      for (let number = 0; number <= 61; number++) assert.equal(left.has(number), setA.has(number));
      for (const set of [left, left.union(right), left.minus(right), left.intersect(right)]) assertNormal(set);
    }),
    { numRuns: 1000 },
  );
});

test('from ranges in any order, touching or overlapping', () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 60 }), fc.nat(9))
    .map(([first, more]) => ({ first, last: first + more }));
  fc.assert(
    fc.property(fc.array(range), (ranges) => {
      const set = PackRanges.from(ranges);
      const naive = ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
      assert.deepEqual(listed(set), sorted(naive));
      assertNormal(set);
    }),
  );
});

test('what is no range of numbers is refused', () => {
  const bad = [
    { first: 0, last: 1 },
    { first: 5, last: 4 },
    { first: 1.5, last: 2 },
    { first: Number.NaN, last: 2 },
    { first: 1, last: Number.POSITIVE_INFINITY },
  ];
  for (const range of bad) assertRefused(() => PackRanges.from([{ first: 3, last: 4 }, range]), ['FORMAT_INVALID']);
  assertRefused(() => PackRanges.fromNumbers([1, 0]), ['FORMAT_INVALID']);
  assertRefused(() => PackRanges.fromNumbers([Number.NaN]), ['FORMAT_INVALID']);
});

test('an encoding comes back, and no other form is accepted', () => {
  fc.assert(
    fc.property(numbers, (list) => {
      const set = PackRanges.fromNumbers(list);
      const bytes = encode(set);
      assert.deepEqual(decode(bytes).ranges, set.ranges);
      for (const part of truncations(bytes)) assertRefused(() => decode(part), ['FORMAT_INVALID']);
      assertRefused(() => decode(withTail(bytes, 0)), ['FORMAT_INVALID']);
      assertCanonical(bytes, decode, encode);
    }),
  );
});

test('the largest number, and one more', () => {
  const set = PackRanges.from([{ first: limits.packNumberMax, last: limits.packNumberMax }]);
  assert.deepEqual(decode(encode(set)).ranges, set.ranges);
  const beyond = PackRanges.from([{ first: 1, last: limits.packNumberMax + 1 }]);
  assertRefused(() => decode(encode(beyond)), ['FORMAT_INVALID']);
});

test('ranges that touch, and more of them than there are bytes, are refused', () => {
  assertRefused(() => decode(new Uint8Array([2, 0, 0, 0, 0])), ['FORMAT_INVALID']);
  assertRefused(() => decode(new ByteWriter().varint(limits.packRangesMax).finish()), ['FORMAT_INVALID']);
  assertRefused(() => decode(new ByteWriter().varint(limits.packRangesMax + 1).finish()), ['FORMAT_INVALID']);
});

test('for people', () => {
  assert.equal(PackRanges.fromNumbers([1, 2, 3, 9]).toText(), '1-3, 9');
  assert.equal(PackRanges.fromNumbers([1, 3, 5]).toText(2), '1, 3, and 1 more ranges');
});
