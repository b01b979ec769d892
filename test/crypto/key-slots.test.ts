// Key slots: who opens them, who does not, and what a hostile server or a stolen push token can make of them.
import assert from 'node:assert/strict';
import { argon2Sync, hkdfSync } from 'node:crypto';
import { test } from 'node:test';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { argon2id } from '@noble/hashes/argon2.js';
import { toHex } from '../../src/bytes/hex.ts';
import { type KeyOffer, makePassphraseSlot, makePhraseSlot, openSecret } from '../../src/crypto/key-slots.ts';
import type { RepositoryId } from '../../src/format/ids.ts';
import {
  type Argon2Cost,
  decodeKeyDocument,
  encodeKeyDocument,
  encodeSlotHead,
  type KeyDocument,
  type KeySlot,
  type PassphraseSlot,
} from '../../src/format/key-document.ts';
import { assertRefused, bitFlips, outcome } from '../bytes/tampering.ts';
import { otherRepositoryId, random, repositoryId, secret } from './samples.ts';

const cost: Argon2Cost = { memoryKiB: 8, passes: 1, lanes: 1 };
const entropy = new Uint8Array(16).fill(0x5a);
const passphrase = (text: string): KeyOffer => ({ type: 'passphrase', passphrase: text });
const phrase: KeyOffer = { type: 'phrase', entropy };
const slotFor = (text: string, under: Argon2Cost = cost, id: RepositoryId = repositoryId): PassphraseSlot =>
  makePassphraseSlot(id, secret, text, random, under);
const document = (slots: readonly KeySlot[], number = 1, id: RepositoryId = repositoryId): KeyDocument =>
  decodeKeyDocument(encodeKeyDocument({ repositoryId: id, number, slots }));
const refused = (documents: readonly KeyDocument[], offer: KeyOffer): void =>
  assertRefused(() => openSecret(documents, offer), ['KEY_WRONG']);

test('RFC 9106’s argon2id vector, in both implementations', () => {
  const options = {
    message: new Uint8Array(32).fill(1),
    nonce: new Uint8Array(16).fill(2),
    secret: new Uint8Array(8).fill(3),
    associatedData: new Uint8Array(12).fill(4),
    parallelism: 4,
    memory: 32,
    passes: 3,
    tagLength: 32,
  };
  const expected = '0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659';
  assert.equal(toHex(argon2Sync('argon2id', options)), expected);
  const { message, nonce, secret: key, associatedData: personalization } = options;
  assert.equal(toHex(argon2id(message, nonce, { t: 3, m: 32, p: 4, key, personalization })), expected);
});

test('a slot opens with its passphrase, its phrase, and with nothing else', () => {
  const documents = [document([slotFor('right'), makePhraseSlot(repositoryId, secret, entropy, random)])];
  assert.deepEqual(openSecret(documents, passphrase('right')), secret);
  assert.deepEqual(openSecret(documents, phrase), secret);
  refused(documents, passphrase('wrong'));
  refused(documents, passphrase(''));
  refused(documents, passphrase('right '));
  refused(documents, { type: 'phrase', entropy: entropy.map((byte) => byte ^ 1) });
  refused(documents, { type: 'none' });
  refused([], passphrase('right'));
});

test('a slot by hand: argon2id, HKDF and XChaCha20-Poly1305 of other libraries open it', () => {
  const slot = slotFor('hand', { memoryKiB: 64, passes: 2, lanes: 2 });
  const wrapKey = argon2id(Buffer.from('hand'), slot.salt, { t: 2, m: 64, p: 2, dkLen: 32 });
  const data = new Uint8Array(
    Buffer.concat([Buffer.from('FBKY'), Buffer.from(repositoryId, 'hex'), encodeSlotHead(slot)]),
  );
  const derived = (label: string): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', wrapKey, data, `fallback/v1/${label}`, 32));
  assert.deepEqual(slot.wrapped.commitment, derived('slot-commitment'));
  const opened = xchacha20poly1305(derived('slot-seal'), slot.wrapped.nonce, data).decrypt(slot.wrapped.sealed);
  assert.deepEqual(opened, secret);
});

test('one passphrase, however it was typed: composed, decomposed, full-width', () => {
  const documents = [document([slotFor('Café Å 1')])];
  for (const typed of ['Cafe\u0301 A\u030a 1', 'Café \u212b 1', 'Ｃafé Å １']) {
    assert.deepEqual(openSecret(documents, passphrase(typed)), secret, typed);
  }
  refused(documents, passphrase('Cafe Å 1'));
});

test('every bit of a slot matters', () => {
  const slots = [slotFor('right'), makePhraseSlot(repositoryId, secret, entropy, random)];
  for (const [index, offer] of [passphrase('right'), phrase].entries()) {
    const whole = encodeKeyDocument({ repositoryId, number: 1, slots: slots.slice(index, index + 1) });
    // Letters to zeros and the document's number are not the slot's.
    const outside = (at: number): boolean => at < 8 || (at >= 24 && at < 28);
    for (const flip of bitFlips(whole)) {
      // The upper bytes of the memory's size: allowed, but a test need not compute with 512 MiB.
      if (offer.type === 'passphrase' && flip.at >= 31 && flip.at < 33) continue;
      const result = outcome(() => openSecret([decodeKeyDocument(flip.bytes)], offer));
      if (outside(flip.at)) assert.ok('code' in result || toHex(result.value) === toHex(secret));
      else assert.ok('code' in result, `byte ${flip.at}`);
    }
  }
});

test('a slot of another repository does not open, whatever the document says', () => {
  const foreign = slotFor('right', cost, otherRepositoryId);
  assert.deepEqual(openSecret([document([foreign], 1, otherRepositoryId)], passphrase('right')), secret);
  refused([document([foreign])], passphrase('right'));
  const documents = [document([foreign], 2, otherRepositoryId)];
  assertRefused(() => openSecret(documents, passphrase('right'), repositoryId), ['KEY_WRONG']);
});

test('a slot copied into a newer document of its repository opens: a changed passphrase keeps the phrase', () => {
  const kept = makePhraseSlot(repositoryId, secret, entropy, random);
  const newest = document([slotFor('new'), kept], 2);
  const oldest = document([slotFor('old'), kept], 1);
  assert.deepEqual(openSecret([newest], phrase), secret);
  refused([newest], passphrase('old'));
  assert.deepEqual(openSecret([newest, oldest], passphrase('old')), secret);
});

test('a clear slot answers no passphrase and no phrase: a hostile server cannot slip in a secret of its own', () => {
  const planted: KeySlot = { type: 'clear', secret: new Uint8Array(32).fill(0xee) };
  const documents = [document([planted], 2), document([slotFor('right')], 1)];
  assert.deepEqual(openSecret(documents, passphrase('right')), secret);
  refused([document([planted])], passphrase('right'));
  refused([document([planted])], phrase);
  assert.deepEqual(openSecret([document([{ type: 'clear', secret }])], { type: 'none' }), secret);
});

test('a newer document that is broken or asks for too much hides no older one', () => {
  const right = slotFor('right');
  const broken = { ...right, wrapped: { ...right.wrapped, sealed: right.wrapped.sealed.map((byte) => byte ^ 1) } };
  const documents = [document([broken], 2), document([right], 1)];
  assert.deepEqual(openSecret(documents, passphrase('right')), secret);
  const result = outcome(() => openSecret([document([broken])], passphrase('right')));
  assert.ok('code' in result && result.code === 'KEY_WRONG');
});

test('a document that was tampered to cost more is refused before anything is computed', () => {
  const bytes = encodeKeyDocument({ repositoryId, number: 1, slots: [slotFor('right')] });
  bytes.set([0xff, 0xff, 0xff, 0xff], 29);
  assertRefused(() => decodeKeyDocument(bytes), ['LIMIT_EXCEEDED']);
});

test('no slot can answer two passphrases: the commitment is compared before the seal is tried', () => {
  const [first, second] = [slotFor('first'), slotFor('second')];
  const mixes = [
    { ...first, wrapped: { ...first.wrapped, commitment: second.wrapped.commitment } },
    { ...first, salt: second.salt },
    { ...first, wrapped: second.wrapped },
  ];
  for (const slot of mixes) {
    refused([document([slot])], passphrase('first'));
    refused([document([slot])], passphrase('second'));
  }
  // A seal that holds under any key would not help: without its commitment it is never opened.
  const sealed = slotFor('first').wrapped.sealed;
  refused([document([{ ...second, wrapped: { ...second.wrapped, sealed } }])], passphrase('first'));
});

test('two slots for one passphrase have nothing in common', () => {
  const [first, second] = [slotFor('same'), slotFor('same')];
  assert.notDeepEqual(first.salt, second.salt);
  assert.notDeepEqual(first.wrapped.commitment, second.wrapped.commitment);
  assert.notDeepEqual(first.wrapped.sealed, second.wrapped.sealed);
});
