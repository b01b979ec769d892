// Packs as a hostile store may give them: flipped, cut, swapped, mixed, bombs. Nothing of it may come back as data.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import fc from 'fast-check';
import { chunkId } from '../../src/crypto/chunk-id.ts';
import { deriveRepositoryKeys, type RepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { seal } from '../../src/crypto/seal.ts';
import {
  openPack,
  openPackDirectory,
  type PackContents,
  sealPack,
  verifySealedPack,
} from '../../src/crypto/sealed-pack.ts';
import type { ErrorCode } from '../../src/errors/error-codes.ts';
import { limits } from '../../src/format/limits.ts';
import {
  decodePackHeader,
  encodePackDirectory,
  encodePackHeader,
  type PackDirectory,
  packHeaderBytes,
  sealOverheadBytes,
} from '../../src/format/pack.ts';
import { padmeLength } from '../../src/format/padme.ts';
import { assertRefused, bitFlips, truncations, withTail } from '../bytes/tampering.ts';
import {
  keys,
  noiseChunk,
  otherRepositoryId,
  packOf,
  random,
  repositoryId,
  sealedFile,
  secret,
  textChunk,
} from './samples.ts';

const damaged: readonly ErrorCode[] = ['SEAL_BROKEN', 'FORMAT_INVALID', 'FORMAT_UNSUPPORTED', 'DAMAGED'];
const chunks = [textChunk('alpha ', 90), textChunk('beta ', 60), noiseChunk(40, 'gamma')];
const small = packOf(chunks);
const smallFile = sealedFile(small);

/** Seals any directory and payload as if a careless or hostile owner of the key had made them. */
function forgedFile(
  directory: PackDirectory,
  payload: Uint8Array,
  padding = padmeLength(payload.byteLength) - payload.byteLength,
): Uint8Array {
  const plain = encodePackDirectory(directory);
  const header = encodePackHeader({
    repositoryId,
    number: small.number,
    revision: 0,
    hasHoles: false,
    directoryBytes: plain.byteLength + sealOverheadBytes,
    bodyBytes: payload.byteLength + padding + sealOverheadBytes,
  });
  const sealed = (part: number, bytes: Uint8Array): Uint8Array =>
    seal(keys.pack, new Uint8Array([...header, part]), bytes, random);
  const body = new Uint8Array([...payload, ...new Uint8Array(padding)]);
  return new Uint8Array(Buffer.concat([header, sealed(1, plain), sealed(2, body)]));
}

const partsOf = (file: Uint8Array): { header: Uint8Array; directory: Uint8Array; body: Uint8Array } => {
  const end = packHeaderBytes + decodePackHeader(file).directoryBytes;
  return {
    header: file.subarray(0, packHeaderBytes),
    directory: file.subarray(packHeaderBytes, end),
    body: file.subarray(end),
  };
};
const joined = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

test('packs come back: compressed, stored, with holes, empty', () => {
  const chunk = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 3000 }),
    fc
      .tuple(fc.string({ minLength: 1, maxLength: 9 }), fc.integer({ min: 1, max: 9000 }))
      .map(([word, length]) => textChunk(word, length)),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(chunk, fc.boolean()), { maxLength: 12 }),
      fc.boolean(),
      fc.constantFrom(0, 1, 3, 19),
      (list, isHealed, level) => {
        const holes = isHealed ? list.flatMap(([, isHole], position) => (isHole ? [position] : [])) : [];
        const pack = packOf(
          list.map(([bytes]) => bytes),
          { holes, level, revision: isHealed ? 3 : 0 },
        );
        const file = sealedFile(pack);
        verifySealedPack(keys, [file], pack);
        const opened = openPack(keys, file, pack.number);
        assert.deepEqual(new Uint8Array(opened.contents), pack.contents);
        assert.deepEqual(opened.directory.lengths, pack.lengths);
        assert.deepEqual(opened.directory.ids, pack.ids);
        assert.deepEqual(opened.directory.holes, holes);
        assert.equal(opened.header.hasHoles, holes.length > 0);
        const { header, directory } = partsOf(file);
        assert.deepEqual(openPackDirectory(keys, joined(header, directory), pack.number).directory, opened.directory);
      },
    ),
    { numRuns: 150 },
  );
});

test('a large pack comes back at every level, and noise is stored', () => {
  const text = textChunk('the quick brown fox ', 1_500_000);
  for (const level of [1, 3, 12, 22]) {
    const pack = packOf([text, noiseChunk(1000, 'n'), text], { level });
    const file = sealedFile(pack);
    verifySealedPack(keys, [file], pack);
    assert.ok(file.byteLength < 20_000);
  }
  const pack = packOf([noiseChunk(1_000_000, 'noise')]);
  const opened = openPack(keys, sealedFile(pack), pack.number);
  assert.equal(opened.directory.compression, 'stored');
});

test('the whole file length and the sealed directory length are Padmé lengths', () => {
  const { directory, body } = partsOf(sealedFile(packOf([textChunk('x', 5000), noiseChunk(3333, 'p')])));
  for (const part of [directory, body]) {
    const inner = part.byteLength - sealOverheadBytes;
    assert.equal(padmeLength(inner), inner);
  }
});

test('every flipped bit is refused with a named error', () => {
  for (const flip of bitFlips(smallFile)) {
    assertRefused(() => openPack(keys, flip.bytes, small.number), damaged, `byte ${flip.at}`);
  }
  const { header, directory } = partsOf(smallFile);
  for (const flip of bitFlips(joined(header, directory))) {
    assertRefused(() => openPackDirectory(keys, flip.bytes, small.number), damaged, `byte ${flip.at}`);
  }
});

test('every truncation and every tail is refused', () => {
  for (const part of truncations(smallFile)) assertRefused(() => openPack(keys, part, small.number), damaged);
  assertRefused(() => openPack(keys, withTail(smallFile, 0), small.number), damaged);
  const { header, directory } = partsOf(smallFile);
  for (const part of truncations(joined(header, directory))) {
    assertRefused(() => openPackDirectory(keys, part, small.number), damaged);
  }
});

test('a zeroed or repeated stretch is refused', () => {
  const file = sealedFile(packOf([noiseChunk(20_000, 'stretch')]));
  for (let at = 0; at < file.byteLength; at += 4096) {
    const copy = new Uint8Array(file);
    copy.fill(0, at, at + 4096);
    assertRefused(() => openPack(keys, copy, 7), damaged, `zeros at ${at}`);
    if (at > 0) {
      copy.set(file.subarray(0, Math.min(4096, file.byteLength - at)), at);
      assertRefused(() => openPack(keys, copy, 7), damaged, `repeated at ${at}`);
    }
  }
});

test('a pack under another number, of another repository, or under another key is refused', () => {
  const eight = sealedFile(packOf(chunks, { number: 8 }));
  assertRefused(() => openPack(keys, eight, 7), ['SEAL_BROKEN']);
  assertRefused(() => openPack(keys, smallFile, 8), ['SEAL_BROKEN']);
  const renumbered = new Uint8Array(smallFile);
  renumbered[24] = 8;
  assertRefused(() => openPack(keys, renumbered, 8), ['SEAL_BROKEN']);

  const otherKeys = deriveRepositoryKeys(secret, otherRepositoryId);
  const foreign = sealedFile(packOf(chunks, {}, otherKeys), otherKeys);
  assertRefused(() => openPack(keys, foreign, 7), ['SEAL_BROKEN']);
  const relabelled = new Uint8Array(foreign);
  relabelled.set(smallFile.subarray(8, 24), 8);
  assertRefused(() => openPack(keys, relabelled, 7), ['SEAL_BROKEN']);
  const otherSecret = deriveRepositoryKeys(new Uint8Array(32).fill(1), repositoryId);
  assertRefused(() => openPack(otherSecret, smallFile, 7), ['SEAL_BROKEN']);
});

test('another revision, or holes that the header denies, is refused', () => {
  const healed = sealedFile(packOf(chunks, { revision: 1, holes: [1] }));
  assert.equal(openPack(keys, healed, 7).directory.holes.length, 1);
  for (const [at, value] of [
    [6, 0],
    [6, 2],
    [5, 0],
  ] as const) {
    const changed = new Uint8Array(healed);
    changed[at] = value;
    assertRefused(() => openPack(keys, changed, 7), damaged);
  }
});

test('parts that are swapped, or come from another pack, are refused', () => {
  const mine = partsOf(smallFile);
  const twin = partsOf(sealedFile(small));
  const eight = partsOf(sealedFile(packOf(chunks, { number: 8 })));
  // Same number, same lengths, other contents: as if a client had used a number twice.
  const stored = partsOf(sealedFile({ ...small, level: 0 }));
  const again = [textChunk('omega ', 90), noiseChunk(60, 'x'), noiseChunk(40, 'y')];
  const otherPack = partsOf(sealedFile(packOf(again, { level: 0 })));
  assert.deepEqual(new Uint8Array(otherPack.header), new Uint8Array(stored.header));

  assertRefused(() => openPack(keys, joined(mine.header, mine.body, mine.directory), 7), damaged, 'swapped parts');
  assertRefused(() => openPack(keys, joined(mine.header, eight.directory, mine.body), 7), damaged, 'directory of 8');
  assertRefused(() => openPack(keys, joined(mine.header, mine.directory, eight.body), 7), damaged, 'body of 8');
  assertRefused(() => openPack(keys, joined(eight.header, mine.directory, mine.body), 8), damaged, 'header of 8');
  assertRefused(() => openPack(keys, joined(stored.header, otherPack.directory, stored.body), 7), ['DAMAGED']);
  assertRefused(() => openPack(keys, joined(stored.header, stored.directory, otherPack.body), 7), ['DAMAGED']);
  // Two seals of the same pack may be mixed: what comes back is the same pack.
  const mixed = openPack(keys, joined(mine.header, twin.directory, mine.body), 7);
  assert.deepEqual(new Uint8Array(mixed.contents), small.contents);
});

test('a directory is never taken for a body: the part is bound to the seal', () => {
  const { header, directory } = partsOf(smallFile);
  const plain = xchacha20poly1305(keys.pack, directory.slice(0, 24), joined(header, Uint8Array.of(1)));
  assert.doesNotThrow(() => plain.decrypt(directory.slice(24)));
  const asBody = xchacha20poly1305(keys.pack, directory.slice(0, 24), joined(header, Uint8Array.of(2)));
  assert.throws(() => asBody.decrypt(directory.slice(24)));
});

const honest = (contents: Uint8Array, payload: Uint8Array): PackDirectory => ({
  compression: 'zstd',
  payloadBytes: payload.byteLength,
  lengths: Uint32Array.of(contents.byteLength),
  ids: new Uint8Array(chunkId(keys.chunkId, contents)),
  holes: [],
});

test('bombs: a frame that unpacks to more, or to less, than was declared is refused', () => {
  const contents = textChunk('bomb ', 10_000);
  const frame = new Uint8Array(zstdCompressSync(contents));
  const file = forgedFile(honest(contents, frame), frame);
  assert.deepEqual(new Uint8Array(openPack(keys, file, 7).contents), contents);
  for (const length of [1, 9_999, 10_001, 2_000_000]) {
    const lying = { ...honest(contents, frame), lengths: Uint32Array.of(length) };
    assertRefused(() => openPack(keys, forgedFile(lying, frame), 7), ['FORMAT_INVALID'], `declared ${length}`);
  }
  const huge = new Uint8Array(zstdCompressSync(Buffer.alloc(256 * 1024 * 1024)));
  const before = process.memoryUsage().rss;
  assertRefused(
    () => openPack(keys, forgedFile({ ...honest(contents, huge), payloadBytes: huge.byteLength }, huge), 7),
    ['FORMAT_INVALID'],
  );
  assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024, 'memory');
});

test('what is no frame, half a frame, or a frame and more, is refused', () => {
  const contents = textChunk('frame ', 10_000);
  const frame = new Uint8Array(zstdCompressSync(contents));
  const payloads = [
    noiseChunk(100, 'no frame'),
    frame.slice(0, -1),
    frame.slice(0, 10),
    new Uint8Array(0),
    withTail(frame, ...frame),
  ];
  for (const payload of payloads) {
    assertRefused(() => openPack(keys, forgedFile(honest(contents, payload), payload), 7), ['FORMAT_INVALID']);
  }
});

test('a chunk that is not what its id says is never returned', () => {
  const contents = textChunk('right ', 1000);
  const frame = new Uint8Array(zstdCompressSync(contents));
  const ids = new Uint8Array(chunkId(keys.chunkId, textChunk('wrong ', 1000)));
  assertRefused(() => openPack(keys, forgedFile({ ...honest(contents, frame), ids }, frame), 7), ['DAMAGED']);
});

test('a body whose padding is wrong is refused', () => {
  const contents = textChunk('pad ', 1000);
  const directory: PackDirectory = { ...honest(contents, contents), compression: 'stored' };
  assert.equal(openPack(keys, forgedFile(directory, contents), 7).contents.byteLength, 1000);
  assertRefused(() => openPack(keys, forgedFile(directory, contents, 25), 7), ['FORMAT_INVALID']);
  const dirty = new Uint8Array(padmeLength(1000));
  dirty.set(contents);
  dirty[dirty.byteLength - 1] = 1;
  assertRefused(() => openPack(keys, forgedFile(directory, dirty, 0), 7), ['FORMAT_INVALID']);
});

test('limits hold before anything is allocated', () => {
  const header = partsOf(smallFile).header;
  const claims = (at: number, bytes: number): Uint8Array => {
    const file = new Uint8Array(header);
    new DataView(file.buffer).setUint32(at, bytes, true);
    return file;
  };
  assertRefused(() => openPack(keys, claims(32, 0xffffffff), 7), ['FORMAT_INVALID']);
  assertRefused(() => openPack(keys, claims(36, 0xffffffff), 7), ['FORMAT_INVALID']);
  assertRefused(() => openPack(keys, claims(36, limits.packFileBytesMax), 7), ['FORMAT_INVALID']);
});

test('verifying finds a bit that flipped anywhere between cutting and sending', () => {
  const pack = packOf([textChunk('verify ', 5000), noiseChunk(500, 'v')]);
  const file = sealedFile(pack);
  verifySealedPack(keys, [file], pack);
  const failed = (badFile: Uint8Array, badPack: PackContents): void =>
    assertRefused(() => verifySealedPack(keys, [badFile], badPack), ['VERIFY_FAILED']);
  for (const at of [0, 30, 45, 200, file.byteLength - 1]) {
    const flipped = new Uint8Array(file);
    flipped[at] = (flipped[at] ?? 0) ^ 4;
    failed(flipped, pack);
  }
  const contents = new Uint8Array(pack.contents);
  contents[100] = 0;
  failed(sealedFile({ ...pack, contents }), { ...pack, contents });
  const ids = new Uint8Array(pack.ids);
  ids[0] = (ids[0] ?? 0) ^ 1;
  failed(sealedFile({ ...pack, ids }), { ...pack, ids });
  failed(sealedFile(packOf([textChunk('other ', 5000)])), pack);
  const tooLong = { ...pack, lengths: Uint32Array.of(5000, 501) };
  failed(sealedFile(tooLong), tooLong);
});

test('nonces are never used twice, and two seals of one pack differ', () => {
  const nonces = new Set<string>();
  for (let count = 0; count < 50; count++) {
    const parts = sealPack(keys, small, random);
    const file = joined(...parts);
    const { directory, body } = partsOf(file);
    nonces
      .add(Buffer.from(directory.subarray(0, 24)).toString('hex'))
      .add(Buffer.from(body.subarray(0, 24)).toString('hex'));
  }
  assert.equal(nonces.size, 100);
});

test('what comes back shares its memory with nothing that others hold', () => {
  const file = sealedFile(small);
  const opened = openPack(keys, file, small.number);
  const before = new Uint8Array(opened.contents);
  file.fill(0);
  assert.deepEqual(new Uint8Array(opened.contents), before);
  assert.notEqual(opened.contents.buffer, file.buffer);
});

const wrongKeys: RepositoryKeys = { ...keys, chunkId: deriveRepositoryKeys(secret, otherRepositoryId).chunkId };
test('the chunk id key is checked too', () => {
  assertRefused(() => openPack(wrongKeys, smallFile, 7), ['DAMAGED']);
});
