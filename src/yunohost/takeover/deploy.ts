// The takeover, as a list of steps. Each is recorded before and after, and can be done again from its beginning.
import { join } from 'node:path';
import { FallbackError, messageWithHint } from '../../errors/fallback-error.ts';
import { type Epoch, type Origin, parseEpoch } from '../../format/ids.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { RepositoryTakeover } from '../../store/repository-store.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { findArchive, type ListedSnapshot } from '../../sync/snapshots.ts';
import { type UnsavedData, unsavedData, unsavedDataOf } from '../left-out.ts';
import { origins, snapshotByNumber } from './choose-snapshot.ts';
import { type DnsOutcome, type DnsTools, switchDns } from './dns.ts';
import { startIntakeAgain, stopIntake } from './intake.ts';
import { type Journal, requireState } from './journal.ts';
import { bringBackWritten, setWrittenAside } from './keep-written.ts';
import { type OwnState, readOwnState } from './own-state.ts';
import { placeArchive, placedName, removePlaced } from './placed-archive.ts';
import type { PlannedApp, TakeoverPlan } from './preflight.ts';
import { giveHomes, keepAccess, keepDomains, liftNestedFolders, setTiles, tilesOf } from './reach.ts';
import { removeTree } from './remove-tree.ts';
import {
  endOfTry,
  hasApp,
  type LostPart,
  leavePostInstall,
  leftover,
  removeApp,
  restoreAppTwice,
  restoreParts,
  retryParts,
  setLeftDataAside,
  type TryEnd,
  throwIfHopeless,
} from './restore-parts.ts';
import { type SavedState, saveState } from './save-state.ts';
import type { ArchiveFacts } from './stored-archive.ts';
import { longCall, shortCall, type TakeoverHost, tell, warn } from './takeover-host.ts';

/** What happened to one app. */
export interface AppOutcome {
  readonly id: string;
  readonly status: 'restored' | 'missing';
  readonly reason?: string;
}

/** What a deploy did. */
export interface DeployReport {
  readonly plan: TakeoverPlan;
  readonly epoch: number;
  readonly system: { readonly restored: readonly string[]; readonly missing: readonly LostPart[] };
  readonly apps: readonly AppOutcome[];
  readonly dns: readonly DnsOutcome[];
  /** Own apps that could not be put aside: they were not touched. */
  readonly notAside: SavedState['failed'];
}

export interface DeployRequest {
  readonly host: TakeoverHost;
  readonly session: RepositorySession<RepositoryTakeover>;
  readonly journal: Journal;
  /** Told which snapshot must not fall to retention while it is needed. */
  pin(number: number): Promise<void>;
  readonly dns: DnsTools;
}

/** Facts in the journal. */
export const deployFacts = {
  plan: 'plan',
  epochBefore: 'epochBefore',
  own: 'own',
  systemMissing: 'systemMissing',
  /** When the system was back: people may write from here on. */
  openedAtMs: 'openedAtMs',
  /** When parts of the system were restored once more, as pairs of times: what changed then was not changed by people. */
  retriesMs: 'retriesMs',
  /** A person stopped it: nothing goes on with it by itself. */
  stoppedByHand: 'stoppedByHand',
} as const;

/** Parts without which no app can come back. */
export const vitalParts = ['conf_ldap', 'conf_ynh_settings'];

/** Begins a takeover: from here on it is resumed, not planned anew. */
export async function beginDeploy(request: DeployRequest, plan: TakeoverPlan): Promise<void> {
  const { journal, session, host } = request;
  requireState(journal, 'deploy', ['idle']);
  const own = plan.isBare ? undefined : await readOwnState(host);
  await journal.reset('idle', {
    ...(journal.fact('last') === undefined ? {} : { last: journal.fact('last') }),
    [deployFacts.plan]: plan,
    [deployFacts.epochBefore]: session.status.epoch,
    [deployFacts.own]: own,
    begunAtMs: host.nowMs(),
  });
}

/** Whether a deploy was begun and is not finished; one that changed nothing yet is simply planned anew. */
export const isDeployOpen = (journal: Journal): boolean =>
  journal.state === 'prepared' || (journal.state === 'idle' && journal.isBegun('raise-epoch'));

/** The plan of the takeover that is under way or done. @throws INTERNAL when there is none. */
export function planOf(journal: Journal): TakeoverPlan {
  const plan = journal.fact<TakeoverPlan>(deployFacts.plan);
  if (plan === undefined) throw new FallbackError('INTERNAL', 'The journal has no plan of a takeover.');
  return plan;
}

/** The epoch in which the takeover found the repository. */
export const epochBefore = (journal: Journal): Epoch => parseEpoch(journal.fact<number>(deployFacts.epochBefore) ?? 1);

/** The epoch that the takeover raised the repository to. */
export const takeoverEpoch = (journal: Journal): Epoch =>
  parseEpoch((journal.fact<number>(deployFacts.epochBefore) ?? 0) + 1);

/**
 * Does all steps that are not done yet.
 * @throws what stopped it; the same command again goes on from there. Single apps that fail do not stop it: see the report.
 */
export async function runDeploy(request: DeployRequest): Promise<DeployReport> {
  const { journal, session, host } = request;
  const plan = planOf(journal);
  const before = parseEpoch(journal.fact<number>(deployFacts.epochBefore) ?? 1);
  await journal.step('raise-epoch', async () => {
    tell(host, `raising the epoch to ${before + 1}: the main server can no longer push`);
    return await session.repository.raiseEpoch(before);
  });
  const snapshot = await snapshotByNumber(session, plan.snapshot);
  await putAside(request, plan);
  if (journal.state === 'idle') await journal.record({ state: 'prepared' });
  if (plan.system !== undefined && plan.systemParts.length > 0) await takeSystem(request, plan, snapshot);
  await takeApps(request, plan, snapshot);
  const dns = await journal.step('dns', () =>
    switchDns(host, request.dns, plan.system?.mainDomain, ownDomainsOf(journal)),
  );
  await journal.record({ state: 'deployed', facts: { deployedAtMs: host.nowMs() } });
  return reportOf(journal, dns);
}

const ownDomainsOf = (journal: Journal): readonly string[] => journal.fact<OwnState>(deployFacts.own)?.domains ?? [];

/** A restore would replace the data, and `close` could not bring them back. */
const whyItStays = ({ app, folder }: UnsavedData): { readonly name: string; readonly reason: string } => ({
  name: app,
  reason: `This server’s own ${app} stays, and the main server’s is not restored: no backup holds its data in ${folder}, because its setting do_not_backup_data is 1. To take the main server’s: yunohost app setting ${app} do_not_backup_data -v 0, then fallback deploy.`,
});

/** Backs this server up as it is, and proves the backup. */
async function putAside(request: DeployRequest, plan: TakeoverPlan): Promise<void> {
  const { host, session, journal } = request;
  const own = journal.fact<OwnState>(deployFacts.own);
  if (plan.isBare || own === undefined) return;
  const saved = await journal.step('put-aside', async () => {
    tell(host, 'putting this server’s own state aside');
    const clashing = plan.apps.map(({ id }) => id).filter((id) => own.apps.includes(id));
    const unsafe = (await unsavedDataOf(host.yunohost.paths, clashing)).map(whyItStays);
    for (const { reason } of unsafe) warn(host, reason);
    const state = await saveState({
      host,
      session,
      origin: origins.own,
      epoch: takeoverEpoch(journal),
      holder: 'fallback takeover',
      systemParts: own.systemParts,
      apps: own.apps.filter((id) => id !== host.configuration.server.ownApp && !unsafe.some(({ name }) => name === id)),
      attributes: { takeover: String(plan.snapshot) },
      mayLackApps: true,
    });
    return { ...state, failed: [...state.failed, ...unsafe] };
  });
  await journal.step('pin-aside', () => request.pin(saved.snapshot));
}

async function takeSystem(request: DeployRequest, plan: TakeoverPlan, snapshot: ListedSnapshot): Promise<void> {
  const { host, journal, session } = request;
  const own = journal.fact<OwnState>(deployFacts.own);
  if (own !== undefined) {
    const tiles = await journal.step('find-tiles', () => tilesOf(host, own.apps));
    await journal.step('hide-tiles', () => setTiles(host, tiles, false));
    await journal.step('make-way', () => makeWay(request, plan, own));
  }
  await journal.step('restore-system', () =>
    restoreSystem(host, session, findArchive(snapshot, plan.system?.name ?? ''), request),
  );
  if (own !== undefined) await journal.step('give-homes', () => giveHomes(host, own.homeOwners));
  if (journal.fact(deployFacts.openedAtMs) === undefined)
    await journal.record({ facts: { [deployFacts.openedAtMs]: host.nowMs() } });
  await journal.step('lift-domain-settings', () => liftNestedFolders(host));
  await journal.step('own-domains', () => keepOwnDomains(host, own));
  if (own !== undefined && host.configuration.deploy.keepSsh) {
    await journal.step('keep-access', () => keepAccess(host, own));
  }
  await journal.step('regen-conf', () => host.yunohost.server.regenConf([], {}, longCall(host)));
  if (own !== undefined) {
    const tiles = (journal.result<string[]>('find-tiles') ?? []).filter((tile) =>
      hasApp(host, tile.split('.')[0] ?? ''),
    );
    await journal.step('show-tiles', () => setTiles(host, tiles, true));
  }
}

async function keepOwnDomains(host: TakeoverHost, own: OwnState | undefined): Promise<void> {
  const { ownDomain } = host.configuration.server;
  const domains = [...new Set([...(own?.domains ?? []), ...(ownDomain === '' ? [] : [ownDomain])])];
  await keepDomains(host, domains, own?.certificates);
}

/** What a restore of the configuration takes from this server: its domains, its SSH, the files made from both. */
async function settleConfiguration(host: TakeoverHost, own: OwnState | undefined): Promise<void> {
  await keepOwnDomains(host, own);
  if (own !== undefined && host.configuration.deploy.keepSsh) await keepAccess(host, own);
  await host.yunohost.server.regenConf([], {}, longCall(host));
}

/** Removes what would mix with what comes: own apps of the same id, homes and mail of users of the same name. All of it was put aside. */
async function makeWay({ host, journal }: DeployRequest, plan: TakeoverPlan, own: OwnState): Promise<void> {
  const aside = journal.result<SavedState>('put-aside')?.archives ?? [];
  for (const { id } of plan.apps) {
    const isAside = aside.some(({ apps }) => apps.some((app) => app.id === id));
    if (own.apps.includes(id) && isAside) await removeApp(host, id);
  }
  const { paths } = host.yunohost;
  for (const [kind, folder] of [
    ['homes', paths.homes],
    ['mail', paths.mail],
  ] as const) {
    for (const name of makingWay(journal, kind)) await removeTree(host, join(folder, name));
  }
}

/** Own homes, or mail, that make way for those of the main server's users: both have them, and this server's own are put aside. */
export function makingWay(journal: Journal, kind: 'homes' | 'mail'): string[] {
  const { system, systemParts } = planOf(journal);
  if (!systemParts.includes(kind === 'homes' ? 'data_home' : 'data_mail')) return [];
  const here = journal.fact<OwnState>(deployFacts.own)?.entries[kind] ?? [];
  const aside = systemAside(journal)?.names[kind] ?? [];
  return (system?.names[kind] ?? []).filter((name) => here.includes(name) && aside.includes(name));
}

/** This server's own system, as it was put aside. */
export const systemAside = (journal: Journal): ArchiveFacts | undefined =>
  journal.result<SavedState>('put-aside')?.archives.find(({ systemParts }) => systemParts.length > 0);

async function restoreSystem(
  host: TakeoverHost,
  session: DeployRequest['session'],
  archive: SnapshotArchive,
  { journal }: DeployRequest,
): Promise<void> {
  const plan = planOf(journal);
  const own = journal.fact<OwnState>(deployFacts.own);
  const name = placedName('take', archive.name);
  await placeArchive(host, session, archive, name, plan.system);
  const tryOnce = async (parts: readonly string[]): Promise<LostPart[]> => {
    tell(host, `restoring the system: ${parts.join(', ')}`);
    return await restoreParts(host, name, parts);
  };
  let missing: readonly LostPart[];
  try {
    missing = await tryOnce(plan.systemParts);
  } catch (error) {
    throwIfHopeless(host, error);
    warn(host, error instanceof Error ? error.message : String(error));
    // It may have died behind the system part, over a domain that is gone: then that is put right, and all of it done again.
    if (!(await leavePostInstall(host, error)) && own !== undefined) {
      await keepDomains(host, own.domains, own.certificates).catch(() => undefined);
    }
    missing = await tryOnce(plan.systemParts);
  }
  missing = await retryParts(host, name, missing);
  await removePlaced(host.yunohost.paths, name);
  const vital = missing.find((part) => vitalParts.includes(part.name));
  if (vital !== undefined) {
    throw new FallbackError('YUNOHOST_FAILED', `The system part ${vital.name} could not be restored: ${vital.reason}`, {
      hint: 'Your own state is safe in the repository. Run fallback deploy again: it goes on here. fallback close gives up.',
    });
  }
  await journal.record({ facts: { [deployFacts.systemMissing]: missing } });
}

async function takeApps(request: DeployRequest, plan: TakeoverPlan, snapshot: ListedSnapshot): Promise<void> {
  const { journal } = request;
  for (const app of plan.apps) {
    const name = `app:${app.id}`;
    await journal.step(name, async (): Promise<AppOutcome> => {
      try {
        const reason = await takeApp(request, app, plan, snapshot);
        return reason === undefined ? { id: app.id, status: 'restored' } : { id: app.id, status: 'missing', reason };
      } catch (error) {
        throwIfHopeless(request.host, error);
        return { id: app.id, status: 'missing', reason: messageWithHint(error) };
      }
    });
  }
}

/** Where an own app is safe: in the state that was put aside, or in a later snapshot of its own. */
export function asideOfApp(journal: Journal, id: string): SavedState | undefined {
  const holds = (saved: SavedState | undefined): boolean =>
    saved?.archives.some(({ apps }) => apps.some((app) => app.id === id)) === true;
  const candidates = [journal.result<SavedState>('put-aside'), journal.result<SavedState>(`put-aside:${id}`)];
  return candidates.find(holds);
}

/** An own app that could not be put aside with the rest is tried once more, alone: it makes way only when it is safe. @throws BACKUP_FAILED. */
async function putAppAside({ host, session, journal, pin }: DeployRequest, id: string): Promise<void> {
  const own = journal.fact<OwnState>(deployFacts.own);
  if (own?.apps.includes(id) !== true || asideOfApp(journal, id) !== undefined) return;
  const folder = await unsavedData(host.yunohost.paths, id);
  if (folder !== undefined)
    throw new FallbackError('BACKUP_FAILED', whyItStays({ app: id, folder }).reason, { hint: '' });
  const saved = await journal.step(`put-aside:${id}`, () => saveAppAlone({ host, session, journal }, id, origins.own));
  await pin(saved.snapshot);
}

/** Saves and proves one app by itself, while a takeover is under way. @throws BACKUP_FAILED, and what saving and proving throw. */
export async function saveAppAlone(
  { host, session, journal }: Pick<DeployRequest, 'host' | 'session' | 'journal'>,
  id: string,
  origin: Origin,
): Promise<SavedState> {
  return await saveState({
    host,
    session,
    origin,
    epoch: takeoverEpoch(journal),
    holder: 'fallback takeover',
    systemParts: undefined,
    apps: [id],
    attributes: { takeover: String(planOf(journal).snapshot) },
    mayLackApps: false,
  });
}

const tryFact = (id: string): string => `try:${id}`;

/** Whether this server's own app of this id still stands where the main server's shall come. */
function isOwnStanding(journal: Journal, id: string): boolean {
  if (journal.fact<OwnState>(deployFacts.own)?.apps.includes(id) !== true) return false;
  if (journal.fact<TryEnd>(tryFact(id)) === 'gone') return false;
  const aside = journal.result<SavedState>('put-aside')?.archives ?? [];
  return !(journal.isEnded('make-way') && aside.some(({ apps }) => apps.some((app) => app.id === id)));
}

/** Whether it stands, and no try to replace it was begun. */
export const isOwnUntouched = (journal: Journal, id: string): boolean =>
  isOwnStanding(journal, id) && journal.fact<TryEnd>(tryFact(id)) === undefined;

/** @returns why it is not there, or undefined. */
async function takeApp(
  request: DeployRequest,
  app: PlannedApp,
  plan: TakeoverPlan,
  snapshot: ListedSnapshot,
): Promise<string | undefined> {
  const { host, session, journal } = request;
  if (journal.state === 'deployed' && hasApp(host, app.id)) {
    const end = journal.fact<TryEnd>(tryFact(app.id));
    if (end === 'gone' || (end === undefined && !isOwnStanding(journal, app.id))) {
      // Somebody recovered or installed it since, and people may have written in it.
      tell(host, `${app.id} was missing and is here now: it is left as it is`);
      return undefined;
    }
    if (end === 'left') return leftover(app.id, 'deploy');
  }
  await putAppAside(request, app.id);
  const archive = findArchive(snapshot, app.archive);
  const facts = plan.archives.find(({ name }) => name === app.archive);
  const name = placedName('take', app.id);
  try {
    await placeArchive(host, session, archive, name, facts);
    // What a failed try left is none of this server's.
    if (journal.fact<TryEnd>(tryFact(app.id)) === undefined) await setLeftDataAside(host, app);
    await journal.record({ facts: { [tryFact(app.id)]: 'begun' satisfies TryEnd } });
    const reason = await replaceByPlaced(host, app, name);
    await journal.record({ facts: { [tryFact(app.id)]: reason === undefined ? undefined : endOfTry(host, app.id) } });
    return reason;
  } finally {
    await removePlaced(host.yunohost.paths, name).catch(() => undefined);
  }
}

async function replaceByPlaced(
  host: TakeoverHost,
  { id, domain }: PlannedApp,
  name: string,
): Promise<string | undefined> {
  try {
    // What an earlier try left, or the own app when there was no system to restore.
    await removeApp(host, id);
    if (domain !== undefined) await keepDomains(host, [domain]);
    tell(host, `restoring ${id}`);
    return await restoreAppTwice(host, name, id);
  } catch (error) {
    throwIfHopeless(host, error);
    return error instanceof Error ? error.message : String(error);
  }
}

/** Takes note that an app of the takeover was recovered: no later try replaces it, and `close` saves what is written in it. */
export async function noteRecovered(journal: Journal, id: string): Promise<void> {
  const step = `app:${id}`;
  if (!journal.isBegun(step) || isOwnStanding(journal, id)) return;
  await journal.forget((one) => one === step);
  await journal.step(step, async (): Promise<AppOutcome> => ({ id, status: 'restored' }));
}

/** The report of a takeover as it stands. */
export function reportOf(journal: Journal, dns: readonly DnsOutcome[] = journal.result('dns') ?? []): DeployReport {
  const plan = planOf(journal);
  const missing = journal.fact<LostPart[]>(deployFacts.systemMissing) ?? [];
  const apps = plan.apps.map(
    ({ id }): AppOutcome =>
      journal.result<AppOutcome>(`app:${id}`) ?? { id, status: 'missing', reason: 'Not tried yet.' },
  );
  for (const { name, reason } of plan.lost) apps.push({ id: name, status: 'missing', reason });
  return {
    plan,
    epoch: takeoverEpoch(journal),
    system: { restored: plan.systemParts.filter((part) => !missing.some(({ name }) => name === part)), missing },
    apps,
    dns,
    notAside: (journal.result<SavedState>('put-aside')?.failed ?? []).filter(
      ({ name }) => asideOfApp(journal, name) === undefined,
    ),
  };
}

/** Whether all that was planned is there. */
export const isWhole = ({ apps, system, dns }: DeployReport): boolean =>
  apps.every(({ status }) => status === 'restored') &&
  system.missing.length === 0 &&
  dns.every(({ action }) => action !== 'failed');

/** Makes what is missing undone, so that `runDeploy` tries it again. */
export async function retryMissing({ journal, host, session }: DeployRequest): Promise<void> {
  requireState(journal, 'deploy', ['deployed']);
  const { apps, system, dns } = reportOf(journal);
  const again = new Set(apps.filter(({ status }) => status === 'missing').map(({ id }) => `app:${id}`));
  if (dns.some(({ action }) => action === 'failed')) again.add('dns');
  await journal.forget((step) => again.has(step));
  await bringBackWritten(host);
  if (system.missing.length > 0) await retrySystem(host, session, journal, system.missing);
}

/** Web and mail rest meanwhile, and what people wrote since stays as it is. */
async function retrySystem(
  host: TakeoverHost,
  session: DeployRequest['session'],
  journal: Journal,
  missing: readonly LostPart[],
): Promise<void> {
  const plan = planOf(journal);
  const snapshot = await snapshotByNumber(session, plan.snapshot);
  const archive = findArchive(snapshot, plan.system?.name ?? '');
  const name = placedName('take', archive.name);
  try {
    await placeArchive(host, session, archive, name, plan.system);
    await stopIntake(host, journal);
    const still = await retryBesideWritten(host, journal, name, missing);
    await liftNestedFolders(host);
    if (missing.some((part) => part.name.startsWith('conf_')))
      await settleConfiguration(host, journal.fact<OwnState>(deployFacts.own));
    await journal.record({ facts: { [deployFacts.systemMissing]: still } });
  } finally {
    await bringBackWritten(host).finally(() => startIntakeAgain(host, journal));
    await removePlaced(host.yunohost.paths, name).catch(() => undefined);
  }
}

/** A file system gives times of change in steps, of 10 ms at most. */
const timeStepMs = 50;

/** Parts whose written files cannot stand aside stay missing. What stands aside is the caller's to bring back. */
async function retryBesideWritten(
  host: TakeoverHost,
  journal: Journal,
  name: string,
  missing: readonly LostPart[],
): Promise<readonly LostPart[]> {
  const openedAtMs = journal.fact<number>(deployFacts.openedAtMs) ?? 0;
  const retries = journal.fact<[begun: number, ended: number][]>(deployFacts.retriesMs) ?? [];
  const isWritten = (ms: number): boolean =>
    ms > openedAtMs && !retries.some(([begun, ended]) => ms >= begun && ms <= ended);
  const able: LostPart[] = [];
  const unable: LostPart[] = [];
  for (const part of missing) {
    try {
      await setWrittenAside(host, part.name, planOf(journal).system?.names.homes ?? [], isWritten);
      able.push(part);
    } catch (error) {
      host.signal?.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      warn(host, `${part.name} is not restored over what was written since: ${reason}`);
      unable.push({ name: part.name, reason });
    }
  }
  const begunMs = host.nowMs() - timeStepMs;
  const still = await retryParts(host, name, able);
  const own = journal.fact<OwnState>(deployFacts.own);
  if (own !== undefined) await giveHomes(host, own.homeOwners);
  await journal.record({ facts: { [deployFacts.retriesMs]: [...retries, [begunMs, host.nowMs()]] } });
  // What is brought back changes now, and must not look as if the restore had changed it.
  await host.sleep(timeStepMs);
  return [...still, ...unable];
}

/**
 * Apps that are installed now and came with the takeover or after it: neither the server's own nor fallback itself. Where an own
 * app has made way, what stands under its name came, be it by hand.
 */
export async function broughtApps(host: TakeoverHost, journal: Journal): Promise<string[]> {
  const plan = planOf(journal);
  const own = journal.fact<OwnState>(deployFacts.own);
  const installed = (await host.yunohost.apps.list(shortCall(host))).map(({ id }) => id);
  const planned = plan.apps.map(({ id }) => id);
  const isRestored = (id: string): boolean => journal.result<AppOutcome>(`app:${id}`)?.status === 'restored';
  const isOwn = (id: string): boolean =>
    planned.includes(id) ? !isRestored(id) && isOwnStanding(journal, id) : own?.apps.includes(id) === true;
  return installed.filter((id) => id !== host.configuration.server.ownApp && !isOwn(id));
}
