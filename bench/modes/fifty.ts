// Fifty main servers that push at once to one fallback server, each an own process, an own repository and an own archive.
import { rm } from 'node:fs/promises';
import { type RunFigures, runProcess } from '../measure/run-process.ts';
import { writeSyntheticTar } from '../nights/synthetic-tar.ts';
import type { Cell } from '../report/table.ts';
import { FallbackServer, fallbackCommand } from '../tools/fallback.ts';
import { type PairedClient, pairClients } from '../tools/paired-clients.ts';
import type { ModeContext } from './mode.ts';

const MB = 1e6;
/** Fifty processes that are looked at fifty times a second would be looked at all the time. */
const pollMs = 500;

interface Round {
  readonly row: Cell[];
  readonly failed: number;
}

/** All clients push. @param bytes of all their archives together. */
async function pushAll(
  { report }: ModeContext,
  server: FallbackServer,
  clients: readonly PairedClient[],
  label: string,
  bytes: number,
): Promise<Round> {
  const { environment } = server;
  const refusedBefore = refusedIn(server);
  server.process.mark();
  const start = performance.now();
  const success = Array.from({ length: 256 }, (_, exitCode) => exitCode - 1);
  const push = async ({ push: args }: PairedClient): Promise<RunFigures> =>
    await runProcess(fallbackCommand, args, { environment, pollMs, success });
  const runs = await Promise.all(clients.map(push));
  const wallMs = performance.now() - start;
  const served = server.process.read();
  const failures = runs.filter(({ exitCode }) => exitCode !== 0);
  for (const { exitCode, stderr } of failures)
    report.progress(`a push ended with ${exitCode}: ${stderr.trim().split('\n').at(0)}`);
  const failed = failures.length;
  const walls = runs.map((run) => run.wallMs);
  const row = [
    label,
    bytes / MB,
    wallMs / 1000,
    bytes / 1000 / wallMs,
    Math.min(...walls) / 1000,
    Math.max(...walls) / 1000,
    Math.max(...walls) / Math.min(...walls),
    served.peakBytes / MB,
    served.cpuMs / 1000,
    refusedIn(server) - refusedBefore,
    failed,
  ];
  return { row, failed };
}

/** Requests that the server has refused so far: clients repeat what may be repeated. */
const refusedIn = (server: FallbackServer): number => server.process.log.match(/"status":[45]\d\d/g)?.length ?? 0;

export async function fifty(context: ModeContext): Promise<void> {
  const { report, options, work } = context;
  const count = options.clients ?? 50;
  const eachBytes = (options.sizesGb?.[0] ?? 0.02) * 1e9;
  report.parameters({ clients: count, eachMb: eachBytes / MB });
  const folder = await work.folder('fifty');
  const server = await FallbackServer.start(folder);
  try {
    report.progress(`pairing ${count} clients`);
    const clients = await pairClients(server, folder, count);
    const rounds: Round[] = [];
    for (const label of ['first push', 'all of it new again']) {
      let bytes = 0;
      for (const { archive } of clients) bytes += await writeSyntheticTar(archive, eachBytes, `${archive} ${label}`);
      report.progress(`${count} clients push: ${label}`);
      rounds.push(await pushAll(context, server, clients, label, bytes));
    }
    report.progress(`${count} clients push: unchanged`);
    const bytes = Number(rounds.at(-1)?.row[1]) * MB;
    rounds.push(await pushAll(context, server, clients, 'unchanged', bytes));
    report.table(
      `${count} main servers push at once, client and server processes on one machine`,
      [
        '',
        'MB in',
        'wall s',
        'MB/s',
        'fastest s',
        'slowest s',
        'slowest/fastest',
        'server MB',
        'server CPU s',
        'refused, repeated',
        'failed',
      ],
      rounds.map(({ row }) => row),
    );
    report.goal('failed pushes', Math.max(...rounds.map(({ failed }) => failed)), 0, '');
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}
