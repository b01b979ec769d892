// The same nights by restic, borg, rsync and fallback, in one run, alternating: ratios beside the goals.

import { median } from '../measure/median.ts';
import { generateNights, type Night } from '../nights/prepare-nights.ts';
import type { Cell } from '../report/table.ts';
import { installPeers, pickTools } from '../tools/all-tools.ts';
import { figure, type MeasuredTool, measureTools } from '../tools/scenario.ts';
import type { StepFigures } from '../tools/tool.ts';
import type { ModeContext } from './mode.ts';
import { stepsOf, tellGoals } from './push.ts';

const MB = 1e6;
const defaultTools = ['fallback', 'restic', 'restic-folder', 'borg', 'borg-folder', 'bup', 'rsync'];

/** Of the nights after the first, the median. */
function laterNights(measured: MeasuredTool, nights: readonly Night[], of: (figures: StepFigures) => number): number {
  return median(
    nights
      .slice(1)
      .map(({ name }) => figure(measured, `night ${name}`, of))
      .filter(Number.isFinite),
  );
}

const wall = (figures: StepFigures): number => figures.wallMs / 1000;
const cpu = (figures: StepFigures): number => figures.cpuMs / 1000;

/** What a tool sent: on the wire where there is one. */
function sentOf(measured: MeasuredTool, step: string): number | undefined {
  const sent = measured.counted.get(step)?.wireSentBytes;
  return sent === undefined ? undefined : sent / MB;
}

function tellTables(
  { report }: ModeContext,
  all: readonly MeasuredTool[],
  nights: readonly Night[],
  runs: number,
): void {
  const steps = stepsOf(nights).filter(
    ({ step }) => !step.startsWith('night') && all.some(({ counted }) => counted.has(step)),
  );
  const timesOf = (of: (figures: StepFigures) => number): Cell[][] =>
    all.map((measured) => [
      measured.tool.name,
      figure(measured, `night ${nights[0]?.name}`, of),
      laterNights(measured, nights, of),
      ...steps.map(({ step }) => figure(measured, step, of)),
    ]);
  const head = ['', 'first push', 'a night', ...steps.map(({ label }) => label)];
  report.table(`Wall time in s, medians of ${runs}`, head, timesOf(wall));
  report.table(`CPU in s, client and server together, medians of ${runs}`, head, timesOf(cpu));
  report.table(
    'Peak resident memory in MB: client, then server',
    ['', 'first push', 'a night', 'restore', 'server, first push'],
    all.map((measured) => [
      measured.tool.name,
      figure(measured, `night ${nights[0]?.name}`, (figures) => figures.clientPeakBytes / MB),
      laterNights(measured, nights, (figures) => figures.clientPeakBytes / MB),
      figure(measured, 'restore', (figures) => figures.clientPeakBytes / MB),
      figure(measured, `night ${nights[0]?.name}`, (figures) => figures.serverPeakBytes / MB),
    ]),
  );
  report.table(
    'Bytes sent on the wire, in MB (TLS or ssh included; folders have no wire; of bup, by how much its repository grows)',
    ['', ...nights.map(({ name }) => `night ${name}`), 'unchanged', 'later nights'],
    all
      .filter(({ counted }) => [...counted.values()].some(({ wireSentBytes }) => wireSentBytes !== undefined))
      .map((measured) => [
        measured.tool.name,
        ...nights.map(({ name }) => sentOf(measured, `night ${name}`) ?? '-'),
        sentOf(measured, 'unchanged') ?? '-',
        nights.slice(1).reduce((sum, { name }) => sum + (sentOf(measured, `night ${name}`) ?? 0), 0),
      ]),
  );
}

interface RatioGoal {
  readonly what: string;
  readonly peer: string;
  readonly atMost: number;
  readonly of: (measured: MeasuredTool) => number;
  /** The peer's side, when it is another figure. */
  readonly peerOf?: (measured: MeasuredTool) => number;
}

/** Issue 2, section 5, and issue 4, as ratios of one run. */
function ratioGoals(nights: readonly Night[]): RatioGoal[] {
  const first = `night ${nights[0]?.name}`;
  const laterSent = (measured: MeasuredTool): number =>
    nights.slice(1).reduce((sum, { name }) => sum + (sentOf(measured, `night ${name}`) ?? Number.NaN), 0);
  const https = 'restic, HTTPS';
  const step = (name: string, of: (figures: StepFigures) => number) => (measured: MeasuredTool) =>
    figure(measured, name, of);
  return [
    { what: 'bytes sent, nights after the first', peer: https, atMost: 0.2, of: laterSent },
    { what: 'bytes sent, nights after the first', peer: 'bup, folder (not encrypted)', atMost: 1, of: laterSent },
    { what: 'bytes sent, nights after the first', peer: 'rsync -z (no history)', atMost: 1, of: laterSent },
    { what: 'first push, wall', peer: https, atMost: 0.75, of: step(first, wall) },
    { what: 'first push, CPU', peer: https, atMost: 0.8, of: step(first, cpu) },
    { what: 'a night’s push, wall', peer: https, atMost: 0.5, of: (one) => laterNights(one, nights, wall) },
    { what: 'unchanged, new dates, wall', peer: https, atMost: 0.7, of: step('unchanged', wall) },
    { what: 'restore, wall', peer: https, atMost: 0.6, of: step('restore', wall) },
    {
      what: 'restore from the store’s folder, wall',
      peer: 'restic, folder',
      atMost: 0.6,
      of: step('restore from folder', wall),
      peerOf: step('restore', wall),
    },
    { what: 'check --read-data, wall', peer: https, atMost: 1, of: step('check', wall) },
    { what: 'scrub, wall', peer: 'restic, folder', atMost: 1, of: step('scrub', wall), peerOf: step('check', wall) },
  ];
}

export async function peers(context: ModeContext): Promise<void> {
  const { options, report, work } = context;
  const count = options.nights ?? 3;
  const scale = options.scale ?? 0.2;
  const runs = options.runs ?? 3;
  installPeers(report);
  const tools = pickTools(options.tools ?? defaultTools, report);
  report.parameters({ nights: count, scale, runs, tools: tools.map(({ name, version }) => `${name} ${version}`) });
  report.progress(`generating ${count} nights of about ${Math.round(820 * scale)} MB`);
  const nights = await generateNights(await work.folder('nights'), count, scale);
  const all = await measureTools(tools, nights, runs, work, (text) => report.progress(text));
  tellTables(context, all, nights, runs);
  const own = all.find(({ tool }) => tool.name.startsWith('fallback'));
  if (own !== undefined) {
    tellGoals(context, own, nights);
    for (const { what, peer, atMost, of, peerOf } of ratioGoals(nights)) {
      const other = all.find(({ tool }) => tool.name === peer);
      if (other !== undefined) report.goal(`${what}: share of ${peer}`, of(own) / (peerOf ?? of)(other), atMost, '');
    }
  }
  tellCharts(context, all, nights);
}

function tellCharts({ report }: ModeContext, all: readonly MeasuredTool[], nights: readonly Night[]): void {
  const later = nights.slice(1);
  report.chart('bytes', {
    title: 'Bytes sent on the nights after the first',
    axis: 'MB on the wire',
    groupAxis: 'night',
    groups: later.map(({ name }) => name),
    series: all
      .filter(({ counted }) => [...counted.values()].some(({ wireSentBytes }) => wireSentBytes !== undefined))
      .map((measured) => ({
        name: measured.tool.name,
        values: later.map(({ name }) => sentOf(measured, `night ${name}`)),
      })),
  });
  const groups = ['first push', 'a night', 'unchanged', 'restore', 'check'];
  const valuesOf = (measured: MeasuredTool): (number | undefined)[] =>
    [
      figure(measured, `night ${nights[0]?.name}`, wall),
      laterNights(measured, nights, wall),
      ...['unchanged', 'restore', 'check'].map((step) => figure(measured, step, wall)),
    ].map((value) => (Number.isFinite(value) ? value : undefined));
  report.chart('time', {
    title: 'Time of each step',
    axis: 'seconds',
    groupAxis: 'step',
    groups,
    series: all.map((measured) => ({ name: measured.tool.name, values: valuesOf(measured) })),
  });
}
