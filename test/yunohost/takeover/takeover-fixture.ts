// Two servers of the double, a store's folder between them, and the product's own steps on both.
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deriveRepositoryKeys } from '../../../src/crypto/key-hierarchy.ts';
import { makePassphraseSlot } from '../../../src/crypto/key-slots.ts';
import { sealConfiguration } from '../../../src/crypto/sealed-configuration.ts';
import { type Epoch, parseEpoch, parseRepositoryId, type RepositoryId } from '../../../src/format/ids.ts';
import { encodeKeyDocument } from '../../../src/format/key-document.ts';
import { nodeFileSystem } from '../../../src/fs/node-file-system.ts';
import type { FolderRepository } from '../../../src/store/folder-repository.ts';
import { createStore, openStore } from '../../../src/store/open-store.ts';
import { pinSnapshot, unpinSnapshot } from '../../../src/store/retention.ts';
import { newPushCounters } from '../../../src/sync/push/push-counters.ts';
import { openSession, type RepositorySession } from '../../../src/sync/repository-session.ts';
import { parseConfiguration } from '../../../src/yunohost/configuration/read-configuration.ts';
import { type NightResult, runNight } from '../../../src/yunohost/night/run-night.ts';
import { chooseMainSnapshot } from '../../../src/yunohost/takeover/choose-snapshot.ts';
import { type CloseReport, runClose } from '../../../src/yunohost/takeover/close.ts';
import {
  beginDeploy,
  type DeployReport,
  type DeployRequest,
  isDeployOpen,
  retryMissing,
  runDeploy,
} from '../../../src/yunohost/takeover/deploy.ts';
import { Journal, type StepListener } from '../../../src/yunohost/takeover/journal.ts';
import { beginUpdate, type HomeItem, lookHome, updateFacts } from '../../../src/yunohost/takeover/look-home.ts';
import { type Preflight, preflight } from '../../../src/yunohost/takeover/preflight.ts';
import { runRecovery } from '../../../src/yunohost/takeover/recover.ts';
import type { TakeoverEvent, TakeoverHost } from '../../../src/yunohost/takeover/takeover-host.ts';
import {
  findProduced,
  giveUpFallback,
  type HomeOutcome,
  resumeUpdate,
  runUpdate,
  type UpdateChoice,
} from '../../../src/yunohost/takeover/update.ts';
import { testConfiguration, testEnvironment } from '../../support/client-fixture.ts';
import { sha256Hex } from '../../support/fake-objects.ts';
import { readAccounts } from '../double/accounts.ts';
import { copyTree } from '../double/files.ts';
import { freeBytes } from '../double/free-space.ts';
import { chownDouble, yunohostDouble } from '../double/run-yunohost.ts';
import { type ServerShape, seedBareServer, seedServer } from '../double/seed-server.ts';
import { Server } from '../double/server.ts';
import { demoPg, demoSql, newRoot, smallServer } from '../double/testing.ts';
import { doubleCommand } from '../double-host.ts';

export const passphrase = 'a quiet night';

/** Stops an operation as a kill does, at a moment of a step: `close:check begun`. */
export const cutOff =
  (wanted: string): StepListener =>
  (step, moment) => {
    if (`${step} ${moment}` === wanted) throw new Error('cut off');
  };

/** The empty folder of a database engine that had no database before. */
export const emptyEngine = /^\/var\/lib\/mysql$/;

/** Cheap, for tests only. */
const argonCost = { memoryKiB: 64, passes: 1, lanes: 1 };

export const ownApp = { id: 'fbwiki', domain: 'fb.test', path: '/wiki', sizeBytes: 8_000 };
export const hiddenApp = { id: 'notes', domain: 'main.test', sizeBytes: 8_000 };

/** The fallback server's shape: bob exists on both, with another number; so does the app `demopg`. */
export const fallbackShape: Omit<ServerShape, 'root'> = {
  seed: 9,
  mainDomain: 'fb.test',
  users: ['fbadmin', 'bob'],
  userIds: { bob: 33235 },
  userBytes: 6_000,
  apps: [ownApp, { ...demoPg, domain: 'fb.test', sizeBytes: 8_000 }],
};

export const mainShape: Partial<ServerShape> = {
  userIds: { bob: 32489 },
  userBytes: 10_000,
  apps: [{ ...demoSql, sizeBytes: 20_000 }, { ...demoPg, sizeBytes: 20_000 }, hiddenApp],
};

const models = new Map<string, Promise<Server>>();

/** A copy of a server that is seeded once in a process. */
export async function copyOfServer(key: string, seed: () => Promise<Server>): Promise<Server> {
  const model = models.get(key) ?? seed();
  models.set(key, model);
  const server = new Server({ root: newRoot() });
  copyTree(await model, (await model).root, server.root);
  return server;
}

export interface World {
  readonly folder: string;
  readonly store: string;
  readonly repositoryId: RepositoryId;
  readonly secret: Uint8Array;
  readonly pushToken: Uint8Array;
}

/** A store's folder with one repository that a passphrase opens. */
export async function makeStore(folder: string): Promise<World> {
  const storeFolder = join(folder, 'store');
  await mkdir(folder, { recursive: true });
  const environment = { nowMs: () => Date.now(), randomBytes: testEnvironment.randomBytes };
  const store = await createStore({ folder: storeFolder, environment, options: { reserveFreeBytes: 1_000_000 } });
  const repositoryId = parseRepositoryId(randomBytes(16).toString('hex'));
  const secret = testEnvironment.randomBytes(32);
  const keys = deriveRepositoryKeys(secret, repositoryId);
  const slot = makePassphraseSlot(repositoryId, secret, passphrase, testEnvironment.randomBytes, argonCost);
  const pushToken = testEnvironment.randomBytes(32);
  const invite = await store.createInvite('main', 3_600_000);
  await store.redeemInvite(invite, {
    repositoryId,
    pushTokenSha256: sha256Hex(pushToken),
    readTokenSha256: sha256Hex(keys.readToken),
    configuration: sealConfiguration(keys, testConfiguration, testEnvironment.randomBytes),
    keyDocument: encodeKeyDocument({ repositoryId, number: 1, slots: [slot] }),
  });
  await store.close();
  return { folder, store: storeFolder, repositoryId, secret, pushToken };
}

/** Runs `work` with a session on the store's folder. */
export async function withFolderSession<Result>(
  world: World,
  work: (session: RepositorySession<FolderRepository>) => Promise<Result>,
): Promise<Result> {
  const environment = { nowMs: () => Date.now(), randomBytes: testEnvironment.randomBytes };
  const store = await openStore({ folder: world.store, environment, options: { reserveFreeBytes: 1_000_000 } });
  try {
    const repository = await store.repository(world.repositoryId);
    const session = await openSession(repository, world.secret, undefined, testEnvironment);
    try {
      return await work(session);
    } finally {
      await session.crypto.close();
    }
  } finally {
    await store.close();
  }
}

/** The product's view of a server of the double. */
export function hostOf(
  root: string,
  stateFolder: string,
  toml = '',
  onEvent?: (event: TakeoverEvent) => void,
): TakeoverHost {
  const server = new Server({ root });
  return {
    // A short limit on time is a test of hanging calls: then the wait for the lock must be short as well.
    yunohost: doubleCommand(root, { lockTimeoutSeconds: toml.includes('time_limit') ? 1 : 60 }),
    configuration: parseConfiguration(toml, 'test.toml'),
    stateFolder,
    fs: nodeFileSystem,
    chown: chownDouble,
    environment: { ...process.env, YUNOHOST_DOUBLE_ROOT: root },
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep: async (ms, signal) => {
      await sleep(ms, undefined, signal === undefined ? {} : { signal });
    },
    ownerOf: async (path) => (existsSync(path) ? server.owners.get(path) : undefined),
    freeBytes: async () => freeBytes(root),
    ...(onEvent === undefined ? {} : { onEvent }),
  };
}

export const noDns = { resolve: async () => [] };

export const openJournal = (stateFolder: string, onStep?: StepListener, name?: string): Promise<Journal> =>
  Journal.open(
    { fs: nodeFileSystem, nowMs: () => Date.now(), randomHex: () => randomBytes(8).toString('hex') },
    stateFolder,
    name,
    onStep,
  );

/** One night of the main server, into the folder itself. */
export async function runMainNight(world: World, root: string, epoch = 1, toml = ''): Promise<NightResult> {
  const state = join(world.folder, 'main-state');
  await mkdir(state, { recursive: true });
  const accounts = readAccounts(new Server({ root }));
  return await withFolderSession(world, (session) =>
    runNight({
      session,
      yunohost: doubleCommand(root),
      configuration: parseConfiguration(toml, 'test.toml'),
      state: { folder: state, indexPath: join(state, 'index'), spoolPath: join(state, 'spool') },
      epoch: epoch as NightResult['push']['snapshot']['epoch'],
      counters: newPushCounters(),
      freeBytes: async () => freeBytes(root),
      accounts: async () => ({
        userName: async (id) => accounts.userName(id) ?? '',
        groupName: async (id) => accounts.groupName(id) ?? '',
      }),
      localMinute: () => 60,
      monotonicMs: () => performance.now(),
      isScheduled: false,
    }),
  );
}

/** Looks before a takeover. */
export async function look(world: World, host: TakeoverHost, maxAgeMs = 86_400_000): Promise<Preflight> {
  return await withFolderSession(world, async (session) =>
    preflight({ host, session, snapshot: await chooseMainSnapshot(session, undefined), maxAgeMs }),
  );
}

const requestOf = (
  host: TakeoverHost,
  session: RepositorySession<FolderRepository>,
  journal: Journal,
): DeployRequest => ({
  host,
  session,
  journal,
  pin: (number) => pinSnapshot(session.repository, number),
  dns: noDns,
});

/** `fallback deploy`: begins, goes on, or tries again what is missing. */
export async function deploy(world: World, host: TakeoverHost, onStep?: StepListener): Promise<DeployReport> {
  return await withFolderSession(world, async (session) => {
    const journal = await openJournal(host.stateFolder, onStep);
    const request = requestOf(host, session, journal);
    if (journal.state === 'deployed') await retryMissing(request);
    else if (!isDeployOpen(journal)) {
      const { plan } = await preflight({
        host,
        session,
        snapshot: await chooseMainSnapshot(session, undefined),
        maxAgeMs: 86_400_000,
      });
      await beginDeploy(request, plan);
    }
    return await runDeploy(request);
  });
}

export interface Two {
  readonly world: World;
  readonly main: Server;
  readonly fallback: Server;
  readonly host: TakeoverHost;
}

/** Two servers, one night pushed. @param isBare whether the fallback server was never set up. */
export async function twoServers({ isBare = false, toml = '' } = {}): Promise<Two> {
  const world = await makeStore(newRoot());
  const main = await copyOfServer('main', () => smallServer(mainShape));
  const fallback = await copyOfServer(isBare ? 'bare' : 'fallback', async () =>
    isBare ? seedBareServer(newRoot()) : await seedServer({ ...fallbackShape, root: newRoot() }),
  );
  await runMainNight(world, main.root);
  return { world, main, fallback, host: hostOf(fallback.root, join(world.folder, 'fallback-state'), toml) };
}

/** Everything of ours in YunoHost's folders. */
export function leftovers(root: string): string[] {
  return ['archives', 'tmp'].flatMap((name) => {
    const folder = join(root, 'home/yunohost.backup', name);
    return existsSync(folder) ? readdirSync(folder) : [];
  });
}

export { yunohostDouble };

/** `fallback close`. */
export async function close(
  world: World,
  host: TakeoverHost,
  {
    discarded = [],
    left = [],
    onStep,
  }: { discarded?: readonly string[]; left?: readonly string[]; onStep?: StepListener } = {},
): Promise<CloseReport> {
  return await withFolderSession(world, async (session) =>
    runClose({
      host,
      session,
      journal: await openJournal(host.stateFolder, onStep),
      pin: (number) => pinSnapshot(session.repository, number),
      unpin: (number) => unpinSnapshot(session.repository, number),
      discarded,
      left,
    }),
  );
}

export interface Updated {
  readonly items: readonly HomeItem[];
  readonly outcomes: readonly HomeOutcome[];
  /** The epoch that the main server adopted. */
  readonly adopted: number | undefined;
}

/** `fallback update` on the main server. @param liveEpoch in which it lives. */
export async function update(
  world: World,
  main: Server,
  choice: Partial<UpdateChoice> = {},
  { liveEpoch = 1, onStep, toml = '' }: { liveEpoch?: number; onStep?: StepListener; toml?: string } = {},
): Promise<Updated | undefined> {
  const host = hostOf(main.root, join(world.folder, 'main-state'), toml);
  return await withFolderSession(world, async (session) => {
    const journal = await openJournal(host.stateFolder, onStep);
    let adopted: number | undefined;
    const request = {
      host,
      session,
      journal,
      adopt: async (epoch: Epoch) => {
        adopted = epoch;
      },
    };
    if (journal.state === 'idle') {
      const produced = await findProduced(request, parseEpoch(liveEpoch));
      if (produced === undefined) return undefined;
      await beginUpdate(request, await lookHome(request, produced));
    } else await resumeUpdate(request);
    const items = updateFacts(journal)?.items ?? [];
    const outcomes = await runUpdate(request, { take: [], keep: [], all: false, ...choice });
    return { items, outcomes, adopted };
  });
}

/** `fallback update --give-up-fallback` on the main server. @returns the epoch that it adopted. */
export async function giveUp(world: World, main: Server): Promise<number | undefined> {
  const host = hostOf(main.root, join(world.folder, 'main-state'));
  return await withFolderSession(world, async (session) => {
    let adopted: number | undefined;
    const adopt = async (epoch: Epoch) => {
      adopted = epoch;
    };
    await giveUpFallback({ host, session, journal: await openJournal(host.stateFolder), adopt });
    return adopted;
  });
}

/** `fallback recover APP` on a server. @param options.epoch undefined when the server is fenced. */
export async function recover(
  world: World,
  host: TakeoverHost,
  app: string,
  options: { at?: string; epoch?: number | undefined; onStep?: StepListener } = {},
): Promise<Awaited<ReturnType<typeof runRecovery>>> {
  const { at, epoch, onStep } = { epoch: 1, ...options };
  return await withFolderSession(world, async (session) =>
    runRecovery(
      {
        host,
        session,
        journal: await openJournal(host.stateFolder, onStep, 'recover.json'),
        app,
        epoch: epoch === undefined ? undefined : parseEpoch(epoch),
      },
      at,
    ),
  );
}
