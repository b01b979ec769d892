// The recovery phrase: 128 random bits as twelve BIP-39 words with a checksum, to be written down on paper.
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { FallbackError } from '../errors/fallback-error.ts';
import { deriveKey } from './key-hierarchy.ts';
import type { RandomBytes } from './seal.ts';

export const phraseWords = 12;

/** A fresh phrase of twelve words, separated by single spaces. */
export function makeRecoveryPhrase(randomBytes: RandomBytes): string {
  return entropyToMnemonic(randomBytes(16), wordlist);
}

/** The 16 bytes behind a phrase as typed: any case, any spaces. @throws PHRASE_INVALID, naming the word that is not one. */
export function parseRecoveryPhrase(text: string): Uint8Array {
  const words = text
    .trim()
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  if (words.length !== phraseWords) {
    throw new FallbackError(
      'PHRASE_INVALID',
      `A recovery phrase has ${phraseWords} words; this one has ${words.length}.`,
    );
  }
  for (const [index, word] of words.entries()) {
    if (wordlist.includes(word)) continue;
    throw new FallbackError('PHRASE_INVALID', `Word ${index + 1} is not a word of the list that phrases are made of.`);
  }
  try {
    return mnemonicToEntropy(words.join(' '), wordlist);
  } catch {
    throw new FallbackError('PHRASE_INVALID', 'The words do not fit together: one is wrong or two are swapped.');
  }
}

const noSalt = new Uint8Array(0);

/** The bearer token (32 bytes) that lets the owner of the phrase fetch the key documents. */
export const recoveryAccessToken = (entropy: Uint8Array): Uint8Array => deriveKey(entropy, noSalt, 'recovery-token');

/** The key (32 bytes) that wraps the repository secret in the phrase's slot. */
export const recoveryWrapKey = (entropy: Uint8Array): Uint8Array => deriveKey(entropy, noSalt, 'recovery-slot');
