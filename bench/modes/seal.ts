// What a pack's way costs on one thread, and how fast the index answers.
import { createHash, randomFillSync } from 'node:crypto';
import { chunkId } from '../../src/crypto/chunk-id.ts';
import { deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { openPack, type PackContents, sealPack, verifySealedPack } from '../../src/crypto/sealed-pack.ts';
import { parsePackNumber, parseRepositoryId } from '../../src/format/ids.ts';
import { ChunkIndex, type ChunkPlace } from '../../src/sync/index/chunk-index.ts';
import { throughput } from '../measure/median.ts';
import { SeededRandom } from '../nights/random.ts';
import type { ModeContext } from './mode.ts';
import { randomSample, textSample } from './samples.ts';

const packBytes = 4 * 1024 * 1024;
const chunkBytes = 8192;
const keys = deriveRepositoryKeys(new Uint8Array(32).fill(7), parseRepositoryId('00'.repeat(16)));
const randomBytes = (count: number): Uint8Array<ArrayBuffer> => randomFillSync(new Uint8Array(count));

function idsOf(contents: Uint8Array): Uint8Array {
  const ids = new Uint8Array((contents.byteLength / chunkBytes) * 32);
  for (let at = 0; at < contents.byteLength; at += chunkBytes)
    ids.set(chunkId(keys.chunkId, contents.subarray(at, at + chunkBytes)), (at / chunkBytes) * 32);
  return ids;
}

function packOf(contents: Uint8Array, level: number): PackContents {
  const count = contents.byteLength / chunkBytes;
  const lengths = new Uint32Array(count).fill(chunkBytes);
  return { number: parsePackNumber(1), revision: 0, contents, lengths, ids: idsOf(contents), holes: [], level };
}

const sealFile = (pack: PackContents): Uint8Array => Buffer.concat(sealPack(keys, pack, randomBytes));

function measureStages(contents: Uint8Array, timeMs: number): { rows: [string, number][]; ratio: number } {
  const pack = packOf(contents, 3);
  const file = sealFile(pack);
  const rows: [string, number][] = [
    ['SHA-256 of the archive', throughput(packBytes, timeMs, () => createHash('sha256').update(contents).digest())],
    ['chunk ids (HMAC-SHA-256 of 8 KiB)', throughput(packBytes, timeMs, () => idsOf(contents))],
  ];
  for (const level of [1, 3, 6]) {
    const leveled = packOf(contents, level);
    rows.push([`compress (zstd ${level}) and seal`, throughput(packBytes, timeMs, () => sealFile(leveled))]);
  }
  rows.push(
    ['verify: open, unpack, compare ids', throughput(packBytes, timeMs, () => verifySealedPack(keys, [file], pack))],
    [
      'seal (zstd 3) and verify',
      throughput(packBytes, timeMs, () => verifySealedPack(keys, sealPack(keys, pack, randomBytes), pack)),
    ],
    ['open for restore (no ids)', throughput(packBytes, timeMs, () => openPack(keys, file, 1, false))],
  );
  return { rows, ratio: file.byteLength / contents.byteLength };
}

function measureIndex(entries: number): (string | number)[] {
  const index = new ChunkIndex();
  const ids = new SeededRandom('index').bytes(entries * 32);
  const words = new Uint32Array(ids.buffer, ids.byteOffset, entries * 8);
  const place: ChunkPlace = { pack: 0, position: 0 };
  const start = performance.now();
  for (let entry = 0; entry < entries; entry++) index.set(words, entry * 8, 1 + (entry >> 9), entry & 511);
  const filled = performance.now();
  // A stride that is no divisor: look-ups in no order, as new and old chunks come.
  for (let entry = 0, at = 0; entry < entries; entry++, at = (at + 7919) % entries) index.find(words, at * 8, place);
  const found = performance.now();
  // One word further on: ids that nobody added.
  for (let entry = 0; entry + 1 < entries; entry++) index.find(words, entry * 8 + 1, place);
  const missed = performance.now();
  const rate = (from: number, to: number): number => entries / 1000 / (to - from);
  return [entries, rate(start, filled), rate(filled, found), rate(found, missed)];
}

export async function seal({ report, options }: ModeContext): Promise<void> {
  const scale = Math.min(1, options.scale ?? 0.2);
  const timeMs = 3_000 * scale;
  const text = measureStages(textSample(packBytes), timeMs);
  const random = measureStages(randomSample(packBytes), timeMs);
  report.table(
    'Stages of a pack of 4 MiB, in MB/s of contents, one thread',
    ['', 'text', 'incompressible'],
    text.rows.map(([name, speed], at) => [name, speed, random.rows[at]?.[1] ?? '-']),
  );
  report.note(
    `Sealed size: ${(text.ratio * 100).toFixed(1)} % of the text, ${(random.ratio * 100).toFixed(1)} % of the incompressible bytes.`,
  );
  report.table(
    'The index in memory, in million operations a second',
    ['chunks', 'added', 'found', 'not found'],
    [10_000, Math.round(5_000_000 * scale)].map(measureIndex),
  );
  report.chart('stages', {
    title: 'Stages of a pack of 4 MiB, one thread',
    axis: 'MB/s of contents',
    groupAxis: 'stage',
    groups: text.rows.map(([name]) =>
      name
        .replace(/ \(.*\)| of the archive/g, '')
        .replace('compress', name.match(/zstd \d/)?.[0] ?? '')
        .replace(/: .*| for .*/, ''),
    ),
    series: [
      { name: 'text', values: text.rows.map(([, speed]) => speed) },
      { name: 'incompressible', values: random.rows.map(([, speed]) => speed) },
    ],
  });
}
