// Snapshot heads and records, before any seal.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseEpoch, parseOrigin, parseRepositoryId, parseSnapshotNumber } from '../../src/format/ids.ts';
import { limits } from '../../src/format/limits.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import { padmeLength } from '../../src/format/padme.ts';
import type { Recipe } from '../../src/format/recipe.ts';
import {
  decodeSnapshotFile,
  decodeSnapshotRecord,
  encodeSnapshotHead,
  encodeSnapshotRecord,
  isArchiveName,
  type SnapshotArchive,
  type SnapshotHead,
  type SnapshotRecord,
} from '../../src/format/snapshot.ts';
import { assertCanonical, assertRefused, truncations, withTail } from '../bytes/tampering.ts';

const head: SnapshotHead = {
  repositoryId: parseRepositoryId('00112233445566778899aabbccddeeff'),
  number: parseSnapshotNumber(42),
  epoch: parseEpoch(3),
  complete: true,
  previousSha256: new Uint8Array(32).fill(8),
  origin: parseOrigin('main-2'),
  packs: PackRanges.fromNumbers([1, 2, 3, 700]),
};
const sealed = new Uint8Array(50).fill(9);
const recipe: Recipe = {
  lengthBytes: 100,
  sha256: new Uint8Array(32).fill(1),
  nested: false,
  runs: [{ pack: 1, first: 0, count: 2, bytes: 100 }],
};
const archive: SnapshotArchive = {
  name: 'wiki',
  status: 'saved',
  savedAtMs: 1_700_000_000_000,
  recipe,
  catalogue: recipe,
  attributes: {},
};
const record: SnapshotRecord = {
  createdAtMs: 1_700_000_000_001,
  hostName: 'main.example.org',
  programVersion: '1.0.0',
  archives: [archive, { ...archive, name: 'system', status: 'kept', catalogue: undefined }],
  attributes: {},
};

interface Taken {
  readonly head: SnapshotHead;
  readonly sealed: Uint8Array;
}
const encodeFile = ({ head, sealed }: Taken): Uint8Array =>
  new Uint8Array([...encodeSnapshotHead(head, sealed.byteLength), ...sealed]);
const decodeFile = (bytes: Uint8Array): Taken => decodeSnapshotFile(bytes);

/** A record without null prototypes, so that deepEqual compares values only. */
const plain = (value: SnapshotRecord): SnapshotRecord => ({
  ...value,
  attributes: { ...value.attributes },
  archives: value.archives.map((one) => ({ ...one, attributes: { ...one.attributes } })),
});

test('a file comes apart into its head and its seal', () => {
  const bytes = encodeFile({ head, sealed });
  const file = decodeSnapshotFile(bytes);
  assert.deepEqual(file.head.packs.ranges, head.packs.ranges);
  assert.deepEqual({ ...file.head, packs: head.packs }, head);
  assert.deepEqual(file.sealed, sealed);
  assert.deepEqual(file.headBytes, encodeSnapshotHead(head, sealed.byteLength));
});

test('a file: truncations and tails are refused, and each flip is another head, written the same way', () => {
  const bytes = encodeFile({ head, sealed });
  for (const part of truncations(bytes)) assertRefused(() => decodeSnapshotFile(part), ['FORMAT_INVALID']);
  assertRefused(() => decodeSnapshotFile(withTail(bytes, 0)), ['FORMAT_INVALID']);
  const free = assertCanonical(bytes, decodeFile, encodeFile);
  // Letters, version, the zeros and the sealed length are fixed; the rest the seal binds.
  const end = bytes.byteLength - sealed.byteLength;
  for (const at of [0, 1, 2, 3, 4, 6, 7, end - 4, end - 3, end - 2, end - 1]) assert.ok(!free.includes(at), String(at));
});

test('a file: unknown flags, versions, origins and oversize are refused', () => {
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = encodeFile({ head, sealed });
    bytes[at] = value;
    return bytes;
  };
  assertRefused(() => decodeSnapshotFile(changed(4, 2)), ['FORMAT_UNSUPPORTED']);
  assertRefused(() => decodeSnapshotFile(changed(5, 2)), ['FORMAT_INVALID']);
  assertRefused(() => decodeSnapshotFile(changed(6, 1)), ['FORMAT_INVALID']);
  assertRefused(() => decodeSnapshotFile(changed(24, 0)), ['FORMAT_INVALID']);
  assertRefused(() => decodeSnapshotFile(changed(73, 0x2f)), ['FORMAT_INVALID']);
  const large = encodeFile({ head, sealed: new Uint8Array(limits.snapshotFileBytesMax) });
  assertRefused(() => decodeSnapshotFile(large), ['FORMAT_INVALID']);
});

test('records come back, padded to their Padmé length', () => {
  assert.deepEqual(plain(decodeSnapshotRecord(encodeSnapshotRecord(record))), record);
  const text = fc.string({ unit: 'binary', maxLength: 30 });
  const attributes = fc.dictionary(text, text, { noNullPrototype: true });
  const archives = fc.uniqueArray(
    fc.record({
      name: text.filter(isArchiveName),
      status: fc.constantFrom('saved' as const, 'kept' as const, 'suspicious' as const),
      savedAtMs: fc.maxSafeNat(),
      recipe: fc.constant(recipe),
      catalogue: fc.constantFrom(recipe, undefined),
      attributes,
    }),
    { selector: ({ name }) => name, maxLength: 5 },
  );
  const anyRecord = fc.record({
    createdAtMs: fc.maxSafeNat(),
    hostName: text,
    programVersion: text,
    archives,
    attributes,
  });
  fc.assert(
    fc.property(anyRecord, (any) => {
      const bytes = encodeSnapshotRecord(any);
      assert.equal(bytes.byteLength, padmeLength(bytes.byteLength));
      assert.deepEqual(plain(decodeSnapshotRecord(bytes)), plain(any));
    }),
  );
});

test('records: truncations, tails and flips', () => {
  const small = { ...record, archives: [archive], attributes: { b: '1', a: '2' } };
  const bytes = encodeSnapshotRecord(small);
  for (const part of truncations(bytes)) assertRefused(() => decodeSnapshotRecord(part), ['FORMAT_INVALID']);
  assertRefused(() => decodeSnapshotRecord(withTail(bytes, 0)), ['FORMAT_INVALID']);
  assertRefused(() => decodeSnapshotRecord(withTail(bytes, ...new Array<number>(64).fill(0))), ['FORMAT_INVALID']);
  assertCanonical(bytes, decodeSnapshotRecord, encodeSnapshotRecord);
});

test('attributes stand in the order of their UTF-8 bytes, and never twice', () => {
  const attributes = { '\u{10000}': 'astral', '\uffff': 'basic', 10: 'ten', 9: 'nine', __proto: 'p' };
  const bytes = encodeSnapshotRecord({ ...record, archives: [], attributes });
  assert.deepEqual(Object.keys(decodeSnapshotRecord(bytes).attributes).sort(), Object.keys(attributes).sort());
  const order = ['10', '9', '__proto', '\uffff', '\u{10000}'].map((key) => Buffer.from(bytes).indexOf(key));
  assert.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
});

test('an attribute that stands twice is refused', () => {
  const bytes = encodeSnapshotRecord({ ...record, archives: [], attributes: { kkka: '', kkkb: '' } });
  const second = Buffer.from(bytes).indexOf('kkkb');
  bytes[second + 3] = 'a'.charCodeAt(0);
  assertRefused(() => decodeSnapshotRecord(bytes), ['FORMAT_INVALID']);
});

test('an attribute called __proto__ is a text like any other', () => {
  const attributes = JSON.parse('{"__proto__":"x"}') as Record<string, string>;
  const back = decodeSnapshotRecord(encodeSnapshotRecord({ ...record, archives: [], attributes })).attributes;
  assert.deepEqual(Object.entries(back), [['__proto__', 'x']]);
  assert.equal(Object.getPrototypeOf(back), null);
});

test('what could not be read again is not written', () => {
  const many = (count: number): Record<string, string> =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, '']));
  const one = (fields: Partial<SnapshotArchive>): SnapshotRecord => ({
    ...record,
    archives: [{ ...archive, ...fields }],
  });
  const refused: SnapshotRecord[] = [
    { ...record, archives: [archive, archive] },
    { ...record, attributes: many(limits.attributesMax + 1) },
    { ...record, attributes: { '\ud800': 'x' } },
    { ...record, attributes: { x: 'y'.repeat(limits.attributeBytesMax + 1) } },
    { ...record, hostName: 'h'.repeat(limits.hostBytesMax + 1) },
    one({ name: '' }),
    one({ name: 'n'.repeat(limits.archiveNameBytesMax + 1) }),
    one({ name: '../x' }),
    one({ recipe: { ...recipe, lengthBytes: 99 } }),
    one({ catalogue: { ...recipe, nested: true, lengthBytes: limits.catalogueBytesMax + 1 } }),
  ];
  for (const [index, bad] of refused.entries()) {
    assertRefused(() => encodeSnapshotRecord(bad), ['LIMIT_EXCEEDED', 'FORMAT_INVALID'], `case ${index}`);
  }
  assertRefused(() => encodeSnapshotHead({ ...head, origin: parseOrigin('a'.repeat(33)) }, 40), ['FORMAT_INVALID']);
});

test('names of archives: nothing that leads out of a folder, hides, or steers a terminal', () => {
  for (const good of ['system', 'wiki', 'wiki__2', 'nextcloud.old', 'ä', 'a b', 'x'.repeat(240)]) {
    assert.ok(isArchiveName(good), good);
  }
  for (const bad of [
    '',
    '.',
    '..',
    '.hidden',
    'a/b',
    '/a',
    'a\0',
    'a\n',
    '\u007f',
    '\ud800',
    'x'.repeat(241),
    'ä'.repeat(121),
  ]) {
    assert.ok(!isArchiveName(bad), JSON.stringify(bad));
  }
});
