// How fast each chunker cuts: the kernel alone, with tar rules around it, fastcdc-wasm, and the slow twin of the tests.
import { readFileSync } from 'node:fs';
import type { Chunker, ChunkerEngine, CutList } from '../../src/chunker/chunker.ts';
import { createChunkerPool, poolView } from '../../src/chunker/chunker-pool.ts';
import { createChunker } from '../../src/chunker/create-chunker.ts';
import { createFallbackCutter } from '../../src/chunker/fallback-engine.ts';
import { createFastcdcCutter } from '../../src/chunker/fastcdc-engine.ts';
import { defaultChunkerParameters } from '../../src/chunker/parameters.ts';
import type { RegionCutter } from '../../src/chunker/region-cutter.ts';
import { twinCuts, twinTable } from '../../test/chunker/twin.ts';
import { throughput } from '../measure/median.ts';
import { generateNights } from '../nights/prepare-nights.ts';
import type { ModeContext } from './mode.ts';
import { randomSample, textSample } from './samples.ts';

const MiB = 1024 * 1024;
const seed = Uint8Array.from({ length: 32 }, (_, index) => index);
const { fine } = defaultChunkerParameters;
const windowBytes = 4 * MiB;

/** Cuts the whole pool by content, as one region. */
function cutRegion(cutter: RegionCutter, bytes: number): number {
  let at = 0;
  let chunks = 0;
  while (at < bytes) {
    const ends = cutter.cut(at, bytes - at, fine, true, Number.MAX_SAFE_INTEGER);
    chunks += ends.length;
    at += ends[ends.length - 1] ?? bytes;
  }
  return chunks;
}

/** Cuts the whole pool as an archive, window by window, as a push does. */
function cutArchive(chunker: Chunker, bytes: number, cuts: CutList): number {
  const archive = chunker.startArchive();
  let chunks = 0;
  for (let at = 0; at < bytes; ) {
    const length = Math.min(windowBytes, bytes - at);
    at += archive.cut(at, length, at + length === bytes, cuts);
    chunks += cuts.count;
  }
  return chunks;
}

/** One night as one byte string. */
async function tarSample({ work, options }: ModeContext, bytes: number): Promise<Uint8Array> {
  const [night] = await generateNights(
    await work.folder('nights'),
    1,
    Math.max((options.scale ?? 0.1) / 1, bytes / 700e6),
  );
  const largest = night?.files.toSorted((a, b) => b.sizeBytes - a.sizeBytes) ?? [];
  return new Uint8Array(Buffer.concat(largest.map(({ path }) => readFileSync(path))).subarray(0, bytes));
}

export async function chunker(context: ModeContext): Promise<void> {
  const { report, options } = context;
  const bytes = Math.max(2, Math.round(64 * Math.min(1, (options.scale ?? 0.2) * 5))) * MiB;
  const timeMs = 4_000 * Math.min(1, options.scale ?? 0.2);
  report.parameters({ sampleBytes: bytes, averageChunkBytes: fine.averageBytes });
  const samples = {
    text: textSample(bytes),
    incompressible: randomSample(bytes),
    'archives (tar)': await tarSample(context, bytes),
  };
  const names = Object.keys(samples);
  const rows = new Map<string, number[]>();
  const add = (name: string, speed: number): void => {
    rows.set(name, [...(rows.get(name) ?? []), speed]);
  };
  for (const [name, sample] of Object.entries(samples)) {
    report.progress(name);
    const pool = createChunkerPool(bytes);
    poolView(pool).set(sample);
    const own = createFallbackCutter(pool, 0, seed);
    add(
      'kernel: FastCDC, keyed, WASM',
      throughput(bytes, timeMs, () => cutRegion(own, bytes)),
    );
    const other = createFastcdcCutter(pool);
    add(
      'fastcdc-wasm: one-shot, not keyed',
      throughput(bytes, timeMs, () => cutRegion(other, bytes)),
    );
    for (const engine of ['fallback', 'fastcdc-wasm'] satisfies ChunkerEngine[]) {
      const made = createChunker({ ...defaultChunkerParameters, engine }, seed, { pool, lane: 0 });
      const most = made.cutsMax(windowBytes);
      const cuts = { ends: new Uint32Array(most), kinds: new Uint8Array(most), count: 0 };
      const label =
        engine === 'fallback' ? 'tar-aware chunker, windows of 4 MiB' : 'tar-aware chunker over fastcdc-wasm';
      add(
        label,
        throughput(bytes, timeMs, () => cutArchive(made, bytes, cuts)),
      );
    }
    const part = sample.subarray(0, Math.min(bytes, MiB));
    const table = twinTable(seed);
    add(
      'slow twin (tests)',
      throughput(part.byteLength, 0, () => twinCuts(part, table, fine, true)),
    );
  }
  report.table(
    'Cutting, in MB/s, one thread, chunks of 8 KiB on average',
    ['', ...names],
    [...rows].map(([name, speeds]) => [name, ...speeds]),
  );
  report.chart('speed', {
    title: 'Cutting, one thread, chunks of 8 KiB on average',
    axis: 'MB/s',
    groupAxis: 'what is cut',
    groups: names,
    series: [...rows].map(([name, values]) => ({ name, values })),
  });
}
