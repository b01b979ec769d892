// How many bytes a night costs, by chunk size, engine and tar rules, beside whole files, fixed blocks, restic and borg.
import { resolve } from 'node:path';
import { type CutRules, countPushes, type NightCost, rulesOfSize, withoutTar } from '../dedup/count-pushes.ts';
import { countFixedBlocks, countWholeFiles } from '../dedup/simple-dedup.ts';
import { generateNights, type Night, namedNights, nightBytes } from '../nights/prepare-nights.ts';
import type { Cell } from '../report/table.ts';
import { countPeers } from '../tools/count-peers.ts';
import type { ModeContext } from './mode.ts';

const KiB = 1024;
const MB = 1e6;

interface Way {
  readonly name: string;
  readonly costs: readonly NightCost[];
}

const ownRules: readonly CutRules[] = [
  ...[4, 8, 16, 64, 1024].map((size) => rulesOfSize(size * KiB)),
  { ...rulesOfSize(8 * KiB, withoutTar), name: '8 KiB, no tar rules' },
  { ...rulesOfSize(8 * KiB, { engine: 'fastcdc-wasm' }), name: '8 KiB, fastcdc-wasm' },
  { ...rulesOfSize(8 * KiB, { ...withoutTar, engine: 'fastcdc-wasm' }), name: '8 KiB, fastcdc-wasm, no tar rules' },
];

const sum = (costs: readonly NightCost[], of: (cost: NightCost) => number): number =>
  costs.reduce((total, cost) => total + of(cost), 0);

/** Nights to count: the user's folders, or generated ones. */
async function nightsOf({ options, report, work }: ModeContext): Promise<Night[]> {
  if (options.operands.length > 0) {
    report.parameters({ nights: 'named by the user' });
    return await namedNights(options.operands.map((folder) => resolve(process.env['INIT_CWD'] ?? '.', folder)));
  }
  const count = options.nights ?? 4;
  const scale = options.scale ?? 0.2;
  report.parameters({ nights: count, scale });
  report.progress(`generating ${count} nights of about ${Math.round(820 * scale)} MB`);
  return await generateNights(await work.folder('nights'), count, scale);
}

function tellNights(report: ModeContext['report'], nights: readonly Night[], ways: readonly Way[]): void {
  const more = nights.length > 1;
  const rows = ways.map(({ name, costs }): Cell[] => {
    const later = costs.slice(1);
    const sent = sum(later, (cost) => cost.sentBytes);
    return [
      name,
      ...costs.map((cost) => cost.sentBytes / MB),
      ...(more ? [sent / MB, sent === 0 ? '-' : `${(sum(later, (cost) => cost.readBytes) / sent).toFixed(1)}`] : []),
      sum(costs, (cost) => cost.chunks),
    ];
  });
  const head = [
    '',
    ...nights.map(({ name }) => `night ${name}`),
    ...(more ? ['later nights', 'in : sent'] : []),
    'chunks',
  ];
  report.table(
    'Bytes sent, in MB (packs with their directories and padding, recipes, catalogues, the snapshot’s file)',
    head,
    [['(bytes in)', ...nights.map((night) => nightBytes(night) / MB), ...(more ? ['-', '-'] : []), '-'], ...rows],
  );
  report.table(
    'New bytes before compression, in MB',
    ['', ...nights.map(({ name }) => `night ${name}`)],
    ways
      .filter(({ costs }) => costs.some((cost) => cost.newBytes > 0))
      .map(({ name, costs }) => [name, ...costs.map((cost) => cost.newBytes / MB)]),
  );
}

/** @param withPeers restic and borg too, where they are installed. */
export async function dedup(context: ModeContext, withPeers = true): Promise<void> {
  const { report, work } = context;
  const nights = await nightsOf(context);
  const ways: Way[] = [];
  for (const rules of ownRules) {
    report.progress(`fallback, ${rules.name}`);
    ways.push({ name: `fallback, ${rules.name}`, costs: await countPushes(rules, nights, await work.folder('index')) });
  }
  report.progress('whole files, fixed blocks');
  ways.push({ name: 'fixed 1 MiB blocks, zstd', costs: countFixedBlocks(nights) });
  ways.push({ name: 'whole files, zstd', costs: countWholeFiles(nights) });
  if (withPeers) ways.push(...(await countPeers(context, nights)));
  tellNights(report, nights, ways);
  const ours = ways.find(({ name }) => name === 'fallback, 8 KiB');
  const restic = ways.find(({ name }) => name.startsWith('restic'));
  if (ours !== undefined && restic !== undefined && nights.length > 1) {
    const later = (way: Way): number => sum(way.costs.slice(1), (cost) => cost.sentBytes);
    report.goal('bytes sent on the later nights, as a share of restic’s', later(ours) / later(restic), 0.25, '');
  }
  report.chart('sent', {
    title: nights.length > 1 ? 'Bytes sent on the nights after the first' : 'Bytes sent',
    axis: 'MB sent',
    groupAxis: 'night',
    groups: (nights.length > 1 ? nights.slice(1) : nights).map(({ name }) => name),
    series: ways
      .filter(({ name }) => !/whole files|no tar|16 KiB/.test(name))
      .map(({ name, costs }) => ({
        name,
        values: (nights.length > 1 ? costs.slice(1) : costs).map((cost) => cost.sentBytes / MB),
      })),
  });
}
