// fallback update: the main server takes home what the fallback server produced.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { HttpRepository } from '../../sync/http/http-repository.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import type { HomeItem, UpdateRequest } from '../../yunohost/takeover/look-home.ts';
import type { HomeOutcome, UpdateChoice } from '../../yunohost/takeover/update.ts';
import { askLine, canAsk } from '../ask.ts';
import { type CommandBody, flagOption, type Invocation, textOption } from '../command-spec.ts';
import { openForPush, openState } from '../open-repository.ts';
import { type Machine, openJournal, openMachine, refuseWhileRecovering, withLock } from '../open-takeover.ts';
import { configOption } from '../open-yunohost.ts';
import { downloadLimitOption, jsonOption, quietOption, stateOption, uploadLimitOption } from '../shared-options.ts';

const allOption = flagOption('--all', 'take everything that only the fallback server wrote');
const keepOption = textOption('--keep <apps>', 'leave these, by commas, as they are here', { completion: 'none' });
const dryRunOption = flagOption('--dry-run', 'back up and compare, show what would be done, restore nothing');
const giveUpOption = flagOption(
  '--give-up-fallback',
  'the fallback server will never give back: go on without what it produced',
);

const list = (text: string | undefined): string[] => (text ?? '').split(',').filter((one) => one !== '');

const verdictWords: Readonly<Record<HomeItem['verdict'], string>> = {
  nothing: 'nothing was written on the fallback server',
  fallback: 'written on the fallback server',
  main: 'written here only',
  both: 'WRITTEN ON BOTH: one version replaces the other',
  absent: 'not on this server',
};

async function layItems(items: readonly HomeItem[]): Promise<string[]> {
  const { showChanges } = await import('../../yunohost/takeover/compare-versions.ts');
  return items.flatMap((item) => [
    `${item.name}: ${verdictWords[item.verdict]}`,
    `    there since the takeover: ${showChanges(item.there)}`,
    `    here since the last snapshot: ${item.verdict === 'absent' ? 'nothing' : showChanges(item.here)}`,
    ...(item.both.length === 0
      ? []
      : [`    both wrote: ${item.both.slice(0, 5).join(', ')}${item.both.length > 5 ? ' …' : ''}`]),
    ...(item.blocked === undefined ? [] : [`    cannot be backed up, so it cannot be replaced: ${item.blocked}`]),
  ]);
}

const openItems = (outcomes: readonly HomeOutcome[], items: readonly HomeItem[]): HomeItem[] =>
  items.filter((item) => outcomes.some(({ name, status }) => name === item.name && status === 'open'));

/** Asks for each item that is open. */
async function ask(invocation: Invocation, items: readonly HomeItem[], choice: UpdateChoice): Promise<UpdateChoice> {
  const take = [...choice.take];
  const keep = [...choice.keep];
  for (const { name, verdict } of items) {
    if (take.includes(name) || keep.includes(name) || verdict === 'nothing' || verdict === 'main') continue;
    if (choice.all && verdict !== 'both') continue;
    const question = `${name}: ${verdictWords[verdict]}. Take the fallback server’s version? (take/keep/later): `;
    const answer = (await askLine(invocation.world, question, invocation.signal)).trim().toLowerCase();
    if (answer === 'take') take.push(name);
    if (answer === 'keep') keep.push(name);
  }
  return { ...choice, take, keep };
}

function layOutcomes(outcomes: readonly HomeOutcome[]): string[] {
  const words: Readonly<Record<HomeOutcome['status'], string>> = {
    taken: 'taken home',
    kept: 'kept as it is here',
    same: 'nothing to take',
    open: 'NOT DECIDED',
    failed: 'FAILED',
  };
  return outcomes.map(
    ({ name, status, reason }) => `  ${name}: ${words[status]}${reason === undefined ? '' : `. ${reason}`}`,
  );
}

async function adopt(invocation: Invocation, session: RepositorySession<HttpRepository>, epoch: number): Promise<void> {
  const state = await openState(invocation);
  const { parseEpoch } = await import('../../format/ids.ts');
  const { checkTrust, seenIn } = await import('../../sync/trust.ts');
  const { repository, keys } = session;
  // The newest head may be our own safety backup: it must chain to what this session has checked.
  const status = await repository.status();
  const isProved = await checkTrust(repository, keys, status, seenIn(session.status));
  const head = isProved ? status.head : session.status.head;
  if (head === undefined) throw new FallbackError('INTERNAL', 'The repository lost its newest snapshot.');
  await state.saveSeenHead({ repositoryId: session.repository.repositoryId, ...head, epoch: parseEpoch(epoch) });
}

async function bringHome(machine: Machine, session: RepositorySession<HttpRepository>): Promise<number | undefined> {
  const { invocation, host } = machine;
  const { output } = invocation;
  const update = await import('../../yunohost/takeover/update.ts');
  const { beginUpdate, lookHome, updateFacts } = await import('../../yunohost/takeover/look-home.ts');
  const { requireState } = await import('../../yunohost/takeover/journal.ts');
  const { parseEpoch } = await import('../../format/ids.ts');
  const journal = await openJournal(machine);
  requireState(journal, 'update', ['idle', 'updating']);
  await refuseWhileRecovering(machine, 'update');
  const seen = await (await openState(invocation)).seenHead();
  const request: UpdateRequest = { host, session, journal, adopt: (epoch) => adopt(invocation, session, epoch) };
  if (invocation.get(giveUpOption) === true) {
    await update.giveUpFallback(request);
    output.line('This server goes on without what the fallback server produced. Nightly pushes are taken again.');
    return undefined;
  }
  await update.forgetOvertaken(request);
  let facts = updateFacts(journal);
  if (journal.state === 'idle' || facts === undefined) {
    const produced = await update.findProduced(request, seen?.epoch ?? parseEpoch(session.status.epoch));
    if (produced === undefined) {
      output.json({ items: [], outcomes: [] });
      output.line('There is nothing to take home: the fallback server has not taken over since.');
      return undefined;
    }
    facts = await lookHome(request, produced);
    if (invocation.get(dryRunOption) !== true) await beginUpdate(request, facts);
  } else {
    facts = await update.resumeUpdate(request, invocation.get(dryRunOption) !== true);
  }
  output.lines(await layItems(facts.items));
  if (invocation.get(dryRunOption) === true) {
    output.json({ items: facts.items, outcomes: [] });
    return undefined;
  }
  const typed: UpdateChoice = {
    take: invocation.args,
    keep: list(invocation.get(keepOption)),
    all: invocation.get(allOption) === true,
  };
  const choice =
    canAsk(invocation.world) && !output.mode.json
      ? await ask(invocation, openItems(update.outcomesOf(journal), facts.items), typed)
      : typed;
  const outcomes = await update.runUpdate(request, choice);
  output.json({ items: facts.items, outcomes });
  output.lines(layOutcomes(outcomes));
  const open = outcomes.filter(({ status }) => status === 'open' || status === 'failed').map(({ name }) => name);
  if (open.length === 0) {
    output.line('All is decided: this server is the main server again, and its nightly pushes are taken.');
    return undefined;
  }
  output.line(
    `Decide over ${open.join(', ')}: fallback update NAME takes the fallback server’s version, --keep NAME keeps the one here.`,
  );
  return 3;
}

async function run(given: Invocation): Promise<number | undefined> {
  const machine = await openMachine(given, 'main');
  const { invocation } = machine;
  await (await openState(invocation)).load();
  return await withLock(machine, 'update', async () => {
    const { opened } = await openForPush(invocation);
    try {
      return await bringHome(machine, opened.session);
    } finally {
      await opened.close();
    }
  });
}

export const updateCommand: CommandBody = {
  description: [
    'Backs up what is here, and shows app by app what the fallback server wrote since the takeover, and what was written here since the snapshot that was taken over. ' +
      'Each app that is taken is backed up first, on this machine and in the repository; when its new version cannot be restored, the old one comes back.',
    'What both wrote is never replaced silently: name it to take the fallback server’s version, or --keep it. Homes and mail are merged file by file. ' +
      'When everything is decided, nightly pushes go on; until then it exits with 3.',
  ],
  arguments: [
    { syntax: '[names...]', description: 'apps, or system, to take from the fallback server', completion: 'none' },
  ],
  options: [
    allOption,
    keepOption,
    dryRunOption,
    giveUpOption,
    configOption,
    stateOption,
    uploadLimitOption,
    downloadLimitOption,
    quietOption,
    jsonOption,
  ],
  examples: [
    ['fallback update --dry-run', 'what would come home'],
    ['fallback update --all', 'take everything that only the fallback server wrote'],
    ['fallback update nextcloud --keep wiki', 'take one, keep the other'],
  ],
  json: [
    'One object: `items` (each `name`, `kind`, `verdict`, `there`, `here`, `both`), `outcomes` (each `name`, `status`, `reason`).',
  ],
  run,
};
