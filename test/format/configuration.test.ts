import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  configurationHeadBytes,
  configurationVersion,
  decodeConfiguration,
  decodeConfigurationHead,
  encodeConfiguration,
  encodeConfigurationHead,
  type RepositoryConfiguration,
} from '../../src/format/configuration.ts';
import { parseRepositoryId } from '../../src/format/ids.ts';
import { limits } from '../../src/format/limits.ts';
import { assertCanonical, assertRefused, span, truncations, withTail } from '../bytes/tampering.ts';

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
const first: RepositoryConfiguration = { ...sample, edited: undefined };
const id = parseRepositoryId('00112233445566778899aabbccddeeff');

const decodeSecond = (bytes: Uint8Array): RepositoryConfiguration => decodeConfiguration(bytes, 2);
const decodeFirst = (bytes: Uint8Array): RepositoryConfiguration => decodeConfiguration(bytes, 1);

test('a configuration comes back, with either engine, in either version', () => {
  for (const engine of ['fallback', 'fastcdc-wasm'] as const) {
    for (const configuration of [
      { ...sample, engine },
      { ...first, engine },
    ]) {
      const version = configurationVersion(configuration);
      assert.deepEqual(decodeConfiguration(encodeConfiguration(configuration), version), configuration);
    }
  }
});

test('the oldest version that can say it is written, and one is never read as the other', () => {
  assert.equal(configurationVersion(first), 1);
  assert.equal(configurationVersion(sample), 2);
  assertRefused(() => decodeSecond(encodeConfiguration(first)), ['FORMAT_INVALID']);
  assertRefused(() => decodeFirst(encodeConfiguration(sample)), ['FORMAT_INVALID']);
});

test('truncations, tails, flips', () => {
  for (const [bytes, decode] of [
    [encodeConfiguration(sample), decodeSecond],
    [encodeConfiguration(first), decodeFirst],
  ] as const) {
    for (const part of truncations(bytes)) assertRefused(() => decode(part), ['FORMAT_INVALID']);
    assertRefused(() => decode(withTail(bytes, 0)), ['FORMAT_INVALID']);
    assertCanonical(bytes, decode, encodeConfiguration);
  }
});

test('an unknown engine, sizes out of order or beyond the limits are refused', () => {
  const bytes = encodeConfiguration(sample);
  bytes[0] = 2;
  assertRefused(() => decodeSecond(bytes), ['FORMAT_UNSUPPORTED']);
  const refused: RepositoryConfiguration[] = [
    { ...sample, fine: { ...sample.fine, minimumBytes: 63 } },
    { ...sample, fine: { ...sample.fine, minimumBytes: 9000 } },
    { ...sample, fine: { ...sample.fine, averageBytes: 70_000 } },
    { ...sample, edited: { minimumBytes: 2048, averageBytes: 1024, maximumBytes: 8192 } },
    { ...sample, coarse: { ...sample.coarse, maximumBytes: limits.chunkBytesMax + 1 } },
    { ...sample, packTargetBytesMin: 0 },
    { ...sample, packTargetBytesMin: sample.packTargetBytesMax + 1 },
    { ...sample, packTargetBytesMax: limits.packContentsBytesMax - limits.chunkBytesMax + 1 },
  ];
  for (const [index, configuration] of refused.entries()) {
    assertRefused(() => decodeSecond(encodeConfiguration(configuration)), ['FORMAT_INVALID'], `case ${index}`);
  }
});

test('the head: only the repository id is free', () => {
  for (const version of [1, 2] as const) {
    const head = encodeConfigurationHead({ version, repositoryId: id });
    assert.deepEqual(decodeConfigurationHead(head), { version, repositoryId: id });
    for (const part of truncations(head)) assertRefused(() => decodeConfigurationHead(part), ['FORMAT_INVALID']);
    const free = assertCanonical(head, decodeConfigurationHead, encodeConfigurationHead);
    assert.deepEqual(free, span(8, configurationHeadBytes));
  }
});

test('a version that is none is refused', () => {
  const head = encodeConfigurationHead({ version: 1, repositoryId: id });
  for (const version of [0, 3, 255]) {
    head[4] = version;
    assertRefused(() => decodeConfigurationHead(head), ['FORMAT_UNSUPPORTED']);
  }
});
