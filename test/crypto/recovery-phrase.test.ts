// BIP-39's own vectors (twelve words), and how forgiving and how strict reading is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { toHex } from '../../src/bytes/hex.ts';
import {
  makeRecoveryPhrase,
  parseRecoveryPhrase,
  recoveryAccessToken,
  recoveryWrapKey,
} from '../../src/crypto/recovery-phrase.ts';
import { FallbackError } from '../../src/errors/fallback-error.ts';
import { assertRefused, outcome } from '../bytes/tampering.ts';
import { random } from './samples.ts';

// github.com/trezor/python-mnemonic, vectors.json
const vectors = [
  ['00000000000000000000000000000000', `${'abandon '.repeat(11)}about`],
  ['7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f', 'legal winner thank year wave sausage worth useful legal winner thank yellow'],
  [
    '80808080808080808080808080808080',
    'letter advice cage absurd amount doctor acoustic avoid letter advice cage above',
  ],
  ['ffffffffffffffffffffffffffffffff', `${'zoo '.repeat(11)}wrong`],
  ['9e885d952ad362caeb4efe34a8e91bd2', 'ozone drill grab fiber curtain grace pudding thank cruise elder eight picnic'],
  ['c0ba5a8e914111210f2bd131f3d5e08d', 'scheme spot photo card baby mountain device kick cradle pact join borrow'],
  ['23db8160a31d3e0dca3688ed941adbf3', 'cat swing flag economy stadium alone churn speed unique patch report train'],
  [
    'f30f8c1da665478f49b001d94c5fc452',
    'vessel ladder alter error federal sibling chat ability sun glass valve picture',
  ],
] as const;

test('the vectors, both ways', () => {
  for (const [entropy, phrase] of vectors) {
    assert.equal(toHex(parseRecoveryPhrase(phrase)), entropy);
    assert.equal(
      makeRecoveryPhrase(() => new Uint8Array(Buffer.from(entropy, 'hex'))),
      phrase,
    );
  }
});

test('any case, any spaces', () => {
  const phrase = makeRecoveryPhrase(random);
  const typed = `\n ${phrase.toUpperCase().replaceAll(' ', ' \t\n ')}  `;
  assert.deepEqual(parseRecoveryPhrase(typed), parseRecoveryPhrase(phrase));
});

test('a word too few or too many, a word that is none, nothing at all', () => {
  const words = makeRecoveryPhrase(random).split(' ');
  assertRefused(() => parseRecoveryPhrase(words.slice(1).join(' ')), ['PHRASE_INVALID']);
  assertRefused(() => parseRecoveryPhrase([...words, 'zoo'].join(' ')), ['PHRASE_INVALID']);
  assertRefused(() => parseRecoveryPhrase(''), ['PHRASE_INVALID']);
  assertRefused(() => parseRecoveryPhrase(words.with(3, 'fallback').join(' ')), ['PHRASE_INVALID']);
});

test('an error names the position, and never repeats a word', () => {
  const words = makeRecoveryPhrase(random).split(' ').with(4, 'secretword');
  try {
    parseRecoveryPhrase(words.join(' '));
    assert.fail('accepted');
  } catch (error) {
    assert.ok(error instanceof FallbackError);
    assert.match(error.message, /Word 5 /);
    for (const word of words) assert.ok(!error.message.split(/\W+/).includes(word) || word === 'word', word);
  }
});

test('most wrong words are caught by the checksum, and what is not gives another secret', () => {
  const words = makeRecoveryPhrase(random).split(' ');
  const right = toHex(parseRecoveryPhrase(words.join(' ')));
  let accepted = 0;
  for (const other of wordlist) {
    if (other === words[6]) continue;
    const result = outcome(() => parseRecoveryPhrase(words.with(6, other).join(' ')));
    if ('code' in result) continue;
    accepted++;
    assert.notEqual(toHex(result.value), right);
  }
  // Four bits of checksum: one in sixteen passes.
  assert.ok(accepted > 60 && accepted < 200, String(accepted));
});

test('the token that is sent tells nothing of the key that is not', () => {
  const entropy = parseRecoveryPhrase(makeRecoveryPhrase(random));
  assert.notEqual(toHex(recoveryAccessToken(entropy)), toHex(recoveryWrapKey(entropy)));
  assert.equal(recoveryAccessToken(entropy).byteLength, 32);
});
