// Our own command over real HTTPS, step by step: time, CPU of client and server, peak memory, bytes on the wire.

import { generateNights, type Night, nightBytes } from '../nights/prepare-nights.ts';
import type { Cell } from '../report/table.ts';
import { fallbackOverHttps } from '../tools/fallback.ts';
import { figure, type MeasuredTool, measureTools } from '../tools/scenario.ts';
import type { ModeContext } from './mode.ts';

const MB = 1e6;

/** Steps of a life, as tables name them, with the bytes that each goes through. */
export function stepsOf(nights: readonly Night[]): { step: string; label: string; bytes: number }[] {
  const last = nights.at(-1);
  const bytes = last === undefined ? 0 : nightBytes(last);
  const pushes = nights.map((night, index) => ({
    step: `night ${night.name}`,
    label: index === 0 ? 'first push' : `night ${night.name}`,
    bytes: nightBytes(night),
  }));
  return [
    ...pushes,
    { step: 'unchanged', label: 'unchanged, new dates', bytes },
    { step: 'restore', label: 'restore', bytes },
    { step: 'restore from folder', label: 'restore from the folder', bytes },
    { step: 'list', label: 'list snapshots', bytes: 0 },
    { step: 'check', label: 'check --read-data', bytes },
    { step: 'scrub', label: 'scrub', bytes },
  ];
}

function rowOf(measured: MeasuredTool, { step, label, bytes }: { step: string; label: string; bytes: number }): Cell[] {
  const wallMs = figure(measured, step, (figures) => figures.wallMs);
  const counted = measured.counted.get(step);
  const wire = counted?.wireSentBytes;
  return [
    label,
    bytes === 0 ? '-' : bytes / MB,
    wallMs / 1000,
    figure(measured, step, (figures) => figures.cpuMs) / 1000,
    bytes === 0 ? '-' : bytes / 1000 / wallMs,
    figure(measured, step, (figures) => figures.clientPeakBytes) / MB,
    figure(measured, step, (figures) => figures.serverPeakBytes) / MB,
    wire === undefined ? '-' : wire / MB,
    (counted?.wireReceivedBytes ?? Number.NaN) / MB,
    (counted?.packBytes ?? Number.NaN) / MB,
  ];
}

export async function push({ options, report, work }: ModeContext): Promise<void> {
  const count = options.nights ?? 3;
  const scale = options.scale ?? 0.2;
  const runs = options.runs ?? 3;
  report.parameters({ nights: count, scale, runs });
  report.progress(`generating ${count} nights of about ${Math.round(820 * scale)} MB`);
  const nights = await generateNights(await work.folder('nights'), count, scale);
  const [measured] = await measureTools([fallbackOverHttps()], nights, runs, work, (text) => report.progress(text));
  if (measured === undefined) return;
  const steps = stepsOf(nights).filter(({ step }) => measured.counted.has(step));
  const head = ['', 'MB in', 'wall s', 'CPU s', 'MB/s', 'client MB', 'server MB', 'sent MB', 'received MB', 'packs MB'];
  report.table(
    `fallback over HTTPS, client and server on this machine, medians of ${runs}`,
    head,
    steps.map((step) => rowOf(measured, step)),
  );
  report.note('CPU: client and server together. Memory: peak resident. Sent, received: on the wire, TLS included.');
  tellGoals({ options, report, work }, measured, nights);
  const moving = steps.filter(({ bytes }) => bytes > 0);
  report.chart('speed', {
    title: 'fallback over HTTPS, client and server on one machine',
    axis: 'MB/s of archives',
    groupAxis: 'step',
    groups: moving.map(({ label }) =>
      label.replace(', new dates', '').replace(' --read-data', '').replace('from the folder', '(folder)'),
    ),
    series: [
      {
        name: 'fallback',
        values: moving.map(({ step, bytes }) => bytes / 1000 / figure(measured, step, (figures) => figures.wallMs)),
      },
    ],
  });
}

/** What issue 2 asks of bytes and memory. */
export function tellGoals({ report }: ModeContext, measured: MeasuredTool, nights: readonly Night[]): void {
  let wireBytes = 0;
  let packBytes = 0;
  for (const { name } of nights) {
    const counted = measured.counted.get(`night ${name}`);
    wireBytes += counted?.wireSentBytes ?? 0;
    packBytes += counted?.packBytes ?? 0;
  }
  report.goal('bytes on the wire beyond packs and snapshot, all nights', (wireBytes / packBytes - 1) * 100, 2, '%');
  const unchanged = measured.counted.get('unchanged')?.wireSentBytes ?? Number.NaN;
  const last = nights.at(-1);
  if (last !== undefined)
    report.goal(
      `unchanged night of ${Math.round(nightBytes(last) / MB)} MB, sent (goal for 900 MB)`,
      unchanged / 1000,
      60,
      'KB',
    );
  report.goal(
    'listing snapshots, wall',
    figure(measured, 'list', (figures) => figures.wallMs),
    150,
    'ms',
  );
  const peak = (of: 'clientPeakBytes' | 'serverPeakBytes'): number =>
    Math.max(...measured.timed.flatMap((life) => [...life.values()].map((figures) => figures[of]))) / MB;
  report.goal('client’s peak memory, any step', peak('clientPeakBytes'), 300, 'MB');
  report.goal('server’s peak memory, any step', peak('serverPeakBytes'), 150, 'MB');
}
