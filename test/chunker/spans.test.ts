// What is known of an archive is passed as a whole: cuts and ids are those of its bytes, whatever was edited since.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Chunker, KnownSpan, SpanMemory } from '../../src/chunker/chunker.ts';
import { createChunker } from '../../src/chunker/create-chunker.ts';
import { defaultChunkerParameters } from '../../src/chunker/parameters.ts';
import { endsSpan, spanChunksMax } from '../../src/chunker/span-rule.ts';
import {
  type Cuts,
  coversExactly,
  cutAll,
  dumpBytesOf,
  file,
  photoBytesOf,
  randomBytesOf,
  smallParameters,
  tarOf,
  testSeed,
  textBytesOf,
} from './samples.ts';

const poolBytes = 1280 * 1024;
const idOf = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** The memory as it is meant: spans in a list, found by the SHA-256 of their bytes. */
class SpanList implements SpanMemory {
  readonly #spans: (KnownSpan & { readonly tag: Uint8Array })[] = [];
  #next = 0;
  #bytes: Uint8Array[] = [];

  constructor(bytes: Uint8Array, cuts: Cuts | undefined) {
    let from = 0;
    for (const { chunks, tag } of cuts?.spans ?? []) {
      const start = cuts?.ends[from - 1] ?? 0;
      const ends = (cuts?.ends ?? []).slice(from, chunks);
      const ids = ends.map((end, index) => idOf(bytes.subarray(ends[index - 1] ?? start, end)));
      this.#spans.push({
        tag,
        lengthBytes: (ends.at(-1) ?? 0) - start,
        ends: Uint32Array.from(ends.map((end) => end - start)),
        kinds: Uint8Array.from((cuts?.kinds ?? []).slice(from, chunks)),
        ids: Buffer.concat(ids),
      });
      from = chunks;
    }
  }

  get isEmpty(): boolean {
    return this.#spans.length === 0;
  }

  expected(): KnownSpan | undefined {
    return this.#spans[this.#next];
  }

  pass(bytes: Uint8Array): Uint8Array | undefined {
    const tag = idOf(bytes);
    if (!tag.equals(this.#spans[this.#next]?.tag ?? Buffer.alloc(0))) return undefined;
    this.#next++;
    return tag;
  }

  update(bytes: Uint8Array): void {
    this.#bytes.push(new Uint8Array(bytes));
  }

  end(): Uint8Array {
    const tag = idOf(Buffer.concat(this.#bytes));
    this.#bytes = [];
    const found = this.#spans.findIndex((span) => tag.equals(span.tag));
    this.#next = (found < 0 ? this.#next : found) + 1;
    return tag;
  }
}

const chunkerOf = (parameters = defaultChunkerParameters): Chunker =>
  createChunker(parameters, testSeed, { poolBytes });

/** Cuts `bytes`, knowing `before`, and checks everything that must hold whatever they are. */
function cutKnowing(chunker: Chunker, before: Uint8Array | undefined, bytes: Uint8Array, window = () => 700_000): Cuts {
  const known = before && new SpanList(before, cutAll(chunker, before, window, 1e6, new SpanList(before, undefined)));
  const cuts = cutAll(chunker, bytes, window, 1e6, known ?? new SpanList(bytes, undefined));
  assert.ok(coversExactly(bytes, cuts.ends));
  for (const [index, end] of cuts.ends.entries()) {
    const id = cuts.ids[index];
    if (id !== undefined)
      assert.ok(id.equals(idOf(bytes.subarray(cuts.ends[index - 1] ?? 0, end))), 'an id of its bytes');
  }
  let from = 0;
  for (const { chunks, tag } of cuts.spans) {
    const span = bytes.subarray(cuts.ends[from - 1] ?? 0, cuts.ends[chunks - 1]);
    assert.ok(idOf(span).equals(tag), 'a tag of its bytes');
    assert.ok(chunks > from && chunks - from <= spanChunksMax);
    from = chunks;
  }
  assert.equal(from, cuts.ends.length, 'every chunk lies in a span');
  return cuts;
}

const knownBytes = ({ ends, ids }: Cuts): number =>
  ends.reduce((sum, end, index) => sum + (ids[index] === undefined ? 0 : end - (ends[index - 1] ?? 0)), 0);

/** A tar whose contents may be edited: its headers are right whatever becomes of them. */
function archive(edit: (name: string, content: Uint8Array) => Uint8Array = (_, content) => content): Uint8Array {
  const files: [name: string, content: Uint8Array][] = [
    ['small', textBytesOf(1, 3000)],
    ['code', textBytesOf(2, 900_000)],
    ['dump.sql', dumpBytesOf(3, 400_000)],
    ['photo', photoBytesOf(4, 1_500_000)],
    ...Array.from({ length: 60 }, (_, index): [string, Uint8Array] => [
      `mail${index}`,
      textBytesOf(10 + index, 3000 + index * 80),
    ]),
    ['thumb', photoBytesOf(5, 20_000)],
    ['last', textBytesOf(6, 200_000)],
  ];
  return tarOf(files.map(([name, content]) => file(name, edit(name, content))));
}

function edited(bytes: Uint8Array, at: number, removed: number, inserted: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]));
}

test('an unchanged archive is known whole, and its cuts are the same', () => {
  const bytes = archive();
  for (const chunker of [chunkerOf(), chunkerOf({ ...defaultChunkerParameters, engine: 'fastcdc-wasm' })]) {
    const plain = cutAll(chunker, bytes, () => 700_000);
    const first = cutKnowing(chunker, undefined, bytes);
    assert.deepEqual([first.ends, first.kinds], [plain.ends, plain.kinds], 'an empty memory changes nothing');
    assert.equal(knownBytes(first), 0);
    const second = cutKnowing(chunker, bytes, bytes);
    assert.deepEqual([second.ends, second.kinds, second.members], [plain.ends, plain.kinds, plain.members]);
    assert.equal(knownBytes(second), bytes.byteLength);
  }
});

test('cuts and spans of an archive do not depend on its windows', () => {
  const bytes = archive();
  const [one, other] = [50_000, 1_300_000].map((window) => cutKnowing(chunkerOf(), undefined, bytes, () => window));
  assert.deepEqual([one?.ends, one?.spans], [other?.ends, other?.spans]);
});

test('an edit costs the spans that it lies in', () => {
  const bytes = archive();
  for (const [name, at, removed, inserted] of [
    ['code', 500_000, 8, 'replaced'],
    ['code', 500_000, 0, 'inserted'],
    ['small', 0, 0, 'at the start'],
    ['dump.sql', 100_000, 100_000, ''],
    ['photo', 700_000, 0, 'in a photo'],
    ['last', 200_000, 0, 'at the end'],
  ] as const) {
    const changed = archive((each, content) =>
      each === name ? edited(content, at, removed, Buffer.from(inserted)) : content,
    );
    const known = knownBytes(cutKnowing(chunkerOf(), bytes, changed));
    // A span has 384 KiB at most, and only behind one that is new is it seen where known ones go on.
    assert.ok(known > changed.byteLength - 1_100_000, `${name}: ${known} of ${changed.byteLength} bytes known`);
  }
});

test('what is cut with memory is what is cut without', () => {
  const bytes = archive();
  const changed = edited(bytes, 500_000, 8, Buffer.from('inserted'));
  const [plain, knowing] = [cutAll(chunkerOf(), changed, () => 700_000), cutKnowing(chunkerOf(), bytes, changed)];
  assert.deepEqual([plain.ends, plain.kinds], [knowing.ends, knowing.kinds]);
});

test('whatever was edited, and however it falls into windows: the cuts cover it, and every known id is that of its bytes', () => {
  const bytes = archive();
  const chunkers = [chunkerOf(), chunkerOf(smallParameters)];
  const edit = fc.record({
    at: fc.integer({ min: 0, max: bytes.byteLength }),
    removed: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 0, max: bytes.byteLength })),
    inserted: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2000 }), fc.constant(300_000)),
  });
  const window = fc.oneof(fc.integer({ min: 20_000, max: 200_000 }), fc.integer({ min: 200_000, max: 1_300_000 }));
  fc.assert(
    fc.property(fc.constantFrom(...chunkers), fc.array(edit, { maxLength: 4 }), window, (chunker, edits, size) => {
      let changed = bytes;
      for (const { at, removed, inserted } of edits) {
        changed = edited(changed, Math.min(at, changed.byteLength), removed, randomBytesOf(at, inserted));
      }
      cutKnowing(chunker, bytes, changed, () => size);
    }),
    { numRuns: 30 },
  );
});

test('spans end by the bytes before their end, at most 1,024 chunks and about 256 KiB long', () => {
  const bytes = randomBytesOf(9, 64 * 1024);
  assert.ok(endsSpan(bytes, 100, 100, 256 * 1024, 3));
  assert.ok(endsSpan(bytes, 100, 100, 300, spanChunksMax));
  assert.ok(endsSpan(bytes, 65_536, 130 * 1024, 130 * 1024, 1));
  let ended = 0;
  for (let end = 8; end <= bytes.byteLength; end++) if (endsSpan(bytes, end, 8192, 8192, 1)) ended++;
  const share = ended / bytes.byteLength;
  assert.ok(Math.abs(share - 1 / 16) < 0.01, `one in ${1 / share} chunks of 8 KiB ends a span`);
});
