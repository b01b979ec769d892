// HKDF-SHA-256: RFC 5869's vectors through noble, node:crypto as the second oracle.
import assert from 'node:assert/strict';
import { hkdfSync } from 'node:crypto';
import { test } from 'node:test';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { toHex } from '../../src/bytes/hex.ts';
import { deriveKey, deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { otherRepositoryId, repositoryId, secret } from './samples.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const counting = (first: number, last: number): Uint8Array =>
  Uint8Array.from({ length: last - first + 1 }, (_, index) => first + index);

// RFC 5869, appendix A.1 to A.3
const vectors = [
  {
    secret: new Uint8Array(22).fill(0x0b),
    salt: counting(0, 0x0c),
    info: counting(0xf0, 0xf9),
    key: '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  },
  {
    secret: counting(0, 0x4f),
    salt: counting(0x60, 0xaf),
    info: counting(0xb0, 0xff),
    key:
      'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09' +
      'da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87',
  },
  {
    secret: new Uint8Array(22).fill(0x0b),
    salt: new Uint8Array(0),
    info: new Uint8Array(0),
    key: '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
  },
];

test('RFC 5869’s vectors hold in both implementations', () => {
  for (const { secret, salt, info, key } of vectors) {
    assert.equal(toHex(hkdf(sha256, secret, salt, info, key.length / 2)), key);
    assert.equal(Buffer.from(hkdfSync('sha256', secret, salt, info, key.length / 2)).toString('hex'), key);
  }
});

test('a derived key is HKDF with the label fallback/v1/…', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 80 }),
      fc.uint8Array({ maxLength: 80 }),
      fc.stringMatching(/^[a-z-]{1,20}$/),
      (ikm, salt, purpose) => {
        const expected = hkdfSync('sha256', ikm, salt, Buffer.from(`fallback/v1/${purpose}`), 32);
        assert.deepEqual(deriveKey(ikm, salt, purpose), new Uint8Array(expected));
      },
    ),
  );
});

function allKeys(keys: ReturnType<typeof deriveRepositoryKeys>): string[] {
  const { chunkId, chunkerSeed, pack, snapshot, configuration, readToken } = keys;
  return [chunkId.export(), chunkerSeed, pack, snapshot, configuration, readToken].map(toHex);
}

test('every purpose has a key of its own, and so has every repository', () => {
  const own = allKeys(deriveRepositoryKeys(secret, repositoryId));
  const others = allKeys(deriveRepositoryKeys(secret, otherRepositoryId));
  assert.equal(new Set([...own, ...others]).size, 12);
  for (const key of own) assert.equal(key.length, 64);
});

test('the labels of FORMAT.md, with node:crypto', () => {
  const salt = hex(repositoryId);
  const expected = ['chunk-id', 'chunker', 'pack', 'snapshot', 'configuration', 'read-token'].map((purpose) =>
    Buffer.from(hkdfSync('sha256', secret, salt, `fallback/v1/${purpose}`, 32)).toString('hex'),
  );
  assert.deepEqual(allKeys(deriveRepositoryKeys(secret, repositoryId)), expected);
});
