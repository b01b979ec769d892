// fallback scrub: reads everything in a store again and verifies it, without a key.
import type { ScrubProgress, ScrubRequest } from '../../store/scrub.ts';
import type { ScrubDamage, ScrubReport } from '../../store/scrub-report.ts';
import type { Store } from '../../store/store.ts';
import { type CommandBody, flagOption, type Invocation, valueOption } from '../command-spec.ts';
import { type NamedRepository, namedRepositories, pickRepository, withStore } from '../open-repository.ts';
import { parseWhole } from '../parse-values.ts';
import { startProgress } from '../progress-line.ts';
import { jsonOption, quietOption, repositoryOption, storeOption } from '../shared-options.ts';
import { showBytes, showCount, showText } from '../show.ts';

const restartOption = flagOption('--restart', 'begin anew, also when an earlier scrub was stopped half-way');
const limitOption = valueOption(
  '--limit-read <kib/s>',
  'read at most so many KiB (1024 bytes) a second',
  parseWhole(1, 2 ** 32),
  {
    completion: 'none',
  },
);

async function scrubOne(invocation: Invocation, { repository, status }: NamedRepository): Promise<ScrubReport> {
  const { world, output, signal } = invocation;
  const { scrubRepository } = await import('../../store/scrub.ts');
  let at: ScrubProgress = { objectsChecked: 0, bytesChecked: 0, bytesTotal: status.storedBytes, damaged: 0 };
  const progress = startProgress(world, output, () => ({
    what: `Scrubbing ${showText(status.name)}`,
    done: at.bytesChecked,
    total: at.bytesTotal,
    part: at.damaged === 0 ? undefined : `${at.damaged} damaged`,
  }));
  const kib = invocation.get(limitOption);
  const request: ScrubRequest = {
    signal,
    restart: invocation.get(restartOption) !== undefined,
    onProgress: (now) => {
      at = now;
    },
    ...(kib === undefined ? {} : { bytesPerSecond: kib * 1024 }),
  };
  try {
    return await scrubRepository(repository, request);
  } finally {
    progress.stop();
  }
}

function describeDamage({ kind, number, reason, repaired, quarantinedAs, neededBy }: ScrubDamage): string[] {
  const lines = [
    `  ${kind}${number === 0 ? '' : ` ${number}`}: ${showText(reason)}${repaired ? ' (repaired from its second copy)' : ''}`,
  ];
  if (neededBy.length > 0) lines.push(`    needed by snapshot ${neededBy.join(', ')}`);
  if (quarantinedAs !== undefined) lines.push(`    moved aside to ${quarantinedAs}`);
  return lines;
}

function report({ output }: Invocation, { status }: NamedRepository, found: ScrubReport): void {
  const { damage, strangers, objectsChecked, bytesChecked, finishedAtMs } = found;
  output.json({ repositoryId: status.repositoryId, name: status.name, finished: finishedAtMs !== undefined, ...found });
  const amount = `${showCount(objectsChecked, 'object')}, ${showBytes(bytesChecked)}`;
  const name = showText(status.name);
  if (finishedAtMs === undefined) output.line(`${name}: stopped after ${amount}; the next scrub goes on from there.`);
  else
    output.line(
      `${name}: ${amount} verified, ${damage.length === 0 ? 'all sound' : showCount(damage.length, 'thing damaged', 'things damaged')}.`,
    );
  for (const one of damage) output.lines(describeDamage(one));
  if (strangers.length > 0) output.line(`  ${showCount(strangers.length, 'file')} that no record names, moved aside.`);
}

const isOpen = ({ repaired }: ScrubDamage): boolean => !repaired;

async function chosen(invocation: Invocation, store: Store): Promise<readonly NamedRepository[]> {
  const all = await namedRepositories(store);
  const name = invocation.get(repositoryOption);
  return name === undefined ? all : [pickRepository(all, name)];
}

async function run(invocation: Invocation): Promise<number | undefined> {
  const { output, signal } = invocation;
  return await withStore(invocation, async (store) => {
    const lock = await store.lock('maintenance', 'fallback scrub');
    try {
      const repositories = await chosen(invocation, store);
      if (repositories.length === 0) output.line('The store holds no repository yet.');
      let isDamaged = false;
      for (const repository of repositories) {
        const found = await scrubOne(invocation, repository);
        report(invocation, repository, found);
        isDamaged ||= found.damage.some(isOpen);
        signal.throwIfAborted();
      }
      if (!isDamaged) return undefined;
      output.warn('Damage was found. The next push heals what tonight’s archives still contain; then scrub again.');
      return 4;
    } finally {
      lock.release();
    }
  });
}

export const scrubCommand: CommandBody = {
  description: [
    'Damaged files are moved aside and named, with the snapshots that need them; what has a second copy is repaired. An interrupted scrub goes on ' +
      'where it stopped. It works beside a running server, and exits with 4 when it finds damage.',
  ],
  options: [storeOption, { ...repositoryOption, absent: 'all' }, limitOption, restartOption, quietOption, jsonOption],
  examples: [
    ['fallback scrub --dir /srv/fallback', 'every repository'],
    ['fallback scrub --dir /srv/fallback --limit-read 20000', 'at 20 MB/s, beside a busy server'],
  ],
  json: [
    'A line for each repository: `repositoryId`, `name`, `finished`, `startedAtMs`, `finishedAtMs`, `objectsChecked`, `bytesChecked`, `damage` (each ' +
      '`kind`, `number`, `reason`, `quarantinedAs`, `repaired`, `neededBy`), `strangers` (each `key`, `quarantinedAs`).',
  ],
  run,
};
