import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { seal } from '../../src/crypto/seal.ts';
import { openSnapshot, sealSnapshot } from '../../src/crypto/sealed-snapshot.ts';
import type { ErrorCode } from '../../src/errors/error-codes.ts';
import { parseEpoch, parseOrigin, parseSnapshotNumber } from '../../src/format/ids.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import type { Recipe } from '../../src/format/recipe.ts';
import {
  decodeSnapshotFile,
  encodeSnapshotHead,
  type SnapshotHead,
  type SnapshotRecord,
} from '../../src/format/snapshot.ts';
import { assertRefused, bitFlips, truncations, withTail } from '../bytes/tampering.ts';
import { keys, otherRepositoryId, random, repositoryId, secret } from './samples.ts';

const damaged: readonly ErrorCode[] = ['SEAL_BROKEN', 'FORMAT_INVALID', 'FORMAT_UNSUPPORTED'];
const head: SnapshotHead = {
  repositoryId,
  number: parseSnapshotNumber(5),
  epoch: parseEpoch(1),
  complete: true,
  previousSha256: new Uint8Array(32).fill(4),
  origin: parseOrigin('main'),
  packs: PackRanges.fromNumbers([1, 2, 9]),
};
const recipe: Recipe = {
  lengthBytes: 30,
  sha256: new Uint8Array(32).fill(3),
  nested: false,
  runs: [{ pack: 2, first: 1, count: 1, bytes: 30 }],
};
const record: SnapshotRecord = {
  createdAtMs: 1_700_000_000_000,
  hostName: 'main',
  programVersion: '1.0.0',
  archives: [{ name: 'wiki', status: 'saved', savedAtMs: 1, recipe, catalogue: undefined, attributes: {} }],
  attributes: {},
};
const { file, sha256 } = sealSnapshot(keys, head, record, random);

test('a snapshot comes back, with the hash that the next one chains to', () => {
  const opened = openSnapshot(keys, file, 5);
  assert.equal(opened.record.archives[0]?.name, 'wiki');
  assert.deepEqual(opened.record.archives[0]?.recipe, recipe);
  assert.deepEqual(opened.head.previousSha256, head.previousSha256);
  assert.deepEqual(sha256, new Uint8Array(createHash('sha256').update(file).digest()));
  assert.deepEqual(opened.sha256, sha256);
});

test('every flipped bit, in clear or sealed, every truncation and every tail is refused', () => {
  for (const flip of bitFlips(file)) {
    assertRefused(() => openSnapshot(keys, flip.bytes, 5), damaged, `byte ${flip.at}`);
  }
  for (const part of truncations(file)) assertRefused(() => openSnapshot(keys, part, 5), damaged);
  assertRefused(() => openSnapshot(keys, withTail(file, 0), 5), damaged);
});

test('another number, another repository, another key', () => {
  assertRefused(() => openSnapshot(keys, file, 6), ['SEAL_BROKEN']);
  const otherKeys = deriveRepositoryKeys(secret, otherRepositoryId);
  assertRefused(() => openSnapshot(otherKeys, file, 5), ['SEAL_BROKEN']);
  const foreign = sealSnapshot(otherKeys, { ...head, repositoryId: otherRepositoryId }, record, random).file;
  assertRefused(() => openSnapshot(keys, foreign, 5), ['SEAL_BROKEN']);
  const relabelled = new Uint8Array(foreign);
  relabelled.set(file.subarray(8, 24), 8);
  assertRefused(() => openSnapshot(keys, relabelled, 5), ['SEAL_BROKEN']);
});

test('the head of one snapshot and the record of another are refused', () => {
  const other = sealSnapshot(keys, { ...head, complete: false }, record, random).file;
  const [mine, theirs] = [decodeSnapshotFile(file), decodeSnapshotFile(other)];
  const mixed = new Uint8Array(Buffer.concat([mine.headBytes, theirs.sealed]));
  assertRefused(() => openSnapshot(keys, mixed, 5), ['SEAL_BROKEN']);
});

test('a pack’s key seals no snapshot', () => {
  const plain = new Uint8Array(64);
  const headBytes = encodeSnapshotHead(head, plain.byteLength + 40);
  const forged = new Uint8Array(Buffer.concat([headBytes, seal(keys.pack, headBytes, plain, random)]));
  assertRefused(() => openSnapshot(keys, forged, 5), ['SEAL_BROKEN']);
});

test('a snapshot whose head lacks a pack that it needs is never sealed', () => {
  const packs = PackRanges.fromNumbers([1, 9]);
  assertRefused(() => sealSnapshot(keys, { ...head, packs }, record, random), ['INTERNAL']);
  const archives = record.archives.map((one) => ({
    ...one,
    catalogue: { ...recipe, runs: [{ pack: 10, first: 0, count: 1, bytes: 30 }] },
  }));
  assertRefused(() => sealSnapshot(keys, head, { ...record, archives }, random), ['INTERNAL']);
});

test('a snapshot that could not be read again is never sealed', () => {
  const archives = [...record.archives, ...record.archives];
  assertRefused(() => sealSnapshot(keys, head, { ...record, archives }, random), ['FORMAT_INVALID']);
  const stuck = { ...head, origin: '../x' as SnapshotHead['origin'] };
  assertRefused(() => sealSnapshot(keys, stuck, record, random), ['FORMAT_INVALID']);
});
