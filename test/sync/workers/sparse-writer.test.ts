// The gathering, sparse writer against plain writes to memory.
import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { SparseWriter } from '../../../src/sync/workers/sparse-writer.ts';
import { inFolder, noise } from '../read/archives.ts';

/** Runs of noise and zeros, with gaps between some, in an order of their own. */
const pieces = fc.array(
  fc.record({
    length: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 60_000, max: 300_000 })),
    isZero: fc.boolean(),
    zeroEdges: fc.boolean(),
    gap: fc.constantFrom(0, 0, 0, 1, 65_536),
  }),
  { maxLength: 12 },
);

test('a file holds what was written where it was written, whatever the order', async () => {
  await inFolder(async (folder) => {
    const path = join(folder, 'file');
    fc.assert(
      fc.property(pieces, fc.boolean(), (list, isBackwards) => {
        const writes: { bytes: Uint8Array; position: number }[] = [];
        let at = 0;
        for (const [index, { length, isZero, zeroEdges, gap }] of list.entries()) {
          at += gap;
          const bytes = isZero ? new Uint8Array(length) : noise(length, index);
          if (zeroEdges) bytes.fill(0, 0, length / 3).fill(0, (length * 2) / 3);
          writes.push({ bytes, position: at });
          at += length;
        }
        const expected = Buffer.alloc(at);
        for (const { bytes, position } of writes) expected.set(bytes, position);
        const file = openSync(path, 'w');
        try {
          ftruncateSync(file, at);
          const writer = new SparseWriter(file);
          for (const { bytes, position } of isBackwards ? writes.reverse() : writes) writer.write(bytes, position);
          writer.flush();
        } finally {
          closeSync(file);
        }
        assert.ok(readFileSync(path).equals(expected));
      }),
      { numRuns: 60 },
    );
  });
});

test('many small neighbours and one large piece; aligned zero blocks take no space', async () => {
  await inFolder(async (folder) => {
    const path = join(folder, 'file');
    const file = openSync(path, 'w');
    const large = noise(3_000_000, 7);
    const small = Array.from({ length: 1000 }, (_, index) => noise(1 + (index % 50), index));
    const inside = Buffer.concat([noise(1000, 1), Buffer.alloc(2_000_000), noise(1000, 2)]);
    const expected = Buffer.concat([...small, large, inside]);
    const writer = new SparseWriter(file);
    let at = 0;
    for (const bytes of [...small, large, inside]) {
      writer.write(bytes, at);
      at += bytes.byteLength;
    }
    writer.flush();
    writer.flush();
    closeSync(file);
    assert.ok(readFileSync(path).equals(expected));
    assert.ok(statSync(path).blocks * 512 < expected.byteLength - 1_800_000);
  });
});
