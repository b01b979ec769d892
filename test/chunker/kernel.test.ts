// The kernel: equal to its twin, to golden vectors, to its own source; and its cuts spread as they should.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileKernel, kernelModule } from '../../scripts/build-kernel.ts';
import type { CutSizes } from '../../src/chunker/chunker.ts';
import { createChunkerPool, poolView } from '../../src/chunker/chunker-pool.ts';
import { createChunker } from '../../src/chunker/create-chunker.ts';
import { createFallbackCutter } from '../../src/chunker/fallback-engine.ts';
import { deriveGearTable } from '../../src/chunker/gear-table.ts';
import { defaultChunkerParameters } from '../../src/chunker/parameters.ts';
import { cutAll, mixedTar, randomBytesOf, smallParameters, testSeed, textBytesOf } from './samples.ts';
import { twinCuts, twinTable } from './twin.ts';

const sizesOf = fc
  .record({
    bits: fc.integer({ min: 8, max: 10 }),
    minimum: fc.integer({ min: 32, max: 120 }),
    more: fc.integer({ min: 1, max: 3000 }),
  })
  .map(({ bits, minimum, more }) => ({
    minimumBytes: minimum * 2,
    averageBytes: 2 ** bits,
    maximumBytes: Math.max(1024, 2 ** bits) + more,
  }));

/** Random, repetitive and constant stretches. */
const someBytes = fc
  .array(fc.tuple(fc.nat(1000), fc.constantFrom('random', 'text', 'zeros'), fc.integer({ min: 1, max: 4000 })), {
    maxLength: 5,
  })
  .map((parts) =>
    Buffer.concat(
      parts.map(([number, kind, length]) => {
        if (kind === 'random') return randomBytesOf(number, length);
        return kind === 'text' ? textBytesOf(number, length) : new Uint8Array(length).fill(number & 1);
      }),
    ),
  );

const pool = createChunkerPool(1024 * 1024);
const windows = poolView(pool);

test('the gear table is HKDF-SHA-256 of the seed, as OpenSSL derives it', () => {
  assert.deepEqual([...deriveGearTable(testSeed)], twinTable(testSeed));
});

test('the kernel equals its slow twin, wherever the window lies', () => {
  const cutter = createFallbackCutter(pool, 0, testSeed);
  const table = twinTable(testSeed);
  fc.assert(
    fc.property(someBytes, sizesOf, fc.boolean(), fc.nat(9), (bytes, sizes: CutSizes, isEnd, startByte) => {
      windows.set(bytes, startByte);
      const ends = bytes.length === 0 ? [] : [...cutter.cut(startByte, bytes.length, sizes, isEnd, 1e6)];
      const twin = twinCuts(bytes, table, sizes, isEnd);
      // The kernel takes two bytes a step: a cut that falls exactly at the end of a window that goes on may wait for the next one.
      if (!isEnd && twin.length === ends.length + 1 && twin.at(-1) === bytes.length) twin.pop();
      assert.deepEqual(ends, twin);
    }),
    { numRuns: 150 },
  );
});

test('a limit on cuts takes the first ones', () => {
  const cutter = createFallbackCutter(pool, 0, testSeed);
  windows.set(textBytesOf(1, 100_000));
  const all = [...cutter.cut(0, 100_000, smallParameters.fine, true, 1e6)];
  assert.deepEqual([...cutter.cut(0, 100_000, smallParameters.fine, true, 7)], all.slice(0, 7));
});

test('a window of exactly the maximum yields a cut where the content makes none', () => {
  const cutter = createFallbackCutter(pool, 0, testSeed);
  windows.fill(0, 0, 1024);
  assert.deepEqual([...cutter.cut(0, 1023, smallParameters.fine, false, 9)], []);
  assert.deepEqual([...cutter.cut(0, 1024, smallParameters.fine, false, 9)], [1024]);
});

test('golden vectors: the rule cannot change unnoticed', () => {
  const chunker = createChunker(defaultChunkerParameters, testSeed, { poolBytes: 2 ** 21 });
  const ends = [...chunker.cutBytes(randomBytesOf(1, 2 ** 20), defaultChunkerParameters.fine)];
  assert.deepEqual(ends.slice(0, 8), [8711, 20425, 34438, 47984, 58079, 66601, 74988, 87566]);
  assert.equal(
    createHash('sha256').update(ends.join()).digest('hex'),
    '74c0215bda2f2444141acacc25ce117e0d27a212526f321cb36fab138fba027c',
  );
  const { ends: tarEnds, kinds } = cutAll(
    createChunker(smallParameters, testSeed, { poolBytes: 2 ** 17 }),
    mixedTar(),
    () => 2 ** 17,
  );
  assert.equal(tarEnds.length, 80);
  assert.equal(
    createHash('sha256').update(`${tarEnds} ${kinds}`).digest('hex'),
    '7aa77dffc99fefe533b7682ace7f3c396ba1e8caabadee426cc4ccb075e9d85b',
  );
});

test('the compiled kernel in the tree is what its source compiles to', () => {
  const expected = readFileSync(new URL('../../src/chunker/kernel-wasm.ts', import.meta.url), 'utf8');
  assert.equal(kernelModule(compileKernel()), expected);
});

test('lengths of chunks are distributed as the rule says', () => {
  const chunker = createChunker(defaultChunkerParameters, testSeed, { poolBytes: 2 ** 21 });
  const sizes = { minimumBytes: 512, averageBytes: 2048, maximumBytes: 16_384 };
  const ends = chunker.cutBytes(randomBytesOf(9, 2 ** 25), sizes);
  const lengths = [...ends].map((end, index) => end - (ends[index - 1] ?? 0)).slice(0, -1);
  // Behind the minimum a cut comes with chance 2^-13 a byte, behind the average with 2^-9, at the maximum surely.
  const behind = (length: number) =>
    (1 - 2 ** -13) ** (Math.min(length, 2048) - 512) * (1 - 2 ** -9) ** Math.max(0, length - 2048);
  for (const length of [600, 1024, 1536, 2048, 2200, 2400, 2700, 3000, 3500, 4500]) {
    const share = lengths.filter((each) => each > length).length / lengths.length;
    const deviation = Math.sqrt((behind(length) * (1 - behind(length))) / lengths.length);
    assert.ok(Math.abs(share - behind(length)) < 5 * deviation, `${length}: ${share}, expected ${behind(length)}`);
  }
  assert.ok(Math.min(...lengths) > 512);
  assert.ok(Math.max(...lengths) <= 16_384);
});
