import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRepositoryId } from '../../src/format/ids.ts';
import {
  decodeKeyDocument,
  encodeKeyDocument,
  type KeyDocument,
  type PassphraseSlot,
} from '../../src/format/key-document.ts';
import { limits } from '../../src/format/limits.ts';
import { assertCanonical, assertRefused, outcome, span, truncations, withTail } from '../bytes/tampering.ts';

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
const wrapped = { commitment: filled(32, 1), nonce: filled(24, 2), sealed: filled(48, 3) };
const passphrase: PassphraseSlot = {
  type: 'passphrase',
  cost: { memoryKiB: 65_536, passes: 3, lanes: 4 },
  salt: filled(16, 4),
  wrapped,
};
const sample: KeyDocument = {
  repositoryId: parseRepositoryId('00112233445566778899aabbccddeeff'),
  number: 5,
  slots: [
    passphrase,
    { type: 'phrase', accessTokenSha256: filled(32, 6), wrapped },
    { type: 'clear', secret: filled(32, 7) },
  ],
};

test('documents come back', () => {
  assert.deepEqual(decodeKeyDocument(encodeKeyDocument(sample)), sample);
  const many = { ...sample, slots: new Array<PassphraseSlot>(limits.keySlotsMax).fill(passphrase) };
  const bytes = encodeKeyDocument(many);
  assert.deepEqual(decodeKeyDocument(bytes), many);
  assert.ok(bytes.byteLength <= limits.keyDocumentBytesMax);
});

test('truncations, tails, flips; the letters, the version and the zeros are fixed', () => {
  const bytes = encodeKeyDocument(sample);
  for (const part of truncations(bytes)) {
    assertRefused(() => decodeKeyDocument(part), ['FORMAT_INVALID', 'FORMAT_UNSUPPORTED', 'LIMIT_EXCEEDED']);
  }
  assertRefused(() => decodeKeyDocument(withTail(bytes, 0)), ['FORMAT_INVALID']);
  const free = assertCanonical(bytes, decodeKeyDocument, encodeKeyDocument);
  assert.ok(!free.some((at) => at < 8), 'head');
  // In clear and not sealed: the repository id, the number, and what each slot holds; the slots themselves bind the rest.
  assert.deepEqual(
    span(8, 28).filter((at) => !free.includes(at)),
    [],
  );
});

test('unknown slots and versions are refused', () => {
  const bytes = encodeKeyDocument(sample);
  bytes[28] = 4;
  assertRefused(() => decodeKeyDocument(bytes), ['FORMAT_UNSUPPORTED']);
  bytes[4] = 2;
  assertRefused(() => decodeKeyDocument(bytes), ['FORMAT_UNSUPPORTED']);
});

test('a cost beyond the caps, or none, is refused before anything is computed', () => {
  const cost = passphrase.cost;
  const costs = [
    { ...cost, memoryKiB: limits.argon2MemoryKiBMax + 1 },
    { ...cost, memoryKiB: 2 ** 32 - 1 },
    { ...cost, memoryKiB: 31 },
    { ...cost, passes: limits.argon2PassesMax + 1 },
    { ...cost, passes: 0 },
    { ...cost, lanes: limits.argon2LanesMax + 1 },
    { ...cost, lanes: 0 },
  ];
  for (const bad of costs) {
    assertRefused(() => encodeKeyDocument({ ...sample, slots: [{ ...passphrase, cost: bad }] }), ['LIMIT_EXCEEDED']);
  }
});

test('what could not be read again is not written', () => {
  const refused: KeyDocument[] = [
    { ...sample, slots: [] },
    { ...sample, slots: new Array<PassphraseSlot>(limits.keySlotsMax + 1).fill(passphrase) },
    { ...sample, number: 0 },
    { ...sample, slots: [{ type: 'clear', secret: filled(31, 7) }] },
    { ...sample, slots: [{ ...passphrase, salt: filled(15, 1) }] },
  ];
  for (const document of refused) assert.ok('code' in outcome(() => encodeKeyDocument(document)));
});
