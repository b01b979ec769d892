// fallback recover: one app back as it was, on either machine.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { RepositoryWriter } from '../../store/repository-store.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import type { RecoveryFacts } from '../../yunohost/takeover/half-recovery.ts';
import type { ReplaceOutcome } from '../../yunohost/takeover/replace-app.ts';
import { type CommandBody, type Invocation, textOption } from '../command-spec.ts';
import { openForPush, openState } from '../open-repository.ts';
import {
  folderTakeoverOptions,
  type Machine,
  openJournal,
  openMachine,
  openRecoveryJournal,
  withFolderSession,
  withLock,
} from '../open-takeover.ts';
import { readFolderOption } from '../shared-options.ts';

const atOption = textOption(
  '--at <number|date>',
  'which snapshot: its number, or the newest one of that time or before',
  {
    absent: 'the newest with this app',
    completion: 'none',
  },
);

/** Where the version is that was replaced; nowhere when the app was not here. */
function whereBefore({ app, keptArchive, keptSnapshot }: RecoveryFacts & ReplaceOutcome): string {
  if (keptSnapshot !== undefined) return ` What it was before is in the repository too, in snapshot ${keptSnapshot}.`;
  if (keptArchive === undefined) return '';
  return ` What it was before is in the archive ${keptArchive}, on this machine only. To have it back: yunohost app remove ${app}, then yunohost backup restore ${keptArchive} --apps ${app}. When it is not needed any more: yunohost backup delete ${keptArchive}.`;
}

async function recoverWith(
  machine: Machine,
  session: RepositorySession<RepositoryWriter>,
  app: string,
): Promise<number | undefined> {
  const { invocation, host } = machine;
  const { output } = invocation;
  const { runRecovery } = await import('../../yunohost/takeover/recover.ts');
  const { requireWhole } = await import('../../yunohost/takeover/update.ts');
  // Read before anything is changed: a damaged one is refused.
  const takeover = await openJournal(machine);
  requireWhole(takeover, `${app} cannot be recovered`);
  const seen = await (await openState(invocation)).seenHead();
  const { epoch } = session.status;
  const isFenced = seen !== undefined && seen.epoch < epoch;
  if (isFenced) output.warn('The fallback server has taken over: the safety backup stays on this machine only.');
  const outcome = await runRecovery(
    { host, session, journal: await openRecoveryJournal(machine), app, epoch: isFenced ? undefined : epoch },
    invocation.get(atOption),
  );
  output.json(outcome);
  if (outcome.status === 'replaced') {
    const { noteRecovered } = await import('../../yunohost/takeover/deploy.ts');
    await noteRecovered(takeover, app);
    output.line(`${app} is as it was in snapshot ${outcome.snapshot}.${whereBefore(outcome)}`);
    return undefined;
  }
  const state = outcome.status === 'put-back' ? 'It runs as it did before.' : 'It is not on this server.';
  throw new FallbackError(
    'YUNOHOST_FAILED',
    `${app} of snapshot ${outcome.snapshot} could not be restored. ${state} ${outcome.reason ?? ''}`,
  );
}

async function run(given: Invocation): Promise<number | undefined> {
  const machine = await openMachine(given, 'any');
  const { invocation, configuration } = machine;
  const app = invocation.args[0] ?? '';
  return await withLock(machine, 'recover', async () => {
    if (configuration.server.role === 'fallback' || invocation.get(readFolderOption) !== undefined) {
      return await withFolderSession(machine, (session) => recoverWith(machine, session, app));
    }
    const { opened } = await openForPush(invocation);
    try {
      return await recoverWith(machine, opened.session, app);
    } finally {
      await opened.close();
    }
  });
}

export const recoverCommand: CommandBody = {
  description: [
    'Verifies the wanted version, backs up the app as it is (a YunoHost archive here, and a snapshot), removes it and restores the wanted version. When that fails, ' +
      'the safety backup comes back. Interrupted anywhere: type the same command again.',
    'After the fallback server took over, the main server cannot send the safety backup: its archive stays on this machine then, and is named.',
    '`restore` writes archives and files to a folder; `recover` changes the running YunoHost.',
  ],
  arguments: [{ syntax: '<app>', description: 'the app’s id', completion: 'none' }],
  options: [atOption, ...folderTakeoverOptions],
  examples: [
    ['fallback recover nextcloud', 'as it was last night'],
    ['fallback recover nextcloud --at 2026-11-20', 'as it was that day'],
  ],
  json: [
    'One object: `app`, `snapshot`, `status` (`replaced`), and where the version is that was replaced: `keptSnapshot`, or `keptArchive` on this machine only.',
  ],
  run,
};
