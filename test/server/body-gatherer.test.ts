import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { BodyGatherer, type TakePiece } from '../../src/server/body-gatherer.ts';

/** A body in pieces of these lengths; each byte tells its place. */
function bodyOf(lengths: readonly number[]): { readonly pieces: Buffer[]; readonly whole: Buffer } {
  let at = 0;
  const pieces = lengths.map((length) => Buffer.from(Uint8Array.from({ length }, () => (at = (at + 7) % 251))));
  return { pieces, whole: Buffer.concat(pieces) };
}

async function gather(pieces: readonly Buffer[], bodyBytes: number, take: TakePiece): Promise<number> {
  const stream = new PassThrough();
  let arrived = 0;
  const running = new BodyGatherer(stream as unknown as IncomingMessage, bodyBytes, take, (bytes) => {
    arrived += bytes;
  }).run();
  running.catch(() => undefined);
  for (const piece of pieces) if (!stream.destroyed && !stream.write(piece)) await turn();
  if (!stream.destroyed) stream.end();
  await running;
  return arrived;
}

test('every byte is taken once and in order, however it came and however slowly it is taken', async () => {
  const length = fc.oneof(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 100_000, max: 300_000 }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(length, { maxLength: 12 }),
      fc.array(fc.nat(3), { maxLength: 6 }),
      async (lengths, waits) => {
        const { pieces, whole } = bodyOf(lengths);
        const taken: Buffer[] = [];
        let running = 0;
        const arrived = await gather(pieces, whole.byteLength, (bytes) => {
          const wait = waits[taken.length % Math.max(1, waits.length)] ?? 0;
          const place = taken.push(Buffer.alloc(0)) - 1;
          if (wait === 0) {
            taken[place] = Buffer.from(bytes);
            return undefined;
          }
          return (async () => {
            assert.equal(++running, 1, 'two pieces are never taken at once');
            for (let count = 0; count < wait; count++) await turn();
            // Only now: it must still be there, whatever came meanwhile.
            taken[place] = Buffer.from(bytes);
            running--;
          })();
        });
        assert.equal(arrived, whole.byteLength);
        assert.ok(Buffer.concat(taken).equals(whole));
        assert.ok(taken.length <= Math.ceil(whole.byteLength / (256 * 1024)), 'pieces are as large as they may be');
      },
    ),
    { numRuns: 40 },
  );
});

test('what the taker throws ends it, at once or later', async () => {
  const { pieces, whole } = bodyOf([300_000, 300_000, 300_000]);
  const full = new Error('disk full');
  const atOnce = gather(pieces, whole.byteLength, () => {
    throw full;
  });
  await assert.rejects(atOnce, full);
  let count = 0;
  const later = gather(pieces, whole.byteLength, async () => {
    await turn();
    if (++count === 2) throw full;
  });
  await assert.rejects(later, full);
});

test('a body that is cut is an error, and its end is never taken for whole', async () => {
  const stream = new PassThrough();
  const running = new BodyGatherer(
    stream as unknown as IncomingMessage,
    1000,
    () => undefined,
    () => undefined,
  ).run();
  stream.write(Buffer.alloc(10));
  await turn();
  stream.destroy();
  await assert.rejects(running, /cut/);
});
