// A recovery phrase as it is copied from its sheet.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layRecoverySheet } from '../../src/cli/recovery-sheet.ts';
import { stripNumbers } from '../../src/cli/secrets.ts';
import { makeRecoveryPhrase } from '../../src/crypto/recovery-phrase.ts';
import { testEnvironment } from '../support/client-fixture.ts';

test('the words of a sheet are the phrase, be they copied line by line or typed downwards', () => {
  const phrase = makeRecoveryPhrase(testEnvironment.randomBytes);
  const sheet = layRecoverySheet({
    repositoryName: 'main',
    repositoryId: '00'.repeat(16),
    hostName: 'main.test',
    address: 'backup.test:7443',
    certificateSha256: undefined,
    phrase,
    phraseLabel: '00000000',
    isEncrypted: true,
    madeAtMs: 0,
  });
  const lines = sheet.filter((line) => /^\s+\d+ [a-z]+\s+\d+ [a-z]+/.test(line));
  assert.equal(lines.length, 3);
  assert.equal(stripNumbers(lines.join('\n')), phrase);
  assert.equal(stripNumbers(phrase), phrase);
  const numbered = phrase.split(' ').map((word, index) => `${index + 1}. ${word}`);
  assert.equal(stripNumbers(numbered.join(' ')), phrase);
  assert.equal(stripNumbers(numbered.toReversed().join('\n')), phrase);
  // One is missing: nothing is put in order that may be another one's.
  assert.equal(stripNumbers(numbered.slice(1).join(' ')).trim().split(/\s+/).length, 11);
});
