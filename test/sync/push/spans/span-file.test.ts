// The file of remembered spans: what goes in comes out, and what is damaged is not believed.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { deriveRepositoryKeys } from '../../../../src/crypto/key-hierarchy.ts';
import { parseRepositoryId } from '../../../../src/format/ids.ts';
import { blockSpans } from '../../../../src/sync/push/spans/span-block.ts';
import { SpanFile, SpanFileWriter } from '../../../../src/sync/push/spans/span-file.ts';
import { SpanFolder } from '../../../../src/sync/push/spans/span-folder.ts';
import { inTemporaryFolder } from '../../../support/temporary-folder.ts';

const random = (count: number): Uint8Array => new Uint8Array(randomBytes(count));
const repositoryId = parseRepositoryId('00112233445566778899aabbccddeeff');
const keys = deriveRepositoryKeys(random(32), repositoryId);

const spanOf = (number: number) => ({
  tag: Buffer.from(random(16)),
  lengths: Uint32Array.from({ length: 1 + (number % 5) }, (_, index) => 1 + number * 7 + index),
  kinds: Uint8Array.from({ length: 1 + (number % 5) }, (_, index) => (number + index) % 2),
  ids: Buffer.from(random((1 + (number % 5)) * 32)),
});

async function write(path: string, count: number) {
  const spans = Array.from({ length: count }, (_, index) => spanOf(index));
  const writer = new SpanFileWriter(path, keys, random);
  for (const span of spans) {
    writer.add(span);
    await writer.flush();
  }
  await writer.publish();
  return spans;
}

const sumsOf = (lengths: Uint32Array): number[] => {
  let sum = 0;
  return [...lengths].map((length) => {
    sum += length;
    return sum;
  });
};

test('what was remembered is known, by number and by tag', async () => {
  await inTemporaryFolder(async (folder) => {
    for (const count of [0, 1, blockSpans - 1, blockSpans, blockSpans + 1, 300]) {
      const path = join(folder, `spans${count}`);
      const spans = await write(path, count);
      const file = await SpanFile.open(path, keys);
      assert.equal(file?.count, count);
      for (const [number, span] of [...spans.entries()].reverse()) {
        const known = file.span(number);
        assert.deepEqual(
          [known?.tag, known?.kinds, known?.ids, [...(known?.ends ?? [])], known?.lengthBytes],
          [span.tag, span.kinds, span.ids, sumsOf(span.lengths), sumsOf(span.lengths).at(-1)],
        );
        assert.equal(file.find(span.tag), number);
      }
      assert.deepEqual([file.span(count), file.find(random(16))], [undefined, undefined]);
      await file.close();
    }
  });
});

test('nothing lies in clear', async () => {
  await inTemporaryFolder(async (folder) => {
    const path = join(folder, 'spans');
    const spans = await write(path, 40);
    const bytes = await readFile(path);
    for (const { tag, ids } of spans) assert.ok(!bytes.includes(tag) && !bytes.includes(ids.subarray(0, 32)));
  });
});

test('a file that was cut short, changed, or belongs to another repository is not believed, or only where it holds', async () => {
  await inTemporaryFolder(async (folder) => {
    const path = join(folder, 'spans');
    const spans = await write(path, 70);
    const whole = await readFile(path);
    const spoilt = join(folder, 'spoilt');
    const check = async (bytes: Uint8Array): Promise<number> => {
      await writeFile(spoilt, bytes);
      const file = await SpanFile.open(spoilt, keys);
      let known = 0;
      for (const [number, span] of spans.entries()) {
        const found = file?.span(number);
        if (found === undefined) continue;
        known++;
        assert.deepEqual([found.tag, found.ids], [span.tag, span.ids]);
      }
      await file?.close();
      return known;
    };
    assert.equal(await check(whole), spans.length);
    for (let length = 0; length < whole.byteLength; length += 97)
      assert.equal(await check(whole.subarray(0, length)), 0);
    for (let at = 0; at < whole.byteLength; at += 53) {
      const flipped = new Uint8Array(whole);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      assert.ok((await check(flipped)) < spans.length, `byte ${at}`);
    }
    const other = deriveRepositoryKeys(random(32), repositoryId);
    assert.equal(await SpanFile.open(path, other), undefined);
    assert.equal(await SpanFile.open(join(folder, 'none'), keys), undefined);
  });
});

test('one that could not be written leaves the one before', async () => {
  await inTemporaryFolder(async (folder) => {
    const path = join(folder, 'spans');
    await write(path, 40);
    const before = await readFile(path);
    const discarded = new SpanFileWriter(path, keys, random);
    discarded.add(spanOf(1));
    await discarded.flush(true);
    await discarded.discard();
    await mkdir(`${path}.partial`);
    await write(path, 50);
    assert.deepEqual(await readFile(path), before);
  });
});

test('a folder knows archives by their names, forgets those that are gone, and is no trouble when it cannot be made', async () => {
  await inTemporaryFolder(async (folder) => {
    const path = join(folder, 'spans');
    const spans = new SpanFolder(path, keys, random);
    for (const name of ['a', 'b/..', 'ü'.repeat(120)]) await (await spans.open(name)).publish();
    assert.equal((await readdir(path)).length, 3);
    await writeFile(join(path, 'left.partial'), 'of a push that was killed');
    await spans.keepOnly(['a', 'c']);
    assert.equal((await readdir(path)).length, 1);
    await writeFile(join(folder, 'file'), '');
    const impossible = new SpanFolder(join(folder, 'file'), keys, random);
    const opened = await impossible.open('a');
    assert.ok(opened.isEmpty);
    await opened.publish();
    await impossible.keepOnly([]);
  });
});
