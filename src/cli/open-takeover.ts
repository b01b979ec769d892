// What the commands of a takeover open: configuration, machine, lock, journal, and the repository with its key.
import { FallbackError } from '../errors/fallback-error.ts';
import type { RepositoryId } from '../format/ids.ts';
import type { FolderRepository } from '../store/folder-repository.ts';
import type { RepositorySession } from '../sync/repository-session.ts';
import type { Configuration } from '../yunohost/configuration/schema.ts';
import type { Report } from '../yunohost/report/report.ts';
import type { Journal } from '../yunohost/takeover/journal.ts';
import type { TakeoverEvent, TakeoverHost } from '../yunohost/takeover/takeover-host.ts';
import type { Invocation } from './command-spec.ts';
import {
  clientEnvironment,
  namedRepositories,
  openState,
  openStoreOf,
  pickRepository,
  unlockFolder,
  warnOfLostHead,
} from './open-repository.ts';
import {
  configOption,
  deliveryOf,
  hasConfiguration,
  openConfiguration,
  openYunohost,
  withConfiguration,
} from './open-yunohost.ts';
import {
  absolutePath,
  jsonOption,
  keyDocumentOption,
  noEncryptionOption,
  passphraseFileOption,
  phraseFileOption,
  quietOption,
  readFolderOption,
  repositoryOption,
  stateFolder,
  stateOption,
} from './shared-options.ts';

/** Options of every command that opens the repository on the fallback server. */
export const folderTakeoverOptions = [
  configOption,
  readFolderOption,
  repositoryOption,
  passphraseFileOption,
  phraseFileOption,
  noEncryptionOption,
  keyDocumentOption,
  stateOption,
  quietOption,
  jsonOption,
] as const;

/** Settings of this machine, checked for a role. */
export interface Machine {
  readonly invocation: Invocation;
  readonly configuration: Configuration;
  readonly host: TakeoverHost;
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Says each step as it comes. */
function voiceOf({ output }: Invocation): (event: TakeoverEvent) => void {
  return ({ level, text }) => {
    if (level === 'warning') output.warn(text);
    else output.note(`fallback: ${text}`);
  };
}

/** Reads the configuration and this machine. @throws USAGE for the other role. */
export async function openMachine(given: Invocation, role: 'main' | 'fallback' | 'any'): Promise<Machine> {
  const { parseConfiguration } = await import('../yunohost/configuration/read-configuration.ts');
  const isThere = await hasConfiguration(given);
  // At night on a machine that lost its configuration, the store’s folder alone must do.
  const isEnough = role !== 'main' && given.get(readFolderOption) !== undefined;
  const configuration = isThere || !isEnough ? await openConfiguration(given) : parseConfiguration('', 'the defaults');
  if (isThere && role !== 'any' && configuration.server.role !== role) {
    const names: Readonly<Record<string, string>> = { main: 'main server', fallback: 'fallback server' };
    throw new FallbackError(
      'USAGE',
      `This machine is the ${names[configuration.server.role] ?? ''}; the command is for the ${names[role] ?? ''}. Nothing was changed.`,
      {
        hint: 'See server.role in the configuration.',
      },
    );
  }
  const invocation = withConfiguration(given, configuration);
  const { world, signal } = invocation;
  const yunohost = await openYunohost(invocation, configuration);
  const { lstat } = await import('node:fs/promises');
  const host: TakeoverHost = {
    yunohost,
    configuration,
    stateFolder: stateFolder(invocation),
    fs: world.fs,
    chown: world.environment['FALLBACK_CHOWN'] ?? '/bin/chown',
    environment: world.environment,
    nowMs: () => world.nowMs(),
    monotonicMs: () => world.monotonicMs(),
    sleep: (ms, abort) => world.sleep(ms, abort),
    ownerOf: async (path) => {
      const facts = await lstat(path).catch(() => undefined);
      return facts === undefined ? undefined : { userId: facts.uid, groupId: facts.gid };
    },
    freeBytes: async (path) => {
      for (let at = path; ; at = at.slice(0, at.lastIndexOf('/')) || '/') {
        if (at === '/' || (await world.fs.facts(at)) !== undefined) return await world.fs.freeBytes(at);
      }
    },
    signal,
    onEvent: voiceOf(invocation),
  };
  return { invocation, configuration, host };
}

/** The name of the journal of recoveries: they may be made in any state of a takeover. */
const recoveryJournal = 'recover.json';

/** The journal of this machine. */
export const openJournal = ({ invocation }: Pick<Machine, 'invocation'>): Promise<Journal> =>
  openJournalOf(invocation, undefined);

/** The journal of this machine's recoveries. */
export const openRecoveryJournal = ({ invocation }: Pick<Machine, 'invocation'>): Promise<Journal> =>
  openJournalOf(invocation, recoveryJournal);

async function openJournalOf(invocation: Invocation, name: string | undefined): Promise<Journal> {
  const { Journal } = await import('../yunohost/takeover/journal.ts');
  const { world } = invocation;
  const environment = {
    fs: world.fs,
    nowMs: () => world.nowMs(),
    randomHex: () => hexOf(world.randomBytes(8)),
  };
  return await Journal.open(environment, stateFolder(invocation), name);
}

/** The app that a recovery left half replaced; undefined: none. @throws FORMAT_INVALID, IO. */
export async function halfRecoveredApp(invocation: Invocation): Promise<string | undefined> {
  const { halfRecovery } = await import('../yunohost/takeover/half-recovery.ts');
  return halfRecovery(await openRecoveryJournal({ invocation }))?.app;
}

/** @throws WRONG_STATE while a recovery has an app half replaced. */
export async function refuseWhileRecovering(machine: Machine, command: string): Promise<void> {
  const { requireNoRecovery } = await import('../yunohost/takeover/half-recovery.ts');
  requireNoRecovery(await openRecoveryJournal(machine), command);
}

/** Runs `work` under this machine’s lock, after commands of an interrupted run have ended. @throws BUSY. */
export async function withLock<Result>(
  machine: Machine,
  purpose: string,
  work: () => Promise<Result>,
): Promise<Result> {
  const { invocation, host } = machine;
  const state = await openState(invocation);
  const lock = await state.lock(purpose, () => invocation.world.nowMs());
  try {
    const { settleOrphans } = await import('../yunohost/takeover/takeover-host.ts');
    await settleOrphans(host);
    return await work();
  } finally {
    lock.release();
  }
}

/** The secret: from the armed key, unless a file was named; else as for any store's folder. @throws USAGE when `isAuto` and not armed. */
async function unlock(machine: Machine, repository: FolderRepository, isAuto: boolean): Promise<Uint8Array> {
  const { invocation, host } = machine;
  const isNamed = [passphraseFileOption, phraseFileOption].some((option) => invocation.get(option) !== undefined);
  if (!isNamed) {
    const { readArmedKey } = await import('../yunohost/takeover/armed-key.ts');
    const armed = await readArmedKey(invocation.world.fs, host.stateFolder);
    if (armed?.repositoryId === repository.repositoryId) return armed.secret;
    if (isAuto && invocation.get(noEncryptionOption) === undefined) {
      throw new FallbackError(
        'USAGE',
        'This server is not armed: it cannot open the repository by itself. Nothing was changed.',
        {
          hint: 'fallback arm keeps the key on this server.',
        },
      );
    }
  }
  return await unlockFolder(invocation, repository);
}

/** Opens the store’s folder of this fallback server, and the repository that is meant. */
async function withFolder<Result>(
  machine: Machine,
  work: (repository: FolderRepository) => Promise<Result>,
): Promise<Result> {
  const { invocation, configuration } = machine;
  const given = invocation.get(readFolderOption);
  const folder = given === undefined ? configuration.store.folder : absolutePath(invocation.world, given);
  if (folder === '') {
    throw new FallbackError('USAGE', 'The store’s folder is missing. Nothing was changed.', {
      hint: 'Set store.folder in the configuration, or give --dir FOLDER.',
    });
  }
  const store = await openStoreOf(invocation, folder);
  try {
    const name = invocation.get(repositoryOption) ?? (configuration.store.repository || undefined);
    const { repository } = pickRepository(await namedRepositories(store), name);
    return await work(repository);
  } finally {
    await store.close();
  }
}

/** The repository’s secret, from what a person types or a file holds; proved on the repository. */
export async function unlockedSecret(
  machine: Machine,
): Promise<{ readonly secret: Uint8Array; readonly repositoryId: RepositoryId }> {
  return await withFolder(machine, async (repository) => ({
    secret: await unlock(machine, repository, false),
    repositoryId: repository.repositoryId,
  }));
}

/** Runs `work` with the repository in the store’s folder of this fallback server. */
export async function withFolderSession<Result>(
  machine: Machine,
  work: (session: RepositorySession<FolderRepository>) => Promise<Result>,
  isAuto = false,
): Promise<Result> {
  return await withFolder(machine, async (repository) => {
    const secret = await unlock(machine, repository, isAuto);
    const { openSession } = await import('../sync/repository-session.ts');
    const session = await openSession(repository, secret, undefined, clientEnvironment(machine.invocation.world));
    if (!session.isHeadProved) warnOfLostHead(machine.invocation, session.status);
    try {
      return await work(session);
    } finally {
      await session.close();
    }
  });
}

/** Sends a report where the configuration says. */
export async function sendReport({ invocation, configuration, host }: Machine, report: Report): Promise<void> {
  const { deliverReport } = await import('../yunohost/report/deliver-report.ts');
  const { ensureFolder } = await import('../fs/ensure-folder.ts');
  await ensureFolder(invocation.world.fs, host.stateFolder);
  const delivery = deliveryOf(invocation, configuration, host.stateFolder);
  for (const failure of await deliverReport(report, delivery)) invocation.output.warn(failure);
}
