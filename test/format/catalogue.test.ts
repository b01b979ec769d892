// The catalogue takes whatever a tar says: a member comes back exactly, or is left out; a push never fails of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from '../../src/bytes/byte-writer.ts';
import { CatalogueEncoder, type CatalogueMember, decodeCatalogue, memberTypes } from '../../src/format/catalogue.ts';
import { limits } from '../../src/format/limits.ts';
import { assertCanonical, assertRefused, truncations, withTail } from '../bytes/tampering.ts';

const sample: CatalogueMember = {
  name: 'apps/wiki/backup/dump.sql',
  type: 'file',
  headerOffset: 0,
  headerBytes: 1536,
  sizeBytes: 70_000,
  mode: 0o644,
  userId: 1001,
  groupId: 1001,
  userName: 'wiki',
  groupName: 'wiki',
  modifiedSeconds: 1_700_000_000.25,
  linkName: '',
};
const second: CatalogueMember = { ...sample, name: 'apps/wiki/link', type: 'symlink', linkName: 'x', sizeBytes: 0 };

function encode(members: Iterable<CatalogueMember>): Uint8Array {
  const encoder = new CatalogueEncoder();
  for (const member of members) assert.ok(encoder.add(member));
  return encoder.take();
}
const decode = (bytes: Uint8Array): CatalogueMember[] => [...decodeCatalogue(bytes)];

/** Puts members one behind the other, with gaps in 512-byte blocks. */
function laidOut(members: readonly (CatalogueMember & { readonly gap: number })[]): CatalogueMember[] {
  let end = 0;
  return members.map(({ gap, ...member }) => {
    const headerOffset = end + gap * 512;
    end = headerOffset + member.headerBytes + Math.ceil(member.sizeBytes / 512) * 512;
    return { ...member, headerOffset };
  });
}

const name = fc.string({ unit: 'binary', maxLength: 20 });
const id = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -limits.memberIdMax, max: limits.memberIdMax }));
const member = fc.record({
  name,
  type: fc.constantFrom(...memberTypes),
  headerOffset: fc.constant(0),
  headerBytes: fc.integer({ min: 1, max: 9 }).map((blocks) => blocks * 512),
  sizeBytes: fc.oneof(fc.constant(0), fc.nat(100_000), fc.nat(2 ** 40)),
  mode: fc.nat(0o7777),
  userId: id,
  groupId: id,
  userName: fc.oneof(fc.constant(''), name),
  groupName: fc.constant('g'),
  modifiedSeconds: fc.oneof(
    fc.nat(2 ** 31),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    fc.integer({ min: -(2 ** 40), max: -1 }),
  ),
  linkName: fc.oneof(fc.constant(''), name),
  gap: fc.oneof(fc.constant(0), fc.nat(9)),
});

test('members come back exactly: negative ids and times, fractions, gaps, owners that change and stay', () => {
  fc.assert(
    fc.property(fc.array(member, { maxLength: 12 }), (members) => {
      const list = laidOut(members);
      assert.deepEqual(decode(encode(list)), list);
    }),
    { numRuns: 500 },
  );
});

test('taken in pieces, it is the same catalogue', () => {
  fc.assert(
    fc.property(fc.array(member, { maxLength: 8 }), fc.nat(8), (members, cut) => {
      const list = laidOut(members);
      const encoder = new CatalogueEncoder();
      const pieces: Uint8Array[] = [];
      for (const [index, one] of list.entries()) {
        if (index === cut) pieces.push(encoder.take());
        encoder.add(one);
      }
      pieces.push(encoder.take());
      assert.deepEqual(new Uint8Array(Buffer.concat(pieces)), encode(list));
    }),
  );
});

test('what the format cannot hold is left out, and the others stay', () => {
  const hostile: Partial<CatalogueMember>[] = [
    { modifiedSeconds: Number.NaN },
    { modifiedSeconds: Number.POSITIVE_INFINITY },
    { modifiedSeconds: Number.NEGATIVE_INFINITY },
    { headerOffset: -512 },
    { headerOffset: 0.5 },
    { headerOffset: Number.NaN },
    { headerOffset: 2 ** 60 },
    { headerBytes: -1 },
    { sizeBytes: -1 },
    { sizeBytes: 2 ** 53 },
    { sizeBytes: limits.archiveBytesMax },
    { mode: -1 },
    { mode: 0o10000 },
    { userId: 2 ** 53 },
    { userId: -(2 ** 60) },
    { groupId: Number.NaN },
    { name: 'a'.repeat(limits.memberNameBytesMax + 1) },
    { name: '\ufffd'.repeat(limits.memberNameBytesMax / 2) },
    { name: '\ud800' },
    { linkName: '\udfff' },
    { linkName: 'b'.repeat(1_000_000) },
    { userName: 'c'.repeat(limits.noteBytesMax + 1) },
    { groupName: 'd'.repeat(2_000_000) },
  ];
  const encoder = new CatalogueEncoder();
  assert.ok(encoder.add(sample));
  const after = { ...second, headerOffset: 1536 + 70_144 + 512 };
  for (const fields of hostile) {
    assert.equal(encoder.add({ ...after, ...fields }), false, JSON.stringify(fields).slice(0, 60));
  }
  assert.equal(encoder.add({ ...after, headerOffset: 512 }), false, 'inside the member before');
  assert.ok(encoder.add(after));
  assert.deepEqual(decode(encoder.take()), [sample, after]);
});

test('any member at all: listed and equal, or left out', () => {
  const anyNumber = fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger());
  const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) });
  const anyMember = fc.record({
    ...Object.fromEntries(
      (['headerOffset', 'headerBytes', 'sizeBytes', 'mode', 'userId', 'groupId', 'modifiedSeconds'] as const).map(
        (key) => [key, fc.oneof(fc.nat(4096), anyNumber)],
      ),
    ),
    name: anyText,
    linkName: anyText,
    userName: anyText,
    groupName: anyText,
    type: fc.constantFrom(...memberTypes),
  }) as fc.Arbitrary<CatalogueMember>;
  fc.assert(
    fc.property(fc.array(anyMember), (members) => {
      const encoder = new CatalogueEncoder();
      const listed = members.filter((one) => encoder.add(one));
      // A zero has no sign in a catalogue.
      const unsigned = listed.map((one) =>
        Object.fromEntries(Object.entries(one).map(([key, value]) => [key, value === 0 ? 0 : value])),
      );
      assert.deepEqual(decode(encoder.take()), unsigned);
    }),
    { numRuns: 1000 },
  );
});

test('truncations inside a record, flips and tails', () => {
  const list = laidOut([
    { ...sample, gap: 0 },
    { ...second, gap: 3 },
  ]);
  const bytes = encode(list);
  const firstRecordBytes = encode(list.slice(0, 1)).byteLength;
  for (const part of truncations(bytes)) {
    if (part.byteLength === 0 || part.byteLength === firstRecordBytes) continue;
    assertRefused(() => decode(part), ['FORMAT_INVALID']);
  }
  assertRefused(() => decode(withTail(bytes, 0)), ['FORMAT_INVALID']);
  assertCanonical(bytes, decode, encode);
});

test('other forms of the same member are refused', () => {
  const head = (flags: number): ByteWriter => new ByteWriter().u8(flags).text('n');
  const sizes = (writer: ByteWriter): ByteWriter => writer.varint(512).varint(0).varint(0o644);
  const owner = (writer: ByteWriter): ByteWriter => writer.varint(0).varint(0).text('').text('');
  const plain = owner(sizes(head(0))).varint(5);
  assert.equal(decode(plain.finish()).length, 1);
  const refused = {
    'first member without an owner': sizes(head(0x10)).varint(5),
    'an owner repeated': owner(sizes(new ByteWriter().bytes(plain.finish()).u8(0).text('n'))).varint(5),
    'an empty gap': owner(sizes(head(0x40).varint(0))).varint(5),
    'an empty link': owner(sizes(head(0x20)))
      .varint(5)
      .text(''),
    'a whole time as a fraction': owner(sizes(head(0x80))).f64(5),
    'no number as a time': owner(sizes(head(0x80))).f64(Number.NaN),
    'an endless time': owner(sizes(head(0x80))).f64(Number.POSITIVE_INFINITY),
    'an unknown type': owner(sizes(head(8))).varint(5),
    'a mode beyond 7777': owner(head(0).varint(512).varint(0).varint(0o10000)).varint(5),
    'a member beyond the largest archive': owner(head(0).varint(512).varint(limits.archiveBytesMax).varint(0)).varint(
      5,
    ),
  };
  for (const [what, writer] of Object.entries(refused)) {
    assertRefused(() => decode(writer.finish()), ['FORMAT_INVALID'], what);
  }
});

test('minus zero is zero', () => {
  assert.ok(Object.is(decode(encode([{ ...sample, modifiedSeconds: -0 }]))[0]?.modifiedSeconds, 0));
});
