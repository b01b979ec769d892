// fallback retention …: which snapshots stay on the fallback server, and taking back what was dropped.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { RetentionReport, RetentionRequest } from '../../store/retention.ts';
import type { RetentionPolicy } from '../../store/retention-policy.ts';
import type { Store } from '../../store/store.ts';
import {
  type CommandSpec,
  type FamilyBody,
  flagOption,
  type Invocation,
  type OptionSpec,
  valueOption,
} from '../command-spec.ts';
import { type NamedRepository, namedRepositories, pickRepository, withStore } from '../open-repository.ts';
import { parseWhole } from '../parse-values.ts';
import { jsonOption, quietOption, repositoryOption, storeOption } from '../shared-options.ts';
import { showAge, showBytes, showCount, showText, showTime } from '../show.ts';
import { layFacts, layTable } from '../table.ts';

const dryRunOption = flagOption('--dry-run', 'tell what would happen, change nothing');
const acceptClockOption = flagOption(
  '--accept-clock',
  'the server’s clock was looked at and is right: a jump does not stop this run',
);
const count = (flags: string, description: string): OptionSpec<number> =>
  valueOption(flags, description, parseWhole(0, 100_000), { completion: 'none' });
const policyOptions = {
  keepDays: count('--keep-days <n>', 'keep everything of the last n days'),
  daily: count('--daily <n>', 'then one a day, for the last n days that have any'),
  weekly: count('--weekly <n>', 'one a week, for n weeks'),
  monthly: count('--monthly <n>', 'one a month, for n months'),
  floor: valueOption('--floor <n>', 'the newest n of each origin always stay', parseWhole(1, 100_000), {
    completion: 'none',
  }),
  graceDays: count('--grace-days <n>', 'what is dropped can be taken back for n days'),
} as const;
const defaultOption = flagOption('--default', 'go back to the default policy');

async function each(invocation: Invocation, store: Store): Promise<readonly NamedRepository[]> {
  const all = await namedRepositories(store);
  const name = invocation.get(repositoryOption);
  return name === undefined ? all : [pickRepository(all, name)];
}

function showReport({ output }: Invocation, { status }: NamedRepository, report: RetentionReport): void {
  const { kept, takenBack, dropped, waiting, deletedSnapshots, deletedPacks, bytesFreed, paused, dryRun, atMs } =
    report;
  const would = dryRun ? 'would be ' : '';
  output.line(
    `${showText(status.name)}: ${showCount(kept.length, 'snapshot')} kept${dryRun ? ' (dry run: nothing is changed)' : ''}`,
  );
  const rows = kept.map(({ number, receivedAtMs, rules }) => [
    String(number),
    showTime(receivedAtMs),
    rules.join(', '),
  ]);
  if (rows.length > 0) {
    const table = layTable([{ title: 'SNAPSHOT', right: true }, { title: 'RECEIVED' }, { title: 'KEPT AS' }], rows);
    output.lines(table.map((line) => `  ${line}`));
  }
  const droppedRows = [...dropped, ...waiting].map(({ number, receivedAtMs, deletedAfterMs }) => [
    String(number),
    showTime(receivedAtMs),
    showAge(deletedAfterMs, atMs),
  ]);
  if (droppedRows.length > 0) {
    const table = layTable(
      [{ title: 'SNAPSHOT', right: true }, { title: 'RECEIVED' }, { title: 'DELETED' }],
      droppedRows,
    );
    output.line(
      `  dropped${dropped.length === 0 ? ' before' : ''}, to be taken back with fallback retention undelete:`,
    );
    output.lines(table.map((line) => `  ${line}`));
  }
  if (takenBack.length > 0) output.line(`  ${would}taken back: ${takenBack.join(', ')}`);
  if (deletedSnapshots.length > 0 || !deletedPacks.isEmpty) {
    output.line(
      `  ${would}deleted: ${showCount(deletedSnapshots.length, 'snapshot')}, ${showCount(deletedPacks.size, 'pack')}; ${showBytes(bytesFreed)} ${dryRun ? 'would be ' : ''}freed`,
    );
  }
  if (paused !== undefined) output.warn(paused.text);
}

async function run(invocation: Invocation): Promise<number | undefined> {
  const { output } = invocation;
  const isDryRun = invocation.get(dryRunOption) !== undefined;
  const request: RetentionRequest = { dryRun: isDryRun, acceptClock: invocation.get(acceptClockOption) !== undefined };
  return await withStore(invocation, async (store) => {
    const { applyRetention } = await import('../../store/retention.ts');
    const lock = isDryRun ? undefined : await store.lock('maintenance', 'fallback retention');
    try {
      let exitCode: number | undefined;
      for (const named of await each(invocation, store)) {
        const report = await applyRetention(named.repository, request);
        const { deletedPacks, releasedPacks, condemnedPacks, duePacks, forgottenPacks, ...rest } = report;
        output.json({
          repositoryId: named.status.repositoryId,
          name: named.status.name,
          ...rest,
          deletedPacks: deletedPacks.toText(),
          releasedPacks: releasedPacks.toText(),
          condemnedPacks: condemnedPacks.toText(),
          duePacks: duePacks.toText(),
          forgottenPacks: forgottenPacks.toText(),
        });
        showReport(invocation, named, report);
        if (report.paused !== undefined && !isDryRun) exitCode = report.paused.reason === 'push' ? 10 : 3;
      }
      return exitCode;
    } finally {
      lock?.release();
    }
  });
}

/** The policy that the options describe, over the one in force; undefined when no option was given. */
function changedPolicy(invocation: Invocation, current: RetentionPolicy): RetentionPolicy | undefined {
  const given = Object.entries(policyOptions).map(([name, option]) => [name, invocation.get(option)] as const);
  const set = given.filter(([, value]) => value !== undefined);
  return set.length === 0 ? undefined : { ...current, ...Object.fromEntries(set) };
}

async function runPolicy(invocation: Invocation): Promise<undefined> {
  const { output } = invocation;
  return await withStore(invocation, async (store) => {
    const { repository, status } = pickRepository(await namedRepositories(store), invocation.get(repositoryOption));
    const { defaultRetentionPolicy, requireRules } = await import('../../store/retention-policy.ts');
    const settings = await store.settings(repository.repositoryId);
    const current = settings.retention ?? defaultRetentionPolicy;
    const changed = changedPolicy(invocation, current);
    const isReset = invocation.get(defaultOption) !== undefined;
    if (isReset && changed !== undefined) {
      throw new FallbackError('USAGE', '--default and rules of your own contradict each other. Nothing was changed.');
    }
    if (changed !== undefined) {
      requireRules(changed);
      await store.changeSettings(repository.repositoryId, { ...settings, retention: changed });
    } else if (isReset) {
      await store.changeSettings(repository.repositoryId, { ...settings, retention: undefined });
    }
    const policy = changed ?? (isReset ? defaultRetentionPolicy : current);
    output.json({ repositoryId: repository.repositoryId, name: status.name, ...policy });
    output.lines(
      layFacts([
        ['repository', showText(status.name)],
        ['all of the last', showCount(policy.keepDays, 'day')],
        ['then daily', showCount(policy.daily, 'day')],
        ['weekly', showCount(policy.weekly, 'week')],
        ['monthly', showCount(policy.monthly, 'month')],
        ['always the newest', String(policy.floor)],
        ['taken back within', showCount(policy.graceDays, 'day')],
      ]),
    );
    if (changed !== undefined) {
      output.line('It holds from the next run on: see fallback retention --dry-run.');
      output.line(
        '(Where this server’s config.toml sets [retention], that holds instead, within the hour: change it there.)',
      );
    }
    return undefined;
  });
}

type Action = (repository: NamedRepository['repository'], number: number) => Promise<void>;

/** A command that does one thing to some snapshots. */
function snapshotAction(
  name: string,
  summary: string,
  description: string,
  done: string,
  load: () => Promise<Action>,
): CommandSpec {
  return {
    name,
    group: 'fallback',
    summary,
    description: [description],
    arguments: [{ syntax: '<snapshots...>', description: 'numbers of snapshots', completion: 'none' }],
    options: [storeOption, repositoryOption, jsonOption],
    examples: [[`fallback retention ${name} 12 --dir /srv/fallback`, `snapshot 12 is ${done}`]],
    json: [`One object: \`repositoryId\`, \`${done.replaceAll(' ', '_')}\` (numbers).`],
    run: async (invocation) => {
      const { output, args } = invocation;
      const numbers = args.map(parseWhole(1, 2 ** 32 - 1));
      return await withStore(invocation, async (store) => {
        const { repository } = pickRepository(await namedRepositories(store), invocation.get(repositoryOption));
        const act = await load();
        for (const number of numbers) {
          await act(repository, number);
          output.line(`Snapshot ${number} is ${done}.`);
        }
        output.json({ repositoryId: repository.repositoryId, [done.replaceAll(' ', '_')]: numbers });
        return undefined;
      });
    },
  };
}

const runCommand: CommandSpec = {
  name: 'run',
  group: 'fallback',
  summary: 'drop what no rule keeps, delete what was dropped a grace time ago (the default)',
  description: [
    'A running server does this by itself every day. Exits with 10 when a push was under way, with 3 when the server’s clock cannot be trusted: ' +
      'nothing is deleted then.',
  ],
  options: [
    storeOption,
    { ...repositoryOption, absent: 'all' },
    dryRunOption,
    acceptClockOption,
    quietOption,
    jsonOption,
  ],
  examples: [
    ['fallback retention --dir /srv/fallback --dry-run', 'what would be kept, dropped and deleted'],
    ['fallback retention --dir /srv/fallback', 'do it'],
  ],
  json: [
    'A line for each repository: `repositoryId`, `name`, `dryRun`, `atMs`, `policy`, `paused` (absent when it went through), `kept` (each `number`, ' +
      '`receivedAtMs`, `rules`), `takenBack`, `dropped` and `waiting` (each `number`, `receivedAtMs`, `deletedAfterMs`), `dueSnapshots`, ' +
      '`dueSnapshotBytes`, `condemnedBytes`, `duePackBytes`, `deletedSnapshots`, `bytesFreed`, and sets of packs as text: `deletedPacks`, ' +
      '`releasedPacks`, `condemnedPacks`, `duePacks`, `forgottenPacks`.',
  ],
  run,
};

const policyCommand: CommandSpec = {
  name: 'policy',
  group: 'fallback',
  summary: 'show or set the rules of a repository',
  description: ['Only the rules that are given change. A policy without any rule is refused.'],
  options: [storeOption, repositoryOption, ...Object.values(policyOptions), defaultOption, jsonOption],
  examples: [
    ['fallback retention policy --dir /srv/fallback', 'show it'],
    ['fallback retention policy --dir /srv/fallback --keep-days 30 --monthly 24', 'change two rules'],
  ],
  json: ['One object: `repositoryId`, `name`, `keepDays`, `daily`, `weekly`, `monthly`, `floor`, `graceDays`.'],
  run: runPolicy,
};

export const retentionFamily: FamilyBody = {
  description: ['Retention runs on the fallback server, by its own clock; a main server can delete nothing.'],
  default: 'run',
  commands: [
    runCommand,
    policyCommand,
    snapshotAction(
      'pin',
      'keep snapshots whatever the rules say',
      'A pinned snapshot in its grace time is taken back.',
      'pinned',
      async () => (await import('../../store/retention.ts')).pinSnapshot,
    ),
    snapshotAction(
      'unpin',
      'let the rules decide again',
      'The next run may drop it.',
      'unpinned',
      async () => (await import('../../store/retention.ts')).unpinSnapshot,
    ),
    snapshotAction(
      'undelete',
      'take dropped snapshots back while their grace time lasts',
      'The rules may drop them again: pin them, or change the policy.',
      'taken back',
      async () => (await import('../../store/retention.ts')).undeleteSnapshot,
    ),
  ],
};
