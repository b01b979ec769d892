// Where the time goes: V8's profiler in the client's and the server's threads, summed up by stage.

import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runProcess } from '../measure/run-process.ts';
import { generateNights, type Night, nightBytes } from '../nights/prepare-nights.ts';
import { readProfiles } from '../profile/summarize.ts';
import type { Cell } from '../report/table.ts';
import { FallbackServer, fallbackCommand } from '../tools/fallback.ts';
import type { ModeContext } from './mode.ts';

/** Stages by thread, for one run of the client. */
function tell(context: ModeContext, title: string, folder: string): void {
  const threads = readProfiles(folder);
  const stages = new Set(threads.flatMap(({ times }) => [...times.keys()]));
  const sum = (stage: string): number => threads.reduce((total, { times }) => total + (times.get(stage) ?? 0), 0);
  const rows = [...stages]
    .sort((a, b) => (a === 'idle' ? 1 : b === 'idle' ? -1 : sum(b) - sum(a)))
    .filter((stage) => sum(stage) >= 2)
    .map((stage): Cell[] => [
      stage,
      Math.round(sum(stage)),
      ...threads.map(({ times }) => Math.round(times.get(stage) ?? 0)),
    ]);
  context.report.table(
    `${title}, ms by stage`,
    ['', 'all threads', ...threads.map((_, index) => (index === 0 ? 'main' : `thread ${index}`))],
    rows,
  );
}

export async function profile(context: ModeContext): Promise<void> {
  const { options, report, work } = context;
  const scale = options.scale ?? 0.4;
  report.parameters({ scale });
  const nights = await generateNights(await work.folder('nights'), 2, scale);
  const folder = await work.folder('profile');
  const server = await FallbackServer.start(folder);
  try {
    const state = join(folder, 'state');
    await server.pair('profile', state);
    const profiled = async (title: string, args: readonly string[]): Promise<void> => {
      const profiles = await work.folder('profiles');
      const nodeOptions = `--cpu-prof --cpu-prof-dir=${profiles} --cpu-prof-interval=500`;
      const environment = { ...server.environment, NODE_OPTIONS: nodeOptions };
      report.progress(title);
      await runProcess(fallbackCommand, args, { environment });
      tell(context, title, profiles);
    };
    const archivesOf = (night: Night | undefined): string => dirname(night?.files[0]?.path ?? '');
    const megabytes = Math.round((nights[0] === undefined ? 0 : nightBytes(nights[0])) / 1e6);
    const push = (night: Night | undefined): string[] => ['push', archivesOf(night), '--state', state, '--quiet'];
    await profiled(`First push of ${megabytes} MB`, push(nights[0]));
    await profiled('The next night', push(nights[1]));
    await profiled('The same night again', push(nights[1]));
    const restored = join(folder, 'restored');
    await mkdir(restored);
    await profiled('Restore', ['restore', 'latest', '--state', state, '--to', restored, '--quiet']);
  } finally {
    await server.stop();
  }
}
