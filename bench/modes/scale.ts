// The client's index at the size of a terabyte with media: ten million chunks. Written as a cache file of sealed
// directories, then loaded by a process of its own, so that its memory is its own.
import { open as openFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { deriveRepositoryKeys, type RepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { parseRepositoryId } from '../../src/format/ids.ts';
import { IndexCache } from '../../src/sync/index/index-cache.ts';
import { runProcess } from '../measure/run-process.ts';
import { SeededRandom } from '../nights/random.ts';
import { benchRepository, benchSecret, type LoadedFigures } from '../scale/bench-repository.ts';
import type { FilterFigures } from '../scale/chunk-filter.ts';
import { sealSmallPack } from '../scale/seal-objects.ts';
import type { ModeContext } from './mode.ts';

const chunksPerPack = 500;

/** Header and sealed directory of a pack: what a cache holds of it. */
function directoryOf(keys: RepositoryKeys, number: number, random: SeededRandom): Uint8Array {
  const [directory = new Uint8Array(0)] = sealSmallPack(keys, number, chunksPerPack, random);
  return directory;
}

async function writeCache(path: string, packs: number): Promise<void> {
  const id = parseRepositoryId(benchRepository.id);
  const keys = deriveRepositoryKeys(benchSecret, id);
  const random = new SeededRandom('chunk ids');
  // The head is written by the cache itself; its records follow as they are.
  const cache = new IndexCache(path, id, benchRepository.generation);
  cache.append(directoryOf(keys, 1, random));
  cache.reset();
  cache.append(directoryOf(keys, 1, random));
  await cache.flush();
  const file = await openFile(path, 'a');
  try {
    for (let number = 2; number <= packs; number++) await file.appendFile(directoryOf(keys, number, random));
  } finally {
    await file.close();
  }
}

async function measureLoad(context: ModeContext, millions: number): Promise<(string | number)[]> {
  const { report, work } = context;
  const packs = Math.max(2, Math.round((millions * 1e6) / chunksPerPack));
  const path = join(await work.folder('index'), 'index');
  report.progress(`writing the cache of ${packs * chunksPerPack} chunks in ${packs} packs`);
  await writeCache(path, packs);
  const { size } = await stat(path);
  const script = join(import.meta.dirname, '..', 'scale', 'load-index.ts');
  const run = await runProcess(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    script,
    path,
    String(packs),
  ]);
  const figures = JSON.parse(run.stdout) as LoadedFigures;
  if (figures.chunks !== packs * chunksPerPack) throw new Error(`the index holds ${figures.chunks} chunks`);
  const perTenMillion = 10 / millions;
  report.goal(
    `index of ${millions} million chunks: loaded from its cache (goal for 10 million: 8 s)`,
    figures.loadMs / 1000,
    8 / perTenMillion,
    's',
  );
  report.goal(
    `index of ${millions} million chunks: peak memory of the process (goal for 10 million: 600 MB)`,
    run.peakBytes / 1e6,
    Math.max(150, 600 / perTenMillion),
    'MB',
  );
  return [
    packs * chunksPerPack,
    packs,
    size / 1e6,
    figures.loadMs / 1000,
    run.peakBytes / 1e6,
    figures.bareBytes / 1e6,
  ];
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
  for (const millions of options.millions === undefined ? [1, 10] : [options.millions])
    rows.push(await measureLoad(context, millions));
  report.table(
    'The client’s index, loaded from its cache',
    ['chunks', 'packs', 'cache MB', 'load s', 'peak MB', 'of it before MB'],
    rows,
  );
  if (options.millions === undefined) await measureFilter(context, 100);
}
