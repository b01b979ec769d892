import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { openConfiguration, sealConfiguration } from '../../src/crypto/sealed-configuration.ts';
import type { RepositoryConfiguration } from '../../src/format/configuration.ts';
import { limits } from '../../src/format/limits.ts';
import { assertRefused, bitFlips, truncations, withTail } from '../bytes/tampering.ts';
import { keys, otherRepositoryId, random, repositoryId, secret } from './samples.ts';

const sample: RepositoryConfiguration = {
  engine: 'fallback',
  fine: { minimumBytes: 2048, averageBytes: 8192, maximumBytes: 65_536 },
  edited: { minimumBytes: 256, averageBytes: 1024, maximumBytes: 8192 },
  coarse: { minimumBytes: 131_072, averageBytes: 524_288, maximumBytes: 2_097_152 },
  largeMemberBytesMin: 65_536,
  coarseMemberBytesMin: 262_144,
  packTargetBytesMin: 3_000_000,
  packTargetBytesMax: 5_000_000,
};
const file = sealConfiguration(keys, sample, random);

test('a configuration comes back, in either version', () => {
  assert.deepEqual(openConfiguration(keys, file), sample);
  const first = { ...sample, edited: undefined };
  assert.deepEqual(openConfiguration(keys, sealConfiguration(keys, first, random)), first);
});

test('every flipped bit, every truncation and every tail is refused', () => {
  const codes = ['SEAL_BROKEN', 'FORMAT_INVALID', 'FORMAT_UNSUPPORTED', 'TRUST_REPOSITORY'] as const;
  for (const flip of bitFlips(file)) assertRefused(() => openConfiguration(keys, flip.bytes), codes, `${flip.at}`);
  for (const part of truncations(file)) assertRefused(() => openConfiguration(keys, part), codes);
  assertRefused(() => openConfiguration(keys, withTail(file, 0)), codes);
});

test('another repository’s, another key’s and an oversize one', () => {
  const foreign = sealConfiguration(deriveRepositoryKeys(secret, otherRepositoryId), sample, random);
  assertRefused(() => openConfiguration(keys, foreign), ['TRUST_REPOSITORY']);
  const otherSecret = deriveRepositoryKeys(new Uint8Array(32), repositoryId);
  assertRefused(() => openConfiguration(otherSecret, file), ['SEAL_BROKEN']);
  assertRefused(() => openConfiguration(keys, new Uint8Array(limits.configurationBytesMax + 1)), ['LIMIT_EXCEEDED']);
});

test('a configuration that could not be read again is never sealed', () => {
  assertRefused(() => sealConfiguration(keys, { ...sample, packTargetBytesMin: 0 }, random), ['FORMAT_INVALID']);
});
