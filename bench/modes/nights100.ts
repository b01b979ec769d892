// A hundred nights with retention, pushed twice: as the program does, and with half-dead packs left alone. How much the store
// holds beyond what is needed, how much a restore reads beyond it, and what the cure costs the nights.
import { join } from 'node:path';
import { defaultChunkerParameters } from '../../src/chunker/parameters.ts';
import { dayMs } from '../../src/store/retention-policy.ts';
import { type LiveBytes, LiveBytesCounter } from '../lifetime/live-bytes.ts';
import { SimulatedStore } from '../lifetime/simulated-store.ts';
import { nightBytes, passingNights } from '../nights/prepare-nights.ts';
import type { Cell } from '../report/table.ts';
import type { ModeContext } from './mode.ts';

const MB = 1e6;
const startMs = Date.UTC(2026, 0, 1, 3);
const packBytesDefault = 4 * 1024 * 1024;
const packBytesMin = 128 * 1024;

interface Arm {
  readonly name: string;
  readonly store: SimulatedStore;
  readonly counter: LiveBytesCounter;
  readonly sentBytes: number[];
  readonly live: LiveBytes[];
}

async function makeArms(context: ModeContext, packBytes: number): Promise<Arm[]> {
  const folder = await context.work.folder('stores');
  const configuration = {
    ...defaultChunkerParameters,
    packTargetBytesMin: Math.round(packBytes * 0.875),
    packTargetBytesMax: Math.round(packBytes * 1.125),
  };
  const arms: Arm[] = [];
  for (const [name, keepHalfDead] of [
    ['as it is', false],
    ['left alone', true],
  ] as const) {
    const store = await SimulatedStore.make(join(folder, String(arms.length)), {
      configuration,
      startMs,
      keepHalfDead,
    });
    arms.push({ name, store, counter: new LiveBytesCounter(store.session), sentBytes: [], live: [] });
  }
  return arms;
}

/** All nights but the first, in bytes. */
const laterBytes = (arm: Arm): number => arm.sentBytes.slice(1).reduce((sum, bytes) => sum + bytes, 0);

function tell(
  { report }: ModeContext,
  arms: readonly Arm[],
  readBytes: readonly number[],
  nightsIn: readonly number[],
): void {
  const rows = arms.map((arm, index): Cell[] => {
    const last = arm.live.at(-1);
    if (last === undefined) return [arm.name];
    const read = readBytes[index] ?? 0;
    return [
      `half-dead packs ${arm.name}`,
      laterBytes(arm) / MB,
      last.storedBytes / MB,
      last.storedBytes / last.liveBytes,
      last.namedPacks,
      read / MB,
      read / last.usedBytes,
    ];
  });
  const head = [
    '',
    'later nights sent MB',
    'store MB',
    'store : needed',
    'packs named',
    'restore read MB',
    'read : needed',
  ];
  report.table(`After ${nightsIn.length} nights`, head, rows);
  report.note(
    'Needed by the store: what the snapshots in it name (kept ones and those in their grace time), each distinct chunk once. ' +
      'Needed by a restore: what the newest snapshot names.',
  );
  const [cured, plain] = arms;
  const last = cured?.live.at(-1);
  if (cured === undefined || plain === undefined || last === undefined) return;
  report.goal('store, as a multiple of what its snapshots need', last.storedBytes / last.liveBytes, 1.3, '');
  report.goal(
    'restore of the newest night reads, as a multiple of what it needs',
    (readBytes[0] ?? 0) / last.usedBytes,
    1.5,
    '',
  );
  report.goal(
    'nights send, as a multiple of what they would send without',
    laterBytes(cured) / laterBytes(plain),
    1.1,
    '',
  );
}

function plot({ report }: ModeContext, arms: readonly Arm[], names: readonly string[]): void {
  const chart = (name: string, title: string, axis: string, of: (arm: Arm) => readonly number[]): void => {
    const series = arms.map((arm) => ({ name: `half-dead packs ${arm.name}`, values: of(arm) }));
    report.chart(name, { title, axis, groupAxis: 'night', groups: names, series }, 'lines');
  };
  chart('store', 'The store, as a multiple of what its snapshots need', 'store : needed', ({ live }) =>
    live.map(({ storedBytes, liveBytes }) => storedBytes / liveBytes),
  );
  chart('restore', 'A restore of the newest night, as a multiple of what it needs', 'read : needed', ({ live }) =>
    live.map(({ namedBytes, usedBytes }) => namedBytes / usedBytes),
  );
  chart('sent', 'Sent by the nights after the first, all together', 'MB', ({ sentBytes }) => {
    let total = 0;
    return sentBytes.map((bytes, night) => {
      total += night === 0 ? 0 : bytes;
      return total / MB;
    });
  });
}

export async function nights100(context: ModeContext): Promise<void> {
  const { options, report, work } = context;
  const count = options.nights ?? 100;
  const scale = options.scale ?? 0.05;
  const packBytes = Math.max(packBytesMin, Math.min(packBytesDefault, Math.round(packBytesDefault * scale)));
  report.parameters({ nights: count, scale, packBytes });
  const arms = await makeArms(context, packBytes);
  const names: string[] = [];
  const nightsIn: number[] = [];
  try {
    for await (const night of passingNights(await work.folder('nights'), count, scale)) {
      for (const arm of arms) {
        arm.sentBytes.push(await arm.store.night(night, startMs + names.length * dayMs));
        await arm.counter.learn();
        arm.live.push(await arm.counter.count());
      }
      names.push(night.name);
      nightsIn.push(nightBytes(night));
      if (names.length % 10 === 0) report.progress(`night ${night.name} of ${count}`);
    }
    const readBytes: number[] = [];
    for (const { store } of arms) readBytes.push(await store.restore());
    tell(context, arms, readBytes, nightsIn);
    plot(context, arms, names);
  } finally {
    for (const { store } of arms) await store.close();
  }
}
