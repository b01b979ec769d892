import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isFallbackError } from '../../src/errors/fallback-error.ts';
import { limits } from '../../src/format/limits.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import {
  packFolderPrefix,
  packKey,
  parseKeyDocumentName,
  parsePackFolder,
  parsePackName,
  parseRepositoryFolder,
  parseSnapshotName,
  repositoryPrefix,
  snapshotKey,
} from '../../src/store/object-keys.ts';
import { PackSet } from '../../src/store/pack-set.ts';
import {
  decodeTrailer,
  encodeTrailer,
  objectKinds,
  openStoredObject,
  sha256Of,
} from '../../src/store/stored-object.ts';
import { newRepositoryId } from '../support/fake-objects.ts';

describe('stored object', () => {
  test('a trailer comes back, and its bytes are these', () => {
    const sha256 = sha256Of(Buffer.from('contents'));
    for (const kind of objectKinds) {
      const trailer = { kind, receivedAtMs: 1_768_446_000_123, sha256 };
      assert.deepEqual(decodeTrailer(encodeTrailer(trailer)), trailer);
    }
    const bytes = encodeTrailer({ kind: 'pack', receivedAtMs: 0x0102_0304_0506, sha256: new Uint8Array(32) });
    // "FBTR", version 1, kind 1, the time in six bytes, CRC-32, SHA-256.
    assert.equal(Buffer.from(bytes.subarray(0, 12)).toString('hex'), '464254520101060504030201');
    assert.equal(bytes.byteLength, 48);
  });

  test('every bit and every length of a small object: refused', () => {
    const contents = Buffer.from('the client’s bytes');
    const trailer = encodeTrailer({ kind: 'snapshot', receivedAtMs: 1_768_446_000_123, sha256: sha256Of(contents) });
    const file = Buffer.concat([contents, trailer]);
    assert.deepEqual(Buffer.from(openStoredObject(file, 'snapshot').contents), contents);
    const refused = (bytes: Uint8Array): void => {
      assert.throws(
        () => openStoredObject(bytes, 'snapshot'),
        (error) => isFallbackError(error, 'FORMAT_INVALID'),
      );
    };
    for (let bit = 0; bit < file.byteLength * 8; bit++) {
      const changed = Buffer.from(file);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      refused(changed);
    }
    for (let length = 0; length < file.byteLength; length++) refused(file.subarray(0, length));
    refused(Buffer.concat([file, Buffer.alloc(1)]));
    assert.throws(
      () => openStoredObject(file, 'pack'),
      (error) => isFallbackError(error, 'FORMAT_INVALID'),
    );
  });

  test('names of files are read as they were written, and no others', () => {
    const id = newRepositoryId();
    fc.assert(
      fc.property(fc.integer({ min: 1, max: limits.packNumberMax }), fc.nat(65_535), (number, revision) => {
        assert.deepEqual(parsePackName(packKey(id, number, revision)), { number, revision });
        assert.deepEqual(parsePackName(`${packKey(id, number, revision)}.12`), { number, revision });
        assert.equal(parsePackFolder(packFolderPrefix(id, number)), Math.floor(number / 1000));
        assert.ok(packKey(id, number, revision).startsWith(packFolderPrefix(id, number)));
      }),
    );
    assert.equal(parseSnapshotName(snapshotKey(id, 7)), 7);
    assert.equal(parseRepositoryFolder(repositoryPrefix(id)), id);
    for (const name of ['x/1.pack', 'x/000000000001.r0.pack', 'x/000000000001.pack.tmp', 'x/000000000001.pack/']) {
      assert.equal(parsePackName(name), undefined, name);
    }
    assert.equal(parseSnapshotName('x/0000000001.snapshot.bak'), undefined);
    assert.equal(parseKeyDocumentName('keys/1'), undefined);
    assert.equal(parseRepositoryFolder('repositories/lost+found/'), undefined);
  });

  test('a set of packs that changes is what a set of numbers would be', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.boolean()), { maxLength: 120 }), (steps) => {
        const oracle = new Set([3, 4, 5, 20]);
        const set = new PackSet(PackRanges.fromNumbers(oracle));
        for (const [number, isAdded] of steps) {
          if (isAdded) oracle.add(number);
          else oracle.delete(number);
          if (isAdded) set.add(number);
          else set.remove(number);
          assert.deepEqual(set.toRanges(), PackRanges.fromNumbers(oracle));
        }
      }),
    );
  });
});
