// Pack headers and directories, before any seal: one form each, bounded, everything unknown refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from '../../src/bytes/byte-writer.ts';
import { parsePackNumber, parseRepositoryId } from '../../src/format/ids.ts';
import { limits } from '../../src/format/limits.ts';
import {
  chunkIdBytes,
  decodePackDirectory,
  decodePackHeader,
  encodePackDirectory,
  encodePackHeader,
  type PackDirectory,
  type PackHeader,
  packContentsBytes,
  packHeaderBytes,
} from '../../src/format/pack.ts';
import { padmeLength } from '../../src/format/padme.ts';
import { assertCanonical, assertRefused, span, truncations, withTail } from '../bytes/tampering.ts';

const header: PackHeader = {
  repositoryId: parseRepositoryId('00112233445566778899aabbccddeeff'),
  number: parsePackNumber(7),
  revision: 3,
  hasHoles: true,
  directoryBytes: 1000,
  bodyBytes: 4_000_000,
};

const directory: PackDirectory = {
  compression: 'zstd',
  payloadBytes: 200,
  lengths: Uint32Array.from([100, 200, 300]),
  ids: new Uint8Array(3 * chunkIdBytes).fill(5),
  holes: [1],
};

const anyDirectory = fc
  .array(fc.record({ length: fc.integer({ min: 1, max: 60_000 }), isHole: fc.boolean() }), { maxLength: 40 })
  .chain((chunks) => {
    const lengths = Uint32Array.from(chunks.map(({ length }) => length));
    const holes = chunks.flatMap(({ isHole }, position) => (isHole ? [position] : []));
    const whole = packContentsBytes({ ...directory, lengths, holes });
    return fc.record(
      {
        compression: fc.constant<'stored' | 'zstd'>('stored'),
        payloadBytes: fc.constant(whole),
        lengths: fc.constant(lengths),
        ids: fc.uint8Array({ minLength: chunks.length * chunkIdBytes, maxLength: chunks.length * chunkIdBytes }),
        holes: fc.constant(holes),
      },
      { noNullPrototype: true },
    );
  });

test('headers come back', () => {
  const bytes = encodePackHeader(header);
  assert.equal(bytes.byteLength, packHeaderBytes);
  assert.deepEqual(decodePackHeader(bytes), header);
  assert.deepEqual(decodePackHeader(withTail(bytes, 1, 2, 3)), header);
});

test('headers: every truncation is refused; every flip is refused or another header, written the same way', () => {
  for (const part of truncations(encodePackHeader(header))) {
    assertRefused(() => decodePackHeader(part), ['FORMAT_INVALID']);
  }
  const free = assertCanonical(encodePackHeader(header), decodePackHeader, encodePackHeader);
  // Flags, revision, repository id, number and lengths say what they say; the seals bind them.
  assert.deepEqual(
    free,
    [5, ...span(6, 30), ...span(32, 35), ...span(36, 40)].filter((at) => free.includes(at)),
  );
  assert.ok(!free.some((at) => at < 5));
});

test('headers: unknown letters, versions and flags; numbers and lengths out of range', () => {
  const changed = (at: number, ...values: number[]): Uint8Array => {
    const bytes = encodePackHeader(header);
    bytes.set(values, at);
    return bytes;
  };
  assertRefused(() => decodePackHeader(changed(0, 0x47)), ['FORMAT_INVALID']);
  assertRefused(() => decodePackHeader(changed(4, 0)), ['FORMAT_UNSUPPORTED']);
  assertRefused(() => decodePackHeader(changed(4, 2)), ['FORMAT_UNSUPPORTED']);
  assertRefused(() => decodePackHeader(changed(5, 2)), ['FORMAT_UNSUPPORTED']);
  assertRefused(() => decodePackHeader(changed(6, 0, 0)), ['FORMAT_INVALID']);
  assertRefused(() => decodePackHeader(changed(24, 0)), ['FORMAT_INVALID']);
  assertRefused(() => decodePackHeader(changed(30, 1)), ['FORMAT_INVALID']);
  assertRefused(() => decodePackHeader(changed(32, 39, 0)), ['FORMAT_INVALID']);
  assertRefused(() => decodePackHeader(changed(36, 39, 0, 0)), ['FORMAT_INVALID']);
  assertRefused(() => decodePackHeader(changed(35, 0xff)), ['FORMAT_INVALID']);
  assertRefused(() => decodePackHeader(changed(39, 0xff)), ['FORMAT_INVALID']);
});

test('directories come back, padded to their Padmé length', () => {
  assert.deepEqual(decodePackDirectory(encodePackDirectory(directory)), directory);
  fc.assert(
    fc.property(anyDirectory, (any) => {
      const bytes = encodePackDirectory(any);
      assert.equal(bytes.byteLength, padmeLength(bytes.byteLength));
      assert.deepEqual(decodePackDirectory(bytes), any);
    }),
  );
});

test('directories: truncations, tails and other forms are refused', () => {
  const bytes = encodePackDirectory(directory);
  for (const part of truncations(bytes)) assertRefused(() => decodePackDirectory(part), ['FORMAT_INVALID']);
  assertRefused(() => decodePackDirectory(withTail(bytes, 0)), ['FORMAT_INVALID']);
  assertRefused(() => decodePackDirectory(withTail(bytes, ...new Array<number>(64).fill(0))), ['FORMAT_INVALID']);
  assertCanonical(bytes, decodePackDirectory, encodePackDirectory);
  const padded = encodePackDirectory({ ...directory, lengths: Uint32Array.from([100, 200, 3000]) });
  padded[padded.byteLength - 1] = 1;
  assertRefused(() => decodePackDirectory(padded), ['FORMAT_INVALID']);
});

test('directories: what a writer would never write is refused', () => {
  const chunk = new Uint8Array(chunkIdBytes);
  const padded = (writer: ByteWriter): Uint8Array => writer.zeros(padmeLength(writer.length) - writer.length).finish();
  const one = (length: number, payload = length): ByteWriter =>
    new ByteWriter().u8(0).varint(payload).varint(1).varint(length);
  assert.equal(decodePackDirectory(padded(one(9).bytes(chunk).varint(0))).lengths[0], 9);
  const refused = [
    one(0).bytes(chunk).varint(0),
    one(limits.chunkBytesMax + 1)
      .bytes(chunk)
      .varint(0),
    one(9, 8).bytes(chunk).varint(0),
    one(9, 9).bytes(chunk).varint(2),
    one(9, 0).bytes(chunk).varint(1).varint(1),
    new ByteWriter()
      .u8(1)
      .varint(1)
      .varint(limits.packChunksMax + 1),
    new ByteWriter().u8(1).varint(1).varint(limits.packChunksMax),
    new ByteWriter()
      .u8(1)
      .varint(limits.packFileBytesMax + 1)
      .varint(0)
      .varint(0),
  ];
  for (const [index, writer] of refused.entries()) {
    assertRefused(() => decodePackDirectory(padded(writer)), ['FORMAT_INVALID'], `case ${index}`);
  }
  assertRefused(
    () => decodePackDirectory(padded(new ByteWriter().u8(2).varint(0).varint(0).varint(0))),
    ['FORMAT_UNSUPPORTED'],
  );
});

test('directories: contents beyond the limit are refused, whatever the payload', () => {
  const count = limits.packContentsBytesMax / limits.chunkBytesMax + 1;
  const bomb = {
    ...directory,
    lengths: new Uint32Array(count).fill(limits.chunkBytesMax),
    ids: new Uint8Array(count * chunkIdBytes),
    holes: [],
  };
  assertRefused(() => decodePackDirectory(encodePackDirectory(bomb)), ['FORMAT_INVALID']);
});

test('the largest pack fits its limits', () => {
  const lengths = new Uint32Array(limits.packChunksMax).fill(256);
  const ids = new Uint8Array(limits.packChunksMax * chunkIdBytes);
  const holes = Array.from(lengths.keys());
  const largest = encodePackDirectory({ compression: 'zstd', payloadBytes: 0, lengths, ids, holes });
  assert.ok(largest.byteLength + 40 <= limits.packDirectoryBytesMax);
  assert.ok(padmeLength(limits.packContentsBytesMax) + limits.packDirectoryBytesMax + 80 <= limits.packFileBytesMax);
});
