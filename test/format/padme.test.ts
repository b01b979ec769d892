// Padmé against its definition (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files …", PETS 2019, algorithm 1).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { padmeLength } from '../../src/format/padme.ts';

/** The paper's algorithm, letter by letter, in exact integers. */
function paperPadme(length: bigint): bigint {
  const floorLog2 = (value: bigint): bigint => BigInt(value.toString(2).length - 1);
  const e = floorLog2(length);
  const s = floorLog2(e) + 1n;
  const lastBits = e - s;
  const mask = (1n << lastBits) - 1n;
  return (length + mask) & ~mask;
}

test('the paper’s algorithm, for every small length and for any large one', () => {
  for (let length = 2; length < 70_000; length++) assert.equal(padmeLength(length), Number(paperPadme(BigInt(length))));
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 2 ** 52 }), (length) => {
      assert.equal(padmeLength(length), Number(paperPadme(BigInt(length))));
    }),
  );
  for (let bits = 2; bits <= 52; bits++) {
    for (const length of [2 ** bits - 1, 2 ** bits, 2 ** bits + 1]) {
      assert.equal(padmeLength(length), Number(paperPadme(BigInt(length))), `2^${bits}`);
    }
  }
});

test('vectors', () => {
  const vectors = [
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 3],
    [8, 8],
    [9, 10],
    [100, 104],
    [1000, 1024],
    [1025, 1088],
    [4 * 2 ** 20 + 1, 4 * 2 ** 20 + 2 ** 17],
  ] as const;
  for (const [length, padded] of vectors) assert.equal(padmeLength(length), padded, String(length));
});

test('never shorter, at most 12 % longer, growing, and padding twice changes nothing', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (length) => {
      const padded = padmeLength(length);
      assert.ok(padded >= length && padded <= length * 1.12);
      assert.ok(padmeLength(length + 1) >= padded);
      assert.equal(padmeLength(padded), padded);
    }),
  );
});
