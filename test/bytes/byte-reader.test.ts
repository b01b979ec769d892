// Writer and reader together: what was written is read; every other form of it is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteReader } from '../../src/bytes/byte-reader.ts';
import { ByteWriter } from '../../src/bytes/byte-writer.ts';
import { toHex } from '../../src/bytes/hex.ts';
import { assertRefused, outcome, truncations } from './tampering.ts';

const read = (...bytes: readonly number[]): ByteReader => new ByteReader(new Uint8Array(bytes), 'sample');
const varintBytes = (value: number): Uint8Array => new ByteWriter().varint(value).finish();

type Field =
  | { readonly kind: 'u8' | 'u16' | 'u32' | 'u64' | 'varint' | 'f64'; readonly value: number }
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'sizedBytes'; readonly value: Uint8Array };

const number = <Kind extends string>(kind: Kind, values: fc.Arbitrary<number>) =>
  values.map((value) => ({ kind, value }));
const field: fc.Arbitrary<Field> = fc.oneof(
  number('u8', fc.nat(0xff)),
  number('u16', fc.nat(0xffff)),
  number('u32', fc.nat(0xffffffff)),
  number('u64', fc.maxSafeNat()),
  number('varint', fc.maxSafeNat()),
  number('f64', fc.double()),
  fc.string({ unit: 'binary' }).map((value) => ({ kind: 'text' as const, value })),
  fc.uint8Array().map((value) => ({ kind: 'sizedBytes' as const, value })),
);

function write(writer: ByteWriter, { kind, value }: Field): void {
  if (kind === 'text') writer.text(value);
  else if (kind === 'sizedBytes') writer.sizedBytes(value);
  else writer[kind](value);
}

test('any fields come back, and nothing is left', () => {
  fc.assert(
    fc.property(fc.array(field), (fields) => {
      const writer = new ByteWriter(1);
      for (const one of fields) write(writer, one);
      const reader = new ByteReader(writer.finish(), 'sample');
      for (const { kind, value } of fields) {
        const back = kind === 'text' || kind === 'sizedBytes' ? reader[kind](1_000_000) : reader[kind]();
        assert.deepEqual(back, value);
      }
      reader.end();
    }),
  );
});

test('every truncation of a field is refused', () => {
  const fields: ((reader: ByteReader) => unknown)[] = [
    (r) => r.u16(),
    (r) => r.u32(),
    (r) => r.u64(),
    (r) => r.f64(),
    (r) => r.bytes(8),
  ];
  for (const one of fields) {
    const needed = new ByteReader(new Uint8Array(8), 'sample');
    one(needed);
    for (const part of truncations(new Uint8Array(needed.offset))) {
      assertRefused(() => one(new ByteReader(part, 'sample')), ['FORMAT_INVALID']);
    }
  }
  for (const part of truncations(new ByteWriter().text('abc').finish())) {
    assertRefused(() => new ByteReader(part, 'sample').text(9), ['FORMAT_INVALID']);
  }
});

test('varints: the edges of every length', () => {
  for (let bits = 7; bits <= 49; bits += 7) {
    const bytes = bits / 7;
    assert.equal(varintBytes(2 ** bits - 1).byteLength, bytes);
    assert.equal(varintBytes(2 ** bits).byteLength, bytes + 1);
    assert.equal(new ByteReader(varintBytes(2 ** bits), 'sample').varint(), 2 ** bits);
  }
  assert.equal(toHex(varintBytes(0)), '00');
  assert.equal(toHex(varintBytes(300)), 'ac02');
  assert.equal(toHex(varintBytes(Number.MAX_SAFE_INTEGER)), 'ffffffffffffff0f');
  assert.equal(read(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f).varint(), Number.MAX_SAFE_INTEGER);
});

test('varints: longer forms and larger numbers are refused', () => {
  const refused = [
    [0x80, 0x00],
    [0xff, 0x00],
    [0x80, 0x80, 0x00],
    [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [0x80],
    [],
  ];
  for (const bytes of refused)
    assertRefused(() => read(...bytes).varint(), ['FORMAT_INVALID'], toHex(Buffer.from(bytes)));
});

test('varints: every accepted byte string is the one that the writer writes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 10 }), (bytes) => {
      const reader = new ByteReader(bytes, 'sample');
      const result = outcome(() => reader.varint());
      if ('value' in result) assert.deepEqual(varintBytes(result.value), bytes.slice(0, reader.offset));
    }),
    { numRuns: 2000 },
  );
});

test('varints: a limit of the caller holds', () => {
  assert.equal(read(0x7f).varint(127), 127);
  assertRefused(() => read(0x80, 0x01).varint(127), ['FORMAT_INVALID']);
});

test('many varints at once: what one after the other gives, on any bytes', () => {
  const byte = fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0x81, 0xff));
  const input = fc.oneof(
    fc.array(byte, { maxLength: 40 }).map((bytes) => new Uint8Array(bytes)),
    fc.array(fc.nat(2 ** 22), { maxLength: 10 }).map((values) => {
      const writer = new ByteWriter();
      for (const value of values) writer.varint(value);
      return writer.finish();
    }),
  );
  const max = fc.constantFrom(0, 127, 128, 16_383, 16_384, 2 ** 21 - 1, 2 ** 21, 2 ** 32 - 1);
  void fc.assert(
    fc.property(input, fc.nat(12), max, (bytes, count, limit) => {
      const one = new ByteReader(bytes, 'sample');
      const many = new ByteReader(bytes, 'sample');
      const expected = outcome(() => Array.from({ length: count }, () => one.varint(limit)));
      const actual = outcome(() => {
        const values = new Uint32Array(count);
        many.varints(values, limit);
        return [...values];
      });
      assert.deepEqual(actual, expected);
      if ('value' in actual) assert.equal(many.offset, one.offset);
    }),
    { numRuns: 2000 },
  );
});

test('64-bit numbers beyond 2^53-1 are refused', () => {
  assert.equal(read(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0).u64(), Number.MAX_SAFE_INTEGER);
  assertRefused(() => read(0, 0, 0, 0, 0, 0, 0x20, 0).u64(), ['FORMAT_INVALID']);
  assertRefused(() => read(0, 0, 0, 0, 0, 0, 0, 0x80).u64(), ['FORMAT_INVALID']);
});

test('texts: only UTF-8 of the allowed length, and nothing is taken off it', () => {
  const refused = [
    [1, 0xff],
    [2, 0xc0, 0x80],
    [3, 0xed, 0xa0, 0x80],
    [4, 0xf4, 0x90, 0x80, 0x80],
    [1, 0xc3],
  ];
  for (const bytes of refused) assertRefused(() => read(...bytes).text(9), ['FORMAT_INVALID']);
  assert.equal(read(3, 0xef, 0xbb, 0xbf).text(9), '\ufeff');
  assertRefused(() => read(2, 0x61, 0x61).text(1), ['FORMAT_INVALID']);
});

test('a length is checked before anything is allocated', () => {
  const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
  assertRefused(() => read(...huge).sizedBytes(Number.MAX_SAFE_INTEGER), ['FORMAT_INVALID']);
  assertRefused(() => read(...huge).text(Number.MAX_SAFE_INTEGER), ['FORMAT_INVALID']);
});

test('the ends: trailing bytes and padding that is not zero', () => {
  assertRefused(() => read(0).end(), ['FORMAT_INVALID']);
  assertRefused(() => read(0, 0, 1).zerosToEnd(), ['FORMAT_INVALID']);
  const reader = read(0, 0);
  reader.zerosToEnd();
  reader.end();
});

test('a reader of a view never leaves the view', () => {
  const view = new Uint8Array([7, 1, 2, 7]).subarray(1, 3);
  const reader = new ByteReader(view, 'sample');
  assert.equal(reader.u16(), 0x0201);
  assertRefused(() => reader.u8(), ['FORMAT_INVALID']);
});

test('what a writer cannot hold is refused', () => {
  const writer = new ByteWriter();
  assert.throws(() => writer.u8(256), RangeError);
  assert.throws(() => writer.u16(-1), RangeError);
  assert.throws(() => writer.u32(2 ** 32), RangeError);
  for (const value of [-1, 0.5, Number.NaN, 2 ** 53]) {
    assert.throws(() => writer.u64(value), RangeError);
    assert.throws(() => writer.varint(value), RangeError);
  }
  assertRefused(() => writer.text('\ud800'), ['FORMAT_INVALID']);
  assertRefused(() => writer.text('ää', 3), ['LIMIT_EXCEEDED']);
});

test('what a writer hands out shares its memory with no other buffer, and holds nothing but zeros behind its end', () => {
  const secret = Buffer.from('a secret in the shared pool');
  const bytes = new ByteWriter(16).u8(1).finish();
  assert.notEqual(bytes.buffer, secret.buffer);
  assert.equal(bytes.buffer.byteLength, 16);
  assert.deepEqual(new Uint8Array(bytes.buffer, 1), new Uint8Array(15));
});
