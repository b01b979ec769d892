// The server at the size of many years: a million packs and a thousand snapshots of one repository, and what it then costs to
// start, to push a little, to list, and to let go. Operations go through the real server, or the real command beside it.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { median } from '../measure/median.ts';
import { runProcess } from '../measure/run-process.ts';
import { SeededRandom } from '../nights/random.ts';
import type { Cell } from '../report/table.ts';
import { fillStore } from '../scale/fill-store.ts';
import { type BenchClient, openClient } from '../scale/open-client.ts';
import { SmallPusher, type SmallPushTimes } from '../scale/small-pusher.ts';
import { SyntheticHistory } from '../scale/synthetic-history.ts';
import { FallbackServer, fallbackCommand } from '../tools/fallback.ts';
import type { ModeContext } from './mode.ts';

const MB = 1e6;
const chunksPerPack = 10;

interface Served {
  readonly server: FallbackServer;
  readonly folder: string;
  readonly state: string;
  readonly client: BenchClient;
}

async function serve(folder: string): Promise<Served> {
  const server = await FallbackServer.start(folder);
  const state = join(folder, 'state');
  await server.pair('scale', state);
  return { server, folder, state, client: await openClient(state) };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function times(count: number, work: () => Promise<number>): Promise<number> {
  const each: number[] = [];
  for (let run = 0; run < count; run++) each.push(await work());
  return median(each);
}

/** From the process's start until it listens, and until it has answered for the repository; median of `runs`. */
async function measureStart({ report }: ModeContext, { server, client }: Served, runs: number): Promise<Cell[][]> {
  const listening: number[] = [];
  const answering: number[] = [];
  for (let run = 0; run < runs; run++) {
    await server.stop();
    const start = performance.now();
    await server.startAgain();
    listening.push(performance.now() - start);
    await client.repository.status();
    answering.push(performance.now() - start);
  }
  report.goal('server: from its start to its first answer about the repository', median(answering) / 1000, 2, 's');
  return [
    ['server: start until it listens', median(listening)],
    ['server: start until it has answered for the repository', median(answering)],
    ['status', await times(11, () => timed(() => client.repository.status()))],
  ];
}

interface PushTimes {
  readonly commitMs: number;
  readonly wholeMs: number;
  readonly serverCpuMs: number;
}

/** Small pushes by the protocol (lease, one pack, snapshot, lease given back) to one store after the other, so that both meet the same machine. */
async function measurePushes(stores: readonly Served[], count: number): Promise<PushTimes[]> {
  const pushers = stores.map(({ client }) => new SmallPusher(client, new SeededRandom('pushes')));
  for (const pusher of pushers) await pusher.push();
  for (const { server } of stores) server.process.mark();
  const pushes: SmallPushTimes[][] = stores.map(() => []);
  for (let run = 0; run < count; run++)
    for (const [index, pusher] of pushers.entries()) pushes[index]?.push(await pusher.push());
  return stores.map(({ server }, index) => ({
    commitMs: median((pushes[index] ?? []).map(({ commitMs }) => commitMs)),
    wholeMs: median((pushes[index] ?? []).map(({ wholeMs }) => wholeMs)),
    serverCpuMs: server.process.read().cpuMs / count,
  }));
}

/** The whole command with a small archive: first without a cache of the index, then with it. */
async function measureCommand({ server, folder, state }: Served, seed: string): Promise<number[]> {
  const archives = join(folder, 'archives');
  await mkdir(archives, { recursive: true });
  const wall: number[] = [];
  for (let night = 1; night <= 3; night++) {
    await writeFile(join(archives, 'small.tar'), new SeededRandom(`${seed} ${night}`).bytes(MB));
    const args = ['push', archives, '--state', state, '--quiet'];
    wall.push((await runProcess(fallbackCommand, args, { environment: server.environment })).wallMs);
  }
  return [wall[0] ?? Number.NaN, Math.min(...wall.slice(1))];
}

async function measureListing({ report }: ModeContext, { client, server, state }: Served): Promise<Cell[][]> {
  const listMs = await times(11, () => timed(() => client.repository.snapshots()));
  report.goal('server: listing all snapshots', listMs, 200, 'ms');
  const { environment } = server;
  const list = () => runProcess(fallbackCommand, ['snapshots', '--state', state], { environment });
  await list();
  return [
    ['list of all snapshots', listMs],
    ['fallback snapshots, its cache filled', await times(3, async () => (await list()).wallMs)],
  ];
}

interface RetentionStep {
  readonly label: string;
  /** Arguments of `retention policy` before the run. */
  readonly policies: readonly (readonly string[])[];
}

/** With a grace time of 0 a run deletes at once the snapshots that it drops, and the next one their packs. */
function retentionSteps(snapshots: number): readonly RetentionStep[] {
  const nights = ['--keep-days', '0', '--daily', String(Math.max(1, snapshots - 10)), '--grace-days', '0'];
  return [
    { label: 'ten nights less: their snapshots', policies: [nights] },
    { label: 'ten nights less: their packs', policies: [] },
    { label: 'nothing to do', policies: [] },
    { label: 'default rules from now on: snapshots', policies: [['--default'], ['--grace-days', '0']] },
    { label: 'default rules from now on: packs', policies: [] },
  ];
}

const deletedText = /deleted: ([\d\s]+) snapshots?, ([\d\s]+) packs?/u;
const countIn = (text: string | undefined): number => Number(text?.replace(/\s/gu, '') ?? 0);

async function measureRetention({ report }: ModeContext, { server, client }: Served, snapshots: number) {
  const { environment, storeFolder } = server;
  const command = (args: readonly string[]) => runProcess(fallbackCommand, args, { environment });
  const present = async (): Promise<number> => (await client.repository.status()).present.size;
  const rows: Cell[][] = [];
  for (const { label, policies } of retentionSteps(snapshots)) {
    report.progress(`retention: ${label}`);
    for (const policy of policies) await command(['retention', 'policy', '--dir', storeFolder, ...policy]);
    const before = await present();
    const run = await command(['retention', '--dir', storeFolder]);
    const [, snapshotsDeleted, packsDeleted] = deletedText.exec(run.stdout) ?? [];
    const condemned = before - (await present());
    const counts = [countIn(snapshotsDeleted), condemned, countIn(packsDeleted)];
    rows.push([label, run.wallMs / 1000, run.cpuMs / 1000, run.peakBytes / MB, ...counts]);
  }
  const wallSeconds = rows.map((row) => Number(row[1]));
  report.goal('retention: slowest run but for the last', Math.max(...wallSeconds.slice(0, -1)), 30, 's');
  report.goal(`retention: deleting ${rows.at(-1)?.at(-1)} packs at once`, wallSeconds.at(-1) ?? Number.NaN, 30, 's');
  report.goal('retention: peak memory of its process', Math.max(...rows.map((row) => Number(row[3]))), 500, 'MB');
  return rows;
}

export async function scaleServer(context: ModeContext): Promise<void> {
  const { report, options, work } = context;
  const packs = options.packs ?? 1_000_000;
  const snapshots = options.snapshots ?? 1_000;
  const runs = options.runs ?? 3;
  report.parameters({ packs, snapshots, chunksPerPack, runs });
  const large = await serve(await work.folder('large'));
  const empty = await serve(await work.folder('empty'));
  try {
    await large.server.stop();
    report.progress(`a store with ${packs} packs and ${snapshots} snapshots: writing`);
    await fillStore({
      storeFolder: large.server.storeFolder,
      keys: large.client.keys,
      history: new SyntheticHistory(packs, snapshots),
      chunksPerPack,
      onPacks: (count) => report.progress(`${count} packs`),
    });
    await large.server.startAgain();
    report.progress('start, status');
    const rows = await measureStart(context, large, runs);
    report.progress('small pushes by the protocol');
    const [history, none] = await measurePushes([large, empty], 40);
    if (history === undefined || none === undefined) throw new Error('nothing was pushed');
    rows.push(['commit of a snapshot', history.commitMs, none.commitMs]);
    rows.push(['small push by the protocol', history.wholeMs, none.wholeMs]);
    rows.push(['of it processor time of the server', history.serverCpuMs, none.serverCpuMs]);
    report.goal('server: commit of a snapshot, median', history.commitMs, 50, 'ms');
    report.goal('a small push against one into an empty store', history.wholeMs / none.wholeMs, 1.2, '');
    rows.push(...(await measureListing(context, large)));
    report.progress('the whole command');
    const [withHistory, without] = [await measureCommand(large, 'large'), await measureCommand(empty, 'empty')];
    rows.push(['fallback push of 1 MB, no cache', withHistory[0] ?? '-', without[0] ?? '-']);
    rows.push(['fallback push of 1 MB, with its cache', withHistory[1] ?? '-', without[1] ?? '-']);
    report.table(
      'Start, push, list, in ms',
      ['', `${packs.toLocaleString('en')} packs, ${snapshots} snapshots`, 'an empty store'],
      rows.map((row) => (row.length === 2 ? [...row, '-'] : row)),
    );
    const retention = await measureRetention(context, large, snapshots);
    report.table(
      'Retention by the command, the server running',
      ['', 'wall s', 'CPU s', 'peak MB', 'snapshots deleted', 'packs condemned', 'packs deleted'],
      retention,
    );
  } finally {
    for (const { server, client, folder } of [large, empty]) {
      await client.repository.close();
      await server.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    }
  }
}
