// Is memory flat? The client by the archive's size, the server while eight clients push at once.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from '../measure/run-process.ts';
import { writeSyntheticTar } from '../nights/synthetic-tar.ts';
import type { Cell } from '../report/table.ts';
import { FallbackServer, fallbackCommand } from '../tools/fallback.ts';
import { pairClients } from '../tools/paired-clients.ts';
import { measureStep } from '../tools/tool.ts';
import type { ModeContext } from './mode.ts';

const MB = 1e6;

/** One archive of this size: pushed, pushed again, restored; then everything of it is removed. */
async function measureSize(context: ModeContext, sizeGb: number): Promise<Cell[][]> {
  const { report, work } = context;
  const folder = await work.folder('size');
  const server = await FallbackServer.start(folder);
  try {
    const state = join(folder, 'state');
    await server.pair('size', state);
    const archives = join(folder, 'archives');
    await mkdir(archives);
    const archive = join(archives, 'large.tar');
    report.progress(`an archive of ${sizeGb} GB: writing`);
    const bytes = await writeSyntheticTar(archive, sizeGb * 1e9, `${sizeGb}`);
    const { environment, process } = server;
    const rows: Cell[][] = [];
    const step = async (label: string, args: readonly string[]): Promise<void> => {
      report.progress(`an archive of ${sizeGb} GB: ${label}`);
      const figures = await measureStep(fallbackCommand, args, { environment }, process);
      rows.push([
        `${sizeGb} GB, ${label}`,
        figures.clientPeakBytes / MB,
        figures.serverPeakBytes / MB,
        figures.wallMs / 1000,
        bytes / 1000 / figures.wallMs,
      ]);
    };
    await step('first push', ['push', archives, '--state', state, '--quiet']);
    await step('unchanged push', ['push', archives, '--state', state, '--quiet']);
    await rm(archives, { recursive: true });
    const restored = join(folder, 'restored');
    await mkdir(restored);
    await step('restore', ['restore', 'latest', '--state', state, '--to', restored, '--quiet']);
    return rows;
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Clients that push archives of their own at the same time. */
async function measureClients(context: ModeContext, clients: number, eachGb: number): Promise<Cell[]> {
  const { report, work } = context;
  const folder = await work.folder('clients');
  const server = await FallbackServer.start(folder);
  try {
    report.progress(`${clients} clients with ${eachGb} GB each: writing`);
    const paired = await pairClients(server, folder, clients);
    for (const [index, { archive }] of paired.entries())
      await writeSyntheticTar(archive, eachGb * 1e9, `client ${index + 1}`);
    report.progress(`${clients} clients push`);
    const { environment } = server;
    server.process.mark();
    const start = performance.now();
    const runs = await Promise.all(paired.map(({ push }) => runProcess(fallbackCommand, push, { environment })));
    const wallMs = performance.now() - start;
    const { peakBytes } = server.process.read();
    const clientPeak = Math.max(...runs.map((run) => run.peakBytes));
    report.goal(`server’s peak memory while ${clients} clients push`, peakBytes / MB, 200, 'MB');
    return [
      `${clients} clients, ${eachGb} GB each`,
      clientPeak / MB,
      peakBytes / MB,
      wallMs / 1000,
      (clients * eachGb * 1e6) / wallMs,
    ];
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** @param clients how many push at once. */
export async function memory(context: ModeContext, clients = 8): Promise<void> {
  const { report, options } = context;
  const sizes = options.sizesGb ?? [1, 4];
  const eachGb = Math.min(0.25, (sizes[0] ?? 1) / 4);
  report.parameters({ sizesGb: sizes, clients, clientGb: eachGb });
  const rows: Cell[][] = [];
  const peaks: number[] = [];
  for (const size of sizes) {
    const measured = await measureSize(context, size);
    rows.push(...measured);
    peaks.push(Math.max(...measured.map((row) => Number(row[1]))));
  }
  rows.push(await measureClients(context, clients, eachGb));
  report.table('Peak resident memory', ['', 'client MB', 'server MB', 'wall s', 'MB/s'], rows);
  report.goal('client’s peak memory, largest archive', peaks.at(-1) ?? Number.NaN, 400, 'MB');
  if (peaks.length > 1)
    report.goal(
      `client’s memory is flat: ${sizes.at(-1)} GB against ${sizes[0]} GB`,
      (peaks.at(-1) ?? 0) / (peaks[0] ?? 1),
      1.25,
      '',
    );
  report.chart('peaks', {
    title: 'Peak resident memory',
    axis: 'MB',
    groupAxis: 'what runs',
    groups: rows.map(([label]) =>
      String(label)
        .replace(' push', '')
        .replace(/, .* each/, ''),
    ),
    series: [
      { name: 'client', values: rows.map((row) => Number(row[1])) },
      { name: 'server', values: rows.map((row) => Number(row[2])) },
    ],
  });
}
