// A client that lost its cache: the index of ten million chunks, built anew from the directories that a real server streams.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from '../measure/run-process.ts';
import type { Cell } from '../report/table.ts';
import type { RebuiltFigures } from '../scale/bench-repository.ts';
import { fillStore } from '../scale/fill-store.ts';
import { openClient } from '../scale/open-client.ts';
import { SyntheticHistory } from '../scale/synthetic-history.ts';
import { FallbackServer } from '../tools/fallback.ts';
import type { ModeContext } from './mode.ts';

const MB = 1e6;
const chunksPerPackDefault = 500;
const nights = 10;
/** As bin/fallback starts a client. */
const clientEnvironment = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '4194304',
  MALLOC_TRIM_THRESHOLD_: '33554432',
};
const clientFlags = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=4'];
const script = join(import.meta.dirname, '..', 'scale', 'rebuild-index.ts');

async function measureLoad(label: string, server: FallbackServer, state: string, cache: string) {
  server.process.mark();
  const environment = { ...server.environment, ...clientEnvironment };
  const run = await runProcess(process.execPath, [...clientFlags, script, state, cache], { environment });
  const served = server.process.read();
  const figures = JSON.parse(run.stdout) as RebuiltFigures;
  const row: Cell[] = [
    label,
    figures.fetchedDirectories,
    figures.receivedBytes / MB,
    figures.loadMs / 1000,
    run.cpuMs / 1000,
    run.peakBytes / MB,
    served.cpuMs / 1000,
    served.peakBytes / MB,
  ];
  return { figures, row, peakBytes: run.peakBytes };
}

export async function scaleRebuild({ report, options, work }: ModeContext): Promise<void> {
  const millions = options.millions ?? 10;
  const chunks = Math.round(millions * 1e6);
  const packs = options.packs ?? Math.max(nights, Math.round(chunks / chunksPerPackDefault));
  const chunksPerPack = Math.max(1, Math.round(chunks / packs));
  report.parameters({ chunks: packs * chunksPerPack, packs, chunksPerPack });
  const folder = await work.folder('rebuild');
  const server = await FallbackServer.start(folder);
  const state = join(folder, 'state');
  try {
    await server.pair('rebuild', state);
    await server.stop();
    const { keys, repository } = await openClient(state);
    await repository.close();
    report.progress(`a store with ${packs} packs of ${chunksPerPack} chunks: writing`);
    const history = new SyntheticHistory(packs, nights);
    const onPacks = (count: number): void => report.progress(`${count} packs`);
    await fillStore({ storeFolder: server.storeFolder, keys, history, chunksPerPack, onPacks });
    await server.startAgain();
    const cache = join(folder, 'index');
    report.progress('from the server, then from the cache that this left');
    const fetched = await measureLoad('without a cache, from the server', server, state, cache);
    const cached = await measureLoad('from the cache that this left', server, state, cache);
    for (const { figures } of [fetched, cached])
      if (figures.chunks !== packs * chunksPerPack) throw new Error(`the index holds ${figures.chunks} chunks`);
    if (fetched.figures.fetchedDirectories !== packs || cached.figures.fetchedDirectories !== 0)
      throw new Error('the directories did not come from where they should');
    report.table(
      `The index of ${(packs * chunksPerPack).toLocaleString('en')} chunks in ${packs.toLocaleString('en')} packs`,
      ['', 'directories', 'received MB', 'wall s', 'CPU s', 'client MB', 'server CPU s', 'server MB'],
      [fetched.row, cached.row],
    );
    const share = millions / 10;
    const what = `index of ${millions} million chunks from the server`;
    report.goal(`${what} (goal for 10 million: 60 s)`, fetched.figures.loadMs / 1000, 60 * share, 's');
    report.goal(
      `${what}: peak memory of the client (goal for 10 million: 600 MB)`,
      fetched.peakBytes / MB,
      Math.max(150, 600 * share),
      'MB',
    );
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}
