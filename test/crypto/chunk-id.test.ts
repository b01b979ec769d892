// Chunk ids are HMAC-SHA-256: RFC 4231's vectors.
import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { toHex } from '../../src/bytes/hex.ts';
import { chunkHasher, chunkId } from '../../src/crypto/chunk-id.ts';

const repeated = (value: number, length: number): Uint8Array => new Uint8Array(length).fill(value);

// RFC 4231, cases 1 to 4, 6 and 7 (5 is truncated)
const vectors: [Uint8Array, Uint8Array, string][] = [
  [repeated(0x0b, 20), Buffer.from('Hi There'), 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
  [
    Buffer.from('Jefe'),
    Buffer.from('what do ya want for nothing?'),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  ],
  [repeated(0xaa, 20), repeated(0xdd, 50), '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe'],
  [
    Uint8Array.from({ length: 25 }, (_, index) => index + 1),
    repeated(0xcd, 50),
    '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
  ],
  [
    repeated(0xaa, 131),
    Buffer.from('Test Using Larger Than Block-Size Key - Hash Key First'),
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  ],
  [
    repeated(0xaa, 131),
    Buffer.from(
      'This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.',
    ),
    '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
  ],
];

test('RFC 4231’s vectors', () => {
  for (const [key, data, id] of vectors) assert.equal(toHex(chunkId(createSecretKey(key), data)), id);
});

test('noble agrees', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.uint8Array({ maxLength: 500 }), (key, data) => {
      assert.deepEqual(new Uint8Array(chunkId(createSecretKey(key), data)), hmac(sha256, key, data));
    }),
  );
});

test('many at once are the same as one by one, short and long, in shared memory too', () => {
  const length = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 16_300, max: 16_500 }));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.array(length, { maxLength: 8 }), (raw, lengths) => {
      const key = createSecretKey(raw);
      const bytes = new Uint8Array(new SharedArrayBuffer(lengths.reduce((sum, each) => sum + each, 0)));
      for (let at = 0; at < bytes.byteLength; at++) bytes[at] = (at * 31) >> 3;
      let end = 0;
      const ends = Uint32Array.from(lengths, (each) => (end += each));
      const ids = new Uint8Array(new SharedArrayBuffer(lengths.length * 32));
      chunkHasher(key).write(bytes, ends, ids);
      for (const [index, to] of ends.entries()) {
        const contents = bytes.slice(ends[index - 1] ?? 0, to);
        assert.deepEqual(ids.slice(index * 32, index * 32 + 32), new Uint8Array(hmac(sha256, raw, contents)));
      }
      assert.equal(chunkHasher(key).findWrong(bytes, lengths, ids), -1);
    }),
    { numRuns: 60 },
  );
});

test('the first chunk that is not what its id says is found', () => {
  const key = createSecretKey(repeated(1, 32));
  const chunks = [repeated(1, 10), repeated(2, 20), repeated(3, 30)];
  const contents = new Uint8Array(Buffer.concat(chunks));
  const ids = new Uint8Array(Buffer.concat(chunks.map((chunk) => chunkId(key, chunk))));
  assert.equal(chunkHasher(key).findWrong(contents, [10, 20, 30], ids), -1);
  assert.equal(chunkHasher(key).findWrong(contents, [10, 19, 31], ids), 1);
  for (const [at, position] of [
    [0, 0],
    [9, 0],
    [10, 1],
    [59, 2],
  ] as const) {
    const damaged = new Uint8Array(contents);
    damaged[at] = 99;
    assert.equal(chunkHasher(key).findWrong(damaged, [10, 20, 30], ids), position);
  }
});
