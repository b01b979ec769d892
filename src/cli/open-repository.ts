// From options to an opened repository: this machine's pairing over the network, or a store's folder without its server.
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import type { KeySlot } from '../format/key-document.ts';
import type { FolderRepository } from '../store/folder-repository.ts';
import type { RepositoryReader, RepositoryStatus } from '../store/repository-store.ts';
import type { Store } from '../store/store.ts';
import type { ClientCredentials, ClientState } from '../sync/client-state.ts';
import type { HttpRepository } from '../sync/http/http-repository.ts';
import type { TrustedServer } from '../sync/http/server-trust.ts';
import type { Traffic } from '../sync/http/traffic.ts';
import type { RepositorySession } from '../sync/repository-session.ts';
import type { Invocation } from './command-spec.ts';
import { showHostPort } from './parse-values.ts';
import { obtainPassphrase, obtainPhrase, requireOneStdin } from './secrets.ts';
import {
  absolutePath,
  downloadLimitOption,
  keyDocumentOption,
  noEncryptionOption,
  passphraseFileOption,
  phraseFileOption,
  readFolderOption,
  repositoryOption,
  stateFolder,
  storeOption,
  uploadLimitOption,
} from './shared-options.ts';
import type { World } from './world.ts';

/** A session, and where it leads. */
export interface OpenedRepository<Reader extends RepositoryReader = RepositoryReader> {
  readonly session: RepositorySession<Reader>;
  /** For people: `backup.example.org:7443`, or a folder. */
  readonly place: string;
  /** Bytes over the network so far; undefined for a folder. */
  readonly traffic: (() => Traffic) | undefined;
  /** Undefined for a folder. */
  readonly state: ClientState | undefined;
  close(): Promise<void>;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** This machine's folder of fallback. */
export async function openState(invocation: Invocation): Promise<ClientState> {
  const { world } = invocation;
  const { ClientState } = await import('../sync/client-state.ts');
  return new ClientState(world.fs, stateFolder(invocation), () => hex(world.randomBytes(8)));
}

/** The client's half of the environment. */
export const clientEnvironment = (world: World) => ({
  nowMs: () => world.nowMs(),
  randomBytes: (count: number) => world.randomBytes(count),
  hostName: world.hostName,
  programVersion: world.programVersion,
  threads: Math.max(1, Math.min(16, world.processors)),
});

/** The network's half of the environment. */
export const networkEnvironment = (world: World) => ({
  monotonicMs: () => world.monotonicMs(),
  sleep: (ms: number, signal?: AbortSignal) => world.sleep(ms, signal),
  randomFraction: () => world.randomFraction(),
});

/** The server of a pairing, as it is recognised. */
export function trustedServer({ address, certificate }: ClientCredentials): TrustedServer {
  const { host, port } = address;
  if (certificate === undefined) return { host, port, trust: { kind: 'public' } };
  return { host, port, trust: { kind: 'pinned', certificatePem: certificate } };
}

/** A push that is interrupted has so long to give its lease back before its requests are ended. */
const pushGraceMs = 5_000;

/** A repository over HTTPS; a Ctrl-C ends its requests, `graceMs` later. */
async function openHttpRepository(
  invocation: Invocation,
  credentials: ClientCredentials,
  token: Uint8Array,
  graceMs: number,
): Promise<HttpRepository> {
  const { world, signal } = invocation;
  const [{ HttpRepository }, { createRateLimiter }] = await Promise.all([
    import('../sync/http/http-repository.ts'),
    import('../sync/http/rate-limiter.ts'),
  ]);
  const environment = networkEnvironment(world);
  const limiter = (kib: number | undefined) => (kib === undefined ? undefined : createRateLimiter(kib, environment));
  const repository = new HttpRepository({
    server: trustedServer(credentials),
    environment,
    repositoryId: credentials.address.repositoryId,
    token,
    uploadLimiter: limiter(invocation.get(uploadLimitOption)),
    downloadLimiter: limiter(invocation.get(downloadLimitOption)),
  });
  const end = (): void => void setTimeout(() => void repository.close(), graceMs).unref();
  signal.addEventListener('abort', end, { once: true });
  return repository;
}

/** Without --dir there is one repository, that of this machine: another name must not be read as this one. @throws USAGE. */
function requireOwnRepository(invocation: Invocation, { name, repositoryId }: ClientCredentials['address']): void {
  const wanted = invocation.get(repositoryOption);
  if (wanted === undefined || wanted === name || (wanted.length >= 4 && repositoryId.startsWith(wanted))) return;
  throw new FallbackError('USAGE', `This machine is paired with repository ${name}, not ${JSON.stringify(wanted)}.`, {
    hint: 'Leave --repository out, give --dir for a store’s folder, or --state for another pairing of this machine.',
  });
}

export function warnOfLostHead({ output }: Invocation, { head }: RepositoryStatus): void {
  output.warn(
    `The file of the newest snapshot, ${head?.number ?? 0}, is lost on the fallback server. Older snapshots can be restored by their numbers.`,
  );
}

/** Opens this machine's own repository to read. @throws NO_REPOSITORY, TRUST_…, network errors. */
async function openPaired(invocation: Invocation): Promise<OpenedRepository> {
  const { world } = invocation;
  const state = await openState(invocation);
  const credentials = await state.load();
  requireOwnRepository(invocation, credentials.address);
  const [{ deriveRepositoryKeys }, { openSession }, { rememberHead }] = await Promise.all([
    import('../crypto/key-hierarchy.ts'),
    import('../sync/repository-session.ts'),
    import('../sync/pair/remember-head.ts'),
  ]);
  const { readToken } = deriveRepositoryKeys(credentials.secret, credentials.address.repositoryId);
  const repository = await openHttpRepository(invocation, credentials, readToken, 0);
  try {
    const session = await openSession(repository, credentials.secret, await state.seenHead(), clientEnvironment(world));
    if (session.isHeadProved) await rememberHead(state, session.status);
    else warnOfLostHead(invocation, session.status);
    return {
      session,
      place: showHostPort(credentials.address),
      traffic: () => repository.traffic(),
      state,
      close: () => session.close(),
    };
  } catch (error) {
    await repository.close();
    throw error;
  }
}

/** Whether the server still takes this machine's push token: reading goes by another one. @throws network errors. */
export async function isPushTokenGood(invocation: Invocation, credentials: ClientCredentials): Promise<boolean> {
  if (credentials.pushToken === undefined) return false;
  const repository = await openHttpRepository(invocation, credentials, credentials.pushToken, 0);
  try {
    await repository.status();
    return true;
  } catch (error) {
    if (isFallbackError(error, 'UNAUTHORIZED')) return false;
    throw error;
  } finally {
    await repository.close();
  }
}

/** Opens this machine's own repository to push. @throws NO_REPOSITORY, FORBIDDEN on a machine that may only read. */
export async function openForPush(invocation: Invocation): Promise<{
  readonly opened: OpenedRepository<HttpRepository>;
  readonly state: ClientState;
  readonly credentials: ClientCredentials;
}> {
  const state = await openState(invocation);
  const credentials = await state.load();
  if (credentials.pushToken === undefined) {
    throw new FallbackError('FORBIDDEN', 'This machine was connected with a recovery sheet: it may read, not write.', {
      hint: 'On the fallback server: fallback repositories grant NAME --token-file FILE. Then connect again here with --push-token-file FILE.',
    });
  }
  const { openSession } = await import('../sync/repository-session.ts');
  const repository = await openHttpRepository(invocation, credentials, credentials.pushToken, pushGraceMs);
  try {
    const environment = clientEnvironment(invocation.world);
    const session = await openSession(repository, credentials.secret, await state.seenHead(), environment);
    if (!session.isHeadProved) warnOfLostHead(invocation, session.status);
    const traffic = (): Traffic => repository.traffic();
    const opened = { session, place: showHostPort(credentials.address), traffic, state, close: () => session.close() };
    return { opened, state, credentials };
  } catch (error) {
    await repository.close();
    throw error;
  }
}

/** The folder of --dir, or that of this server's configuration. @throws USAGE when neither names one. */
export async function storeFolder(invocation: Invocation): Promise<string> {
  const folder = invocation.get(storeOption);
  if (folder !== undefined) return absolutePath(invocation.world, folder);
  const { configuredStore } = await import('./open-yunohost.ts');
  const configured = await configuredStore(invocation);
  if (configured !== undefined) return configured;
  throw new FallbackError('USAGE', 'The store’s folder is missing.', {
    hint: 'Give it with --dir FOLDER, in the environment as FALLBACK_DIR, or as store.folder in /etc/fallback/config.toml.',
  });
}

/** Opens a store's folder: that of --dir when none is given. @throws STORE_INVALID, STORE_LOCKED, IO. */
export async function openStoreOf(invocation: Invocation, given?: string): Promise<Store> {
  const { world } = invocation;
  const folder = given ?? (await storeFolder(invocation));
  const { openStore } = await import('../store/open-store.ts');
  try {
    return await openStore({
      folder,
      environment: world,
      fileSystem: world.fs,
      onRebuild: ({ packs }) =>
        invocation.output.note(`fallback: rebuilding the store’s records: ${packs} packs so far`),
    });
  } catch (error) {
    if (!isFallbackError(error, 'STORE_INVALID')) throw error;
    throw new FallbackError('STORE_INVALID', error.message, {
      cause: error,
      hint: 'Check the folder’s name. (fallback serve --dir FOLDER makes a store in an empty folder.)',
    });
  }
}

/** A repository of a store with its state. */
export interface NamedRepository {
  readonly repository: FolderRepository;
  readonly status: RepositoryStatus;
}

/** All repositories of a store, with their state. */
export async function namedRepositories(store: Store): Promise<NamedRepository[]> {
  const named: NamedRepository[] = [];
  for (const id of await store.repositoryIds()) {
    const repository = await store.repository(id);
    named.push({ repository, status: await repository.status() });
  }
  return named;
}

/** The repository that `name` (a name, an id or the start of one) means; the only one when it is undefined. @throws NOT_FOUND, USAGE. */
export function pickRepository(all: readonly NamedRepository[], name: string | undefined): NamedRepository {
  const list = all.map(({ status }) => `${status.name} (${status.repositoryId.slice(0, 8)})`).join(', ');
  if (all.length === 0) {
    throw new FallbackError('NOT_FOUND', 'The store holds no repository yet.', {
      hint: 'Make a pairing code here with `fallback invite`, and use it on the main server with `fallback init`.',
    });
  }
  const found =
    name === undefined
      ? all
      : all.filter(({ status }) => status.name === name || (name.length >= 4 && status.repositoryId.startsWith(name)));
  const [first, ...more] = found;
  if (first !== undefined && more.length === 0) return first;
  if (name === undefined) {
    throw new FallbackError('USAGE', `The store holds several repositories: ${list}.`, {
      hint: 'Say which one with --repository NAME.',
    });
  }
  if (first === undefined) {
    throw new FallbackError('NOT_FOUND', `The store has no repository ${JSON.stringify(name)}.`, {
      hint: `It has: ${list}.`,
    });
  }
  throw new FallbackError('USAGE', `Several repositories are called ${JSON.stringify(name)}: ${list}.`, {
    hint: 'Give its id instead of the name; fallback repositories lists both.',
  });
}

async function openFolder(invocation: Invocation): Promise<OpenedRepository> {
  const { world } = invocation;
  const folder = invocation.get(readFolderOption) ?? '';
  const store = await openStoreOf(invocation, absolutePath(world, folder));
  try {
    const { repository } = pickRepository(await namedRepositories(store), invocation.get(repositoryOption));
    const secret = await unlockFolder(invocation, repository);
    const { openSession } = await import('../sync/repository-session.ts');
    const session = await openSession<RepositoryReader>(repository, secret, undefined, clientEnvironment(world));
    if (!session.isHeadProved) warnOfLostHead(invocation, session.status);
    const close = async (): Promise<void> => {
      await session.close();
      await store.close();
    };
    return { session, place: store.folder, traffic: undefined, state: undefined, close };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/**
 * For a key in the clear of which nobody has said that it is to be there.
 * @throws USAGE, unless a passphrase opens the repository too.
 */
function requireStatedClear(slots: readonly KeySlot[]): void {
  if (!slots.some(({ type }) => type === 'clear') || slots.some(({ type }) => type === 'passphrase')) return;
  throw new FallbackError(
    'USAGE',
    'The key of this repository stands in the clear in the store: whoever can write there could have put it, with a repository of his own. Nothing was opened.',
    {
      hint: 'If you made it with fallback init --no-encryption, say --no-encryption here too; else give --phrase-file or --passphrase-file.',
    },
  );
}

/** The secret of a repository in a folder: by phrase or passphrase, or in the clear where that was said. */
export async function unlockFolder(invocation: Invocation, repository: RepositoryReader): Promise<Uint8Array> {
  const { chooseKeyDocument, readKeyDocuments, unlockRepository } = await import('../sync/pair/key-documents.ts');
  requireOneStdin(invocation);
  const wanted = invocation.get(keyDocumentOption);
  if (invocation.get(phraseFileOption) !== undefined) {
    return await unlockRepository(repository, { type: 'phrase', entropy: await obtainPhrase(invocation) }, wanted);
  }
  if (invocation.get(noEncryptionOption) !== undefined) {
    return await unlockRepository(repository, { type: 'none' }, wanted);
  }
  const { slots } = chooseKeyDocument(await readKeyDocuments(repository), repository.repositoryId, wanted);
  const isAsked = invocation.get(passphraseFileOption) !== undefined;
  if (!isAsked) requireStatedClear(slots);
  if (!isAsked && !slots.some(({ type }) => type === 'passphrase')) {
    return await unlockRepository(repository, { type: 'phrase', entropy: await obtainPhrase(invocation) }, wanted);
  }
  const passphrase = await obtainPassphrase(invocation);
  return await unlockRepository(repository, { type: 'passphrase', passphrase }, wanted);
}

/** Opens what the options name, to read. */
export async function openForReading(invocation: Invocation): Promise<OpenedRepository> {
  if (invocation.get(readFolderOption) !== undefined) return await openFolder(invocation);
  const option =
    invocation.get(noEncryptionOption) === true
      ? noEncryptionOption
      : [passphraseFileOption, phraseFileOption].find((one) => invocation.get(one) !== undefined);
  if (option === undefined) return await openPaired(invocation);
  // Whoever tries out a passphrase this way must not be told that it works.
  throw new FallbackError(
    'USAGE',
    `${option.flags.split(' ')[0]} is for a store’s folder. This machine has the key of its repository.`,
    {
      hint: 'Leave it out, or give the folder with --dir. fallback key show tells what opens the repository.',
    },
  );
}

/** Runs `work` on what the options name, and closes it whatever happens. */
export async function withRepository<Result>(
  invocation: Invocation,
  work: (opened: OpenedRepository) => Promise<Result>,
): Promise<Result> {
  const opened = await openForReading(invocation);
  try {
    return await work(opened);
  } finally {
    await opened.close();
  }
}

/** Runs `work` on the store of --dir, and closes it whatever happens. */
export async function withStore<Result>(
  invocation: Invocation,
  work: (store: Store) => Promise<Result>,
): Promise<Result> {
  const store = await openStoreOf(invocation);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
