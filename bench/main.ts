// npm run bench -- [MODE] [options]: measures, prints tables with goals, writes JSON and SVG plots.
import { join } from 'node:path';
import { endEverythingAtExit, WorkFolder } from './measure/work-folder.ts';
import { chunker } from './modes/chunker.ts';
import { dedup } from './modes/dedup.ts';
import { fifty } from './modes/fifty.ts';
import { memory } from './modes/memory.ts';
import type { Mode } from './modes/mode.ts';
import { nights100 } from './modes/nights100.ts';
import { peers } from './modes/peers.ts';
import { profile } from './modes/profile.ts';
import { push } from './modes/push.ts';
import { scale } from './modes/scale.ts';
import { scaleRebuild } from './modes/scale-rebuild.ts';
import { scaleServer } from './modes/scale-server.ts';
import { seal } from './modes/seal.ts';
import { type BenchOptions, parseOptions, UsageError } from './options.ts';
import { describeMachine, machineLine } from './report/machine.ts';
import { fillPage } from './report/page.ts';
import { Report } from './report/report.ts';

const modes: Readonly<Record<string, Mode>> = {
  dedup: (context) => dedup(context),
  chunker,
  seal,
  push,
  memory: (context) => memory(context),
  peers,
  profile,
  scale,
  'scale-server': scaleServer,
  'scale-rebuild': scaleRebuild,
  fifty,
  nights100,
};
/** What runs without a mode: some minutes on two cores. */
const defaultModes = ['chunker', 'seal', 'dedup', 'push'];
/** Everything that docs/PERFORMANCE.md shows, at full size: an hour or two, and 60 GB of temporary space. */
const fullRun: readonly (readonly [mode: string, options: Partial<BenchOptions>])[] = [
  ['chunker', { scale: 1 }],
  ['seal', { scale: 1 }],
  ['scale', {}],
  ['scale-server', {}],
  ['scale-rebuild', {}],
  ['fifty', {}],
  ['nights100', { nights: 100, scale: 0.1 }],
  ['profile', { scale: 1 }],
  ['dedup', { scale: 1, nights: 7 }],
  ['push', { scale: 1, nights: 3, runs: 5 }],
  ['memory', { sizesGb: [1, 20] }],
  ['peers', { scale: 1, nights: 7, runs: 5 }],
];

const help = `npm run bench -- [MODE] [options]

  (no mode)            ${defaultModes.join(', ')}, each with its defaults: some minutes
  all                  everything that docs/PERFORMANCE.md shows, at full size, and the page's tables: an hour or two
  page                 only the page's tables, from the results that are there
  dedup [FOLDER...]    bytes a night by chunk size, engine and tar rules; restic and borg when installed. A folder of
                       archives is one night, a folder of folders one night each; several folders are nights in order
  chunker              MB/s of the kernel, the tar-aware chunker, fastcdc-wasm and the slow twin
  seal                 MB/s of ids, seal with verification, open; look-ups in the index
  push                 first push, a night's push, unchanged push, restore, check, scrub: real command, server, HTTPS
  memory               peak memory of the client by archive size, of the server while eight clients push
  peers                the same work by restic (HTTPS and folder), borg (ssh and folder), rsync and fallback
  profile              where the client's time goes, by stage
  scale                the client's index with millions of chunks, from its cache
  scale-server         a million packs and a thousand snapshots on the server: start, push, list, retention
  scale-rebuild        the client's index with millions of chunks, from the server
  fifty                fifty main servers that push at once: speed, fairness, memory of the server
  nights100            a hundred nights with retention: what the store and a restore hold and read beyond what is needed

  --nights N           generated nights                      --scale S     1 = about 820 MB a night
  --runs N             runs, of which the median is taken    --tools A,B   for peers
  --sizes GB,GB        for memory                            --millions N  for scale and scale-rebuild
  --packs N  --snapshots N  for scale-server             --clients N   for fifty
  --out FOLDER         where results go (bench/results)      --no-out      write none
`;

const page = join(import.meta.dirname, '..', 'docs', 'PERFORMANCE.md');

/** The modes to run, each with its options. */
function planOf(options: BenchOptions): [name: string, mode: Mode, options: BenchOptions][] {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const wanted: (readonly [string, Partial<BenchOptions>])[] =
    options.mode === 'all'
      ? [...fullRun]
      : (options.mode === 'default' ? defaultModes : [options.mode]).map((name) => [name, {}]);
  return wanted.map(([name, preset]) => {
    const mode = modes[name];
    if (mode === undefined) throw new UsageError(`There is no mode "${name}".`);
    return [name, mode, { ...options, ...preset, ...given }];
  });
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), join(import.meta.dirname, 'results'));
  if (options.mode === 'help') {
    process.stdout.write(help);
    return 0;
  }
  const fill = async (): Promise<void> => {
    if (options.resultsFolder === undefined) return;
    const filled = await fillPage(page, options.resultsFolder);
    process.stdout.write(`docs/PERFORMANCE.md has the tables of: ${filled.join(', ')}\n`);
  };
  if (options.mode === 'page') {
    await fill();
    return 0;
  }
  const plan = planOf(options);
  endEverythingAtExit();
  const machine = describeMachine();
  process.stdout.write(`${machineLine(machine)}\n`);
  for (const [name, mode, modeOptions] of plan) {
    process.stdout.write(`\n== ${name} ==\n`);
    const report = new Report(name, machine, (text) => process.stdout.write(text));
    await using work = await WorkFolder.make();
    await mode({ options: modeOptions, report, work });
    await report.finish(options.resultsFolder);
  }
  if (options.mode === 'all') await fill();
  if (options.mode === 'default') process.stdout.write('\nOther modes and options: npm run bench -- --help\n');
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n\n${help}`);
  process.exitCode = 2;
}
