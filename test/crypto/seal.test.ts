// XChaCha20-Poly1305: the draft's vectors, and noble's own implementation as the oracle.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import fc from 'fast-check';
import { toHex } from '../../src/bytes/hex.ts';
import { nonceBytes, open, seal, sealParts, tagBytes } from '../../src/crypto/seal.ts';
import { assertRefused, bitFlips, truncations } from '../bytes/tampering.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

// draft-irtf-cfrg-xchacha-03, appendix A.3.1
const draft = {
  key: hex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'),
  nonce: hex('404142434445464748494a4b4c4d4e4f5051525354555657'),
  data: hex('50515253c0c1c2c3c4c5c6c7'),
  plaintext: Buffer.from(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  ),
  ciphertext:
    'bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb' +
    '731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452' +
    '2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9' +
    '21f9664c97637da9768812f615c68b13b52e',
  tag: 'c0875924c1c7987947deafd8780acf49',
};

test('the draft’s vector', () => {
  const sealed = seal(draft.key, draft.data, draft.plaintext, () => draft.nonce);
  assert.equal(toHex(sealed), toHex(draft.nonce) + draft.ciphertext + draft.tag);
  assert.deepEqual(Buffer.from(open(draft.key, draft.data, sealed, 'vector')), draft.plaintext);
});

test('byte for byte what noble makes, in one part or many, and noble opens it', () => {
  fc.assert(
    fc.property(
      bytes(32),
      bytes(nonceBytes),
      fc.uint8Array(),
      fc.array(fc.uint8Array({ maxLength: 300 })),
      (key, nonce, data, parts) => {
        const plaintext = new Uint8Array(Buffer.concat(parts));
        const sealed = new Uint8Array(Buffer.concat(sealParts(key, data, parts, () => nonce)));
        const oracle = xchacha20poly1305(key, nonce, data);
        assert.deepEqual(sealed.subarray(nonceBytes), oracle.encrypt(plaintext));
        assert.deepEqual(oracle.decrypt(sealed.subarray(nonceBytes)), plaintext);
        assert.deepEqual(new Uint8Array(open(key, data, sealed, 'sample')), plaintext);
      },
    ),
    { numRuns: 300 },
  );
});

test('lengths around every block', () => {
  const key = new Uint8Array(32).fill(3);
  const nonce = new Uint8Array(nonceBytes).fill(4);
  for (let length = 0; length <= 200; length++) {
    const plaintext = new Uint8Array(length).fill(5);
    const sealed = seal(key, new Uint8Array(length % 20), plaintext, () => nonce);
    const oracle = xchacha20poly1305(key, nonce, new Uint8Array(length % 20)).encrypt(plaintext);
    assert.deepEqual(sealed.subarray(nonceBytes), oracle);
  }
});

test('every flipped bit of the seal, the key and the associated data, and every truncation, is refused', () => {
  const { key, nonce, data, plaintext } = draft;
  const sealed = seal(key, data, plaintext.subarray(0, 20), () => nonce);
  const refused = (...[k, d, s]: [Uint8Array, Uint8Array, Uint8Array]): void =>
    assertRefused(() => open(k, d, s, 'sample'), ['SEAL_BROKEN']);
  for (const flip of bitFlips(sealed)) refused(key, data, flip.bytes);
  for (const flip of bitFlips(key)) refused(flip.bytes, data, sealed);
  for (const flip of bitFlips(data)) refused(key, flip.bytes, sealed);
  for (const part of truncations(sealed)) refused(key, data, part);
  refused(key, data, new Uint8Array([...sealed, 0]));
  refused(key, new Uint8Array([...data, 0]), sealed);
  refused(key, data, new Uint8Array(nonceBytes + tagBytes));
});

test('a key or nonce of another length is a defect, never a weaker seal', () => {
  const none = new Uint8Array(0);
  for (const length of [0, 16, 31, 33, 64]) {
    assert.throws(() => seal(new Uint8Array(length), none, none, (count) => new Uint8Array(count)), RangeError);
  }
  for (const length of [0, 12, 23, 25]) {
    assert.throws(() => seal(new Uint8Array(32), none, none, () => new Uint8Array(length)), RangeError);
  }
});

test('nothing depends on where in memory key, nonce and text lie', () => {
  const shift = (value: Uint8Array): Uint8Array => new Uint8Array([9, ...value, 9]).subarray(1, -1);
  const { key, nonce, data, plaintext } = draft;
  const sealed = seal(shift(key), shift(data), shift(plaintext), () => shift(nonce));
  assert.deepEqual(
    sealed,
    seal(key, data, plaintext, () => nonce),
  );
  assert.deepEqual(new Uint8Array(open(key, data, shift(sealed), 'sample')), new Uint8Array(plaintext));
});
