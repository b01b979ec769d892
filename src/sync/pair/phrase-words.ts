// The words of a recovery phrase from its 16 bytes: for the sheet alone.
import { makeRecoveryPhrase } from '../../crypto/recovery-phrase.ts';

/** Twelve words separated by single spaces. */
export const phraseFromEntropy = (entropy: Uint8Array): string => makeRecoveryPhrase(() => entropy);
