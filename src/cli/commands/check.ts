// fallback check: proves that every snapshot is complete, and, with --read-data, that it can be rebuilt.
import type { RepositoryId } from '../../format/ids.ts';
import type { AffectedArchive, CheckCounters, CheckProblem, CheckReport } from '../../sync/check/check-report.ts';
import type { ClientState } from '../../sync/client-state.ts';
import { type CommandBody, type Invocation, valueOption } from '../command-spec.ts';
import { withRepository } from '../open-repository.ts';
import { parsePercent } from '../parse-values.ts';
import { startProgress } from '../progress-line.ts';
import { jsonOption, quietOption, readingOptions } from '../shared-options.ts';
import { showBytes, showCount, showDuration, showText } from '../show.ts';

const readDataOption = valueOption(
  '--read-data [percent]',
  'fetch and open packs too: all of them, or a random share',
  parsePercent,
  { absent: 'only lists are read; 100 when no percentage is given', completion: 'none' },
);

const exitDamage = 4;
const membersShown = 5;

const steps: Readonly<Record<CheckCounters['step'], readonly [what: string, unit: string]>> = {
  snapshots: ['Checking snapshots', 'snapshots'],
  directories: ['Checking packs’ directories', 'packs'],
  archives: ['Checking archives', 'archives'],
  data: ['Reading packs', 'packs'],
  damage: ['Finding what is damaged', 'archives'],
};

function wantedPercent(invocation: Invocation): number {
  return invocation.isBare(readDataOption) ? 100 : (invocation.get(readDataOption) ?? 0);
}

const lostText = {
  contents: 'some of its contents are lost',
  recipe: 'all of it is lost',
  catalogue: 'only its list of members is lost',
} as const;

function describeAffected({ archive, snapshots, lost, members, membersTotal }: AffectedArchive): string[] {
  const lines = [`    ${showText(archive)} in snapshot ${snapshots.join(', ')}: ${lostText[lost]}`];
  for (const name of members?.slice(0, membersShown) ?? []) lines.push(`      ${showText(name)}`);
  const more = (membersTotal ?? 0) - membersShown;
  if (more > 0) lines.push(`      … and ${showCount(more, 'more member')}`);
  return lines;
}

const describeProblem = ({ code, message, affected }: CheckProblem): string[] => [
  `  ${showText(message)} (${code})`,
  ...affected.flatMap(describeAffected),
];

function report({ output }: Invocation, found: CheckReport, percent: number, ms: number): void {
  const { problems, surplus, packsUnusable, packsSound: _, ...counts } = found;
  output.json({
    ...counts,
    readDataPercent: percent,
    sound: problems.length === 0,
    problems,
    surplus: surplus.map(({ snapshot, packs }) => ({ snapshot, packs: packs.toText() })),
    packsUnusable: packsUnusable.toText(Number.POSITIVE_INFINITY),
    durationMs: Math.round(ms),
  });
  const { snapshotsChecked, archivesChecked, packsListed, packsRead, packBytesRead, archivesRebuilt, rebuiltBytes } =
    found;
  output.line(
    `${showCount(snapshotsChecked, 'snapshot')} with ${showCount(archivesChecked, 'archive')}, ` +
      `${showCount(packsListed, 'pack')} listed, in ${showDuration(ms)}.`,
  );
  if (percent > 0) {
    const of = packsRead === packsListed ? '' : `${packsRead} of `;
    output.line(`${of}${showCount(packsListed, 'pack')} read and opened (${showBytes(packBytesRead)}).`);
  }
  if (archivesRebuilt > 0) {
    output.line(
      `${showCount(archivesRebuilt, 'archive')} of the newest snapshot rebuilt (${showBytes(rebuiltBytes)}).`,
    );
  }
  for (const { snapshot, packs } of surplus) {
    output.line(`Snapshot ${snapshot} keeps ${showCount(packs.size, 'pack')} that it does not need.`);
  }
  if (problems.length === 0) {
    output.line(
      percent === 0
        ? 'Every snapshot is complete. (--read-data proves that they can be rebuilt.)'
        : percent === 100
          ? 'All sound.'
          : 'Every snapshot is complete, and all that was read is sound.',
    );
    return;
  }
  output.line(`${showCount(problems.length, 'problem')}:`);
  for (const problem of problems) output.lines(describeProblem(problem));
  output.warn(
    'Damage was found. Run fallback scrub on the fallback server, then push here, and check again: what tonight’s archives still contain is ' +
      'healed; what they lack stays lost until retention drops those snapshots.',
  );
}

async function run(invocation: Invocation): Promise<number | undefined> {
  const { world, output, signal } = invocation;
  const percent = wantedPercent(invocation);
  const startedMs = world.monotonicMs();
  return await withRepository(invocation, async ({ session, state }) => {
    const [{ checkRepository }, { newCheckCounters }] = await Promise.all([
      import('../../sync/check/check-repository.ts'),
      import('../../sync/check/check-report.ts'),
    ]);
    const counters = newCheckCounters();
    const progress = startProgress(world, output, () => {
      const [what, unit] = steps[counters.step];
      const part = counters.problems === 0 ? undefined : showCount(counters.problems, 'problem');
      return { what, unit, part, done: counters.done, total: counters.total === 0 ? undefined : counters.total };
    });
    let found: CheckReport;
    try {
      found = await checkRepository({ session, readDataPercent: percent, counters, signal });
    } finally {
      progress.stop();
    }
    report(invocation, found, percent, world.monotonicMs() - startedMs);
    if (state !== undefined) await remember(invocation, state, session.keys.repositoryId, found);
    return found.problems.length === 0 ? undefined : exitDamage;
  });
}

/** Leaves to the next push what it must not build on. @throws DISK_FULL, IO. */
async function remember(
  { world }: Invocation,
  { indexPath }: ClientState,
  repository: RepositoryId,
  found: CheckReport,
): Promise<void> {
  const { readDamagedPacks, writeDamagedPacks } = await import('../../sync/index/damaged-packs.ts');
  const noted = await readDamagedPacks(indexPath, repository);
  const damaged = noted.minus(found.packsSound).union(found.packsUnusable);
  if (!damaged.isEmpty || !noted.isEmpty) {
    await writeDamagedPacks(indexPath, repository, damaged, (count) => world.randomBytes(count));
  }
  if (found.problems.length === 0) return;
  const { forgetArchives } = await import('../../sync/push/known-archives.ts');
  await forgetArchives(indexPath);
}

export const checkCommand: CommandBody = {
  description: [
    'Without --read-data only lists are fetched: every chunk that an archive needs must lie in a pack that is there. With it packs are fetched, ' +
      'and every chunk is compared with its id; with 100 % the newest snapshot’s archives are rebuilt against their SHA-256 too.',
    'Damage never ends a check half-way: all of it is reported, with the archives and members that it touches. Exits with 4 then. Pushes of this machine no longer build on packs that it found damaged.',
  ],
  options: [readDataOption, ...readingOptions, quietOption, jsonOption],
  examples: [
    ['fallback check', 'every week'],
    ['fallback check --read-data 10', 'a tenth of all packs, chosen at random'],
    ['fallback check --read-data', 'everything'],
  ],
  json: [
    'One object: `snapshotsChecked`, `archivesChecked`, `archivesDistinct`, `packsListed`, `packsRead`, `packBytesRead`, `archivesRebuilt`, `rebuiltBytes`, ' +
      '`readDataPercent`, `sound`, `problems` (each `code`, `message`, `snapshot`, `archive`, `pack`, `affected`: each `archive`, `snapshots`, `lost`, ' +
      '`members`, `membersTotal`), `surplus` (each `snapshot`, `packs`), `packsUnusable` (whole by the store, and do not open), `durationMs`.',
  ],
  run,
};
