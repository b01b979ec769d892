// The client's index at the size of a terabyte: ten million chunks, or of media alone many packs with a few chunks each. Written as a
// cache file, then loaded by a process of its own, so that its memory is its own.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { parseRepositoryId } from '../../src/format/ids.ts';
import { idWords } from '../../src/sync/index/chunk-index.ts';
import { IndexCache } from '../../src/sync/index/index-cache.ts';
import { runProcess } from '../measure/run-process.ts';
import { SeededRandom } from '../nights/random.ts';
import { benchRepository, benchSecret, type LoadedFigures } from '../scale/bench-repository.ts';
import type { FilterFigures } from '../scale/chunk-filter.ts';
import type { ModeContext } from './mode.ts';

const chunksPerPack = 500;
/** Photos and films are cut at a mebibyte on average, and a pack has four. */
const mediaChunksPerPack = 4;
const chunkBytes = 8192;
/** So many packs are handed to the cache before it is waited for. */
const batchPacks = 1000;

interface Shape {
  readonly millions: number;
  readonly chunksPerPack: number;
}

async function writeCache(path: string, packs: number, chunks: number): Promise<void> {
  const keys = deriveRepositoryKeys(benchSecret, parseRepositoryId(benchRepository.id));
  const random = new SeededRandom('chunk ids');
  const lengths = new Uint32Array(chunks).fill(chunkBytes);
  const cache = new IndexCache(path, keys, benchRepository.generation, (count) => random.bytes(count));
  cache.reset();
  for (let number = 1; number <= packs; number++) {
    const ids = idWords(random.bytes(chunks * 32));
    cache.append({ number, fileBytes: chunks * chunkBytes, lengths, ids, holes: new Uint32Array(0) });
    if (number % batchPacks === 0) await cache.flush();
  }
  await cache.flush();
}

async function measureLoad(context: ModeContext, shape: Shape): Promise<(string | number)[]> {
  const { report, work } = context;
  const { millions } = shape;
  const packs = Math.max(2, Math.round((millions * 1e6) / shape.chunksPerPack));
  const chunks = packs * shape.chunksPerPack;
  const path = join(await work.folder('index'), 'index');
  report.progress(`writing the cache of ${chunks} chunks in ${packs} packs`);
  await writeCache(path, packs, shape.chunksPerPack);
  const { size } = await stat(path);
  const script = join(import.meta.dirname, '..', 'scale', 'load-index.ts');
  const run = await runProcess(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    script,
    path,
    String(packs),
  ]);
  const figures = JSON.parse(run.stdout) as LoadedFigures;
  if (figures.chunks !== chunks) throw new Error(`the index holds ${figures.chunks} chunks`);
  // A terabyte of media is a terabyte, however few its chunks.
  const share = shape.chunksPerPack === mediaChunksPerPack ? 1 : millions / 10;
  const what = `index of ${millions} million chunks in ${packs.toLocaleString('en')} packs`;
  report.goal(`${what}: loaded from its cache (goal for a terabyte: 8 s)`, figures.loadMs / 1000, 8 * share, 's');
  report.goal(
    `${what}: peak memory of the process (goal for a terabyte: 600 MB)`,
    run.peakBytes / 1e6,
    Math.max(150, 600 * share),
    'MB',
  );
  return [chunks, packs, size / 1e6, figures.loadMs / 1000, run.peakBytes / 1e6, figures.bareBytes / 1e6];
}

/** The first step towards ten times as many: see PERFORMANCE.md. */
async function measureFilter({ report }: ModeContext, millions: number): Promise<void> {
  report.progress(`a filter of ${millions} million chunk ids`);
  const script = join(import.meta.dirname, '..', 'scale', 'chunk-filter.ts');
  const args = ['--disable-warning=ExperimentalWarning', script, String(millions * 1e6)];
  const run = await runProcess(process.execPath, args);
  const { filterBytes, addMs, knownMs, newMs, wrongShare } = JSON.parse(run.stdout) as FilterFigures;
  report.table(
    `A filter of ${millions} million chunk ids`,
    ['filter MB', 'made in s', 'a known id, ns', 'a new id, ns', 'new ids taken for known', 'peak MB'],
    [[filterBytes / 1e6, addMs / 1000, knownMs, newMs, `${(wrongShare * 100).toFixed(2)} %`, run.peakBytes / 1e6]],
  );
}

export async function scale(context: ModeContext): Promise<void> {
  const { report, options } = context;
  const rows: (string | number)[][] = [];
  const shapes: Shape[] =
    options.millions === undefined
      ? [
          { millions: 1, chunksPerPack },
          { millions: 10, chunksPerPack },
          { millions: 1, chunksPerPack: mediaChunksPerPack },
        ]
      : [{ millions: options.millions, chunksPerPack }];
  for (const shape of shapes) rows.push(await measureLoad(context, shape));
  report.table(
    'The client’s index, loaded from its cache',
    ['chunks', 'packs', 'cache MB', 'load s', 'peak MB', 'of it before MB'],
    rows,
  );
  if (options.millions === undefined) await measureFilter(context, 100);
}
