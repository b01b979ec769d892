import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as ids from '../../src/format/ids.ts';
import { limits } from '../../src/format/limits.ts';
import { assertRefused } from '../bytes/tampering.ts';

test('hexadecimal ids: exact length, lower case, back to the same bytes', () => {
  const id = '00112233445566778899aabbccddeeff';
  assert.equal(ids.repositoryIdFromBytes(ids.idBytes(ids.parseRepositoryId(id))), id);
  assert.equal(ids.leaseIdFromBytes(ids.idBytes(ids.parseLeaseId(id))), id);
  assert.equal(ids.sha256FromBytes(ids.idBytes(ids.parseSha256Hex(id + id))), id + id);
  for (const bad of ['', id.slice(1), `${id}0`, id.toUpperCase(), `${id.slice(1)}g`, `${id}\n`, `${id.slice(1)}/`]) {
    assertRefused(() => ids.parseRepositoryId(bad), ['FORMAT_INVALID'], bad);
    assertRefused(() => ids.parseLeaseId(bad), ['FORMAT_INVALID'], bad);
    assertRefused(() => ids.parseSha256Hex(bad), ['FORMAT_INVALID'], bad);
  }
});

test('numbers: integers from 1 to their limit', () => {
  const kinds = [
    [ids.parsePackNumber, limits.packNumberMax],
    [ids.parseSnapshotNumber, limits.snapshotNumberMax],
    [ids.parseEpoch, limits.epochMax],
  ] as const;
  for (const [parse, max] of kinds) {
    assert.equal(parse(1), 1);
    assert.equal(parse(max), max);
    for (const bad of [0, -1, 1.5, max + 1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assertRefused(() => parse(bad), ['FORMAT_INVALID'], String(bad));
    }
  }
});

test('origins: short labels', () => {
  for (const good of ['main', 'fallback', 'a', 'main-2', 'a'.repeat(32)]) assert.equal(ids.parseOrigin(good), good);
  for (const bad of ['', '-a', 'a-', 'a--b', 'A', 'ä', 'a b', 'a/b', 'a\n', 'a'.repeat(33)]) {
    assertRefused(() => ids.parseOrigin(bad), ['FORMAT_INVALID'], bad);
  }
});

test('an error never repeats more than a short piece of what was sent, and no control character of it', () => {
  try {
    ids.parseOrigin(`\u001b[2J${'x'.repeat(1000)}`);
    assert.fail('accepted');
  } catch (error) {
    assert.ok(error instanceof Error && error.message.length < 200 && !error.message.includes('\u001b'));
  }
});
