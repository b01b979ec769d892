// Giving back, as a list of steps: what was produced is backed up and proved by rebuilding it; then what the takeover brought
// is removed, the server's own state comes back, is looked at, and is let go.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { RepositoryTakeover } from '../../store/repository-store.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { findArchive } from '../../sync/snapshots.ts';
import { markedFolders } from '../left-out.ts';
import { origins, snapshotByNumber } from './choose-snapshot.ts';
import { type CutOffApp, cutOffApps, saveCutOff } from './cut-off-app.ts';
import {
  type AppOutcome,
  asideOfApp,
  broughtApps,
  deployFacts,
  epochBefore,
  isDeployOpen,
  isOwnUntouched,
  planOf,
  takeoverEpoch,
  vitalParts,
} from './deploy.ts';
import { holdIntake, runningAgain, startIntake, startIntakeAgain, stopIntake, stoppedServices } from './intake.ts';
import { type Journal, requireState } from './journal.ts';
import { bringBackWritten } from './keep-written.ts';
import type { OwnState } from './own-state.ts';
import { placeArchive, placedName, removePlaced } from './placed-archive.ts';
import { giveHomes, keepAccess, keepDomains, liftNestedFolders, setTiles } from './reach.ts';
import {
  endOfTry,
  hasApp,
  type LostPart,
  leftover,
  removeApp,
  restoreAppTwice,
  restoreParts,
  retryParts,
  type TryEnd,
  throwIfHopeless,
} from './restore-parts.ts';
import { type SavedState, saveState } from './save-state.ts';
import { sweepBefore, sweepLeftDomains } from './sweep.ts';
import { homesToAttributes } from './system-home.ts';
import { longCall, shortCall, type TakeoverHost, tell, warn } from './takeover-host.ts';
import {
  findMarked,
  findUnsaved,
  homesLeftOut,
  type KeptData,
  keptData,
  moveKept,
  takenPartsOf,
} from './unsaved-here.ts';

export interface CloseRequest {
  readonly host: TakeoverHost;
  readonly session: RepositorySession<RepositoryTakeover>;
  readonly journal: Journal;
  pin(number: number): Promise<void>;
  unpin(number: number): Promise<void>;
  /** Apps whose data the admin gives up: they are removed without a backup. */
  readonly discarded: readonly string[];
  /** This server's own apps that need not come back: those that failed before stay in their snapshot. */
  readonly left?: readonly string[];
}

/** What a close did. */
export interface CloseReport {
  /** The snapshot with what was produced. */
  readonly produced: number;
  readonly saved: readonly string[];
  readonly discarded: readonly string[];
  /** Data that are in no archive, because the setting `do_not_backup_data` or a file `.nobackup` says so: they stay in these folders. */
  readonly unsaved: readonly KeptData[];
  /** A safety backup of what was written after an interruption, when there was one: `update` does not bring it home. */
  readonly late?: number;
  /** Apps whose restore was cut off and that stood here all the same: `update` does not bring them home either. */
  readonly cutOff: readonly CutOffApp[];
  /** The server was never set up: its system stays that of the main server. */
  readonly wasBare: boolean;
  /** What of this server's own did not come back. */
  readonly lost: readonly LostOwn[];
}

/** A system part or an app of this server's own that did not come back; JSON. */
export interface LostOwn extends LostPart {
  /** The snapshot that holds it; it stays pinned. */
  readonly snapshot: number;
}

/** What the last takeover was, kept in the idle journal. */
export interface LastTakeover {
  readonly snapshot: number;
  readonly produced: number;
  readonly epoch: number;
  readonly closedAtMs: number;
}

/** Whether the system of this server is no longer its own, at least in part. */
const isSystemTaken = (journal: Journal): boolean => journal.isBegun('make-way') || journal.isBegun('restore-system');

/** @throws WRONG_STATE when there is no takeover, finished or not. */
export function requireClosable(journal: Journal): void {
  if (!isDeployOpen(journal)) requireState(journal, 'close', ['prepared', 'deployed', 'closing']);
}

/**
 * Does all steps that are not done yet.
 * @throws WRONG_STATE, BACKUP_FAILED (nothing was removed), and what stopped it; the same command again goes on from there.
 */
export async function runClose(request: CloseRequest): Promise<CloseReport> {
  const { journal, host } = request;
  requireClosable(journal);
  const plan = planOf(journal);
  // A takeover that changed nothing but the epoch is given up the same way: the main server learns that nothing was produced.
  if (!journal.isEnded('raise-epoch')) {
    await journal.step('raise-epoch', () => request.session.repository.raiseEpoch(epochBefore(journal)));
  }
  await bringBackWritten(host);
  let produced: SavedState;
  try {
    produced = await saveAndPin(request);
    await giveBack(request, produced);
  } catch (error) {
    // Before anything is removed the server is whole: it goes on until the next close. Afterwards nobody may write on it.
    if (!isRemovalBegun(journal)) await startIntakeAgain(host, journal);
    const stopped = stoppedServices(journal).join(', ');
    if (stopped !== '')
      warn(host, `Stopped until fallback close has come to its end, so that nothing more is written: ${stopped}.`);
    throw error;
  }
  const own = journal.fact<OwnState>(deployFacts.own);
  const aside = journal.result<SavedState>('put-aside');
  const lost = lostOwn(journal, own);
  const alone = (own?.apps ?? []).map((id) => journal.result<SavedState>(`put-aside:${id}`));
  for (const saved of [aside, ...alone]) {
    if (saved !== undefined && !lost.some(({ snapshot }) => snapshot === saved.snapshot))
      await request.unpin(saved.snapshot);
  }
  const late = journal.fact<number>(lateFact);
  const report = {
    produced: produced.snapshot,
    saved: produced.archives.map(({ name }) => name),
    discarded: journal.fact<string[]>('discarded') ?? [],
    unsaved: keptData(journal),
    ...(late === undefined ? {} : { late }),
    cutOff: cutOffApps(journal),
    wasBare: plan.isBare,
    lost,
  };
  const last: LastTakeover = {
    snapshot: plan.snapshot,
    produced: produced.snapshot,
    epoch: takeoverEpoch(journal),
    closedAtMs: host.nowMs(),
  };
  await journal.reset('idle', { last });
  return report;
}

/** All that the takeover brought is gone: what stands here now is this server's own, or was put here by hand since. */
const isRemovalOver = (journal: Journal): boolean => journal.isBegun('close:start-web');

/** Whether something of what was produced may be gone from this server. */
const isRemovalBegun = (journal: Journal): boolean =>
  isRemovalOver(journal) || journal.isAnyBegun((step) => step.startsWith('close:remove:') || step === 'close:sweep');

/** Steps that an interruption makes void: people may have written on this server since. */
const savingSteps = ['close:stop-intake', 'close:save', 'close:pin'];

async function saveAndPin(request: CloseRequest): Promise<SavedState> {
  const { host, journal } = request;
  if (isRemovalBegun(journal)) await saveLateWrites(request);
  else if (savingSteps.some((step) => journal.isBegun(step))) {
    const old = journal.result<SavedState>('close:save')?.snapshot;
    if (old !== undefined) {
      tell(host, 'this close was interrupted before it removed anything: what was produced is backed up anew');
      await journal.record({ facts: { [supersededFact]: [...superseded(journal), old] } });
    }
    await journal.forget((step) => savingSteps.includes(step));
  }
  const produced = await saveProduced(request);
  await journal.step('close:pin', () => request.pin(produced.snapshot));
  for (const old of superseded(journal)) if (old !== produced.snapshot) await request.unpin(old);
  if (journal.state !== 'closing') await journal.record({ state: 'closing' });
  return produced;
}

/** Snapshots of an interrupted close; they stay pinned until a newer one is. */
const supersededFact = 'superseded';
const superseded = (journal: Journal): readonly number[] => journal.fact<number[]>(supersededFact) ?? [];

const lateFact = 'late';
const lateDueFact = 'lateDue';

/**
 * A close that began to remove keeps its backup. When web or mail have run since, by a reboot, people may have written: what is
 * still whole is backed up once more, as a safety backup.
 */
async function saveLateWrites(request: CloseRequest): Promise<void> {
  const { host, session, journal } = request;
  if (journal.isEnded('close:sweep') || isRemovalOver(journal)) return;
  const running = await runningAgain(host, journal);
  const given = new Set([...request.discarded, ...(journal.fact<string[]>('discarded') ?? [])]);
  const brought = journal.fact<string[]>('brought') ?? [];
  const apps = brought.filter(
    (id) => hasApp(host, id) && !given.has(id) && !isUnfinished(journal, id) && !journal.isBegun(`close:remove:${id}`),
  );
  const hasSystem = journal.fact<boolean>('hasSystem') === true && !journal.isBegun('close:sweep');
  const isDue = running.length > 0 || journal.fact<boolean>(lateDueFact) === true;
  if (!isDue || (apps.length === 0 && !hasSystem)) return;
  tell(host, 'web or mail ran since this close was interrupted: what is still here is backed up once more');
  await journal.record({ facts: { [lateDueFact]: true } });
  await holdIntake(host, journal);
  const saved = await saveState({
    host,
    session,
    origin: origins.safety,
    epoch: takeoverEpoch(journal),
    holder: 'fallback takeover',
    systemParts: hasSystem ? await host.yunohost.server.hooks('backup', shortCall(host)) : undefined,
    apps,
    attributes: { takeover: String(planOf(journal).snapshot) },
    mayLackApps: false,
  });
  await request.pin(saved.snapshot);
  await journal.record({ facts: { [lateFact]: saved.snapshot, [lateDueFact]: undefined } });
}

/** Whether the taking of this app was cut off, and not before it touched an own app of that id. */
const isUnfinished = (journal: Journal, id: string): boolean =>
  journal.isBegun(`app:${id}`) && !journal.isEnded(`app:${id}`) && !isOwnUntouched(journal, id);

const unfinishedApps = (journal: Journal): string[] =>
  planOf(journal).apps.flatMap(({ id }) => (isUnfinished(journal, id) ? [id] : []));

/** From the first removal to the last look. */
async function giveBack(request: CloseRequest, produced: SavedState): Promise<void> {
  const { journal, host } = request;
  if (!isRemovalOver(journal)) await removeBrought(request, produced);
  const own = journal.fact<OwnState>(deployFacts.own);
  // Certificates and domains come back by reloads of nginx, which fail while it does not run. No app is left that it could serve.
  await journal.step('close:start-web', () => startIntake(host, journal, ['nginx']));
  if (own !== undefined) await bringOwnBack(request, own, produced);
  else if (isSystemTaken(journal))
    await journal.step('close:leave-domains', () => sweepLeftDomains(host, undefined, produced.archives));
  await journal.step('close:start-intake', () => startIntake(host, journal));
  if (own !== undefined) await journal.step('close:check', () => checkOwn(request, own));
}

/** The step whose result says why an own app is not back; undefined when it is. */
const ownAppStep = (id: string): string => `close:own-app:${id}`;

/** What of this server's own is not back, with the reason. */
function lostOwn(journal: Journal, own: OwnState | undefined): LostOwn[] {
  const parts = journal.result<readonly LostPart[]>('close:restore-system') ?? [];
  const apps = (own?.apps ?? []).flatMap((name): LostOwn[] => {
    const reason = journal.result<string>(ownAppStep(name));
    const snapshot = asideOfApp(journal, name)?.snapshot;
    return reason === undefined || snapshot === undefined ? [] : [{ name, reason, snapshot }];
  });
  return [...parts.map((part) => ({ ...part, snapshot: asideOf(journal).snapshot })), ...apps];
}

/** Backs up the system and every app that came, under their own origin, and proves the backup. */
async function saveProduced(request: CloseRequest): Promise<SavedState> {
  const { host, session, journal, discarded } = request;
  const plan = planOf(journal);
  const done = journal.result<SavedState>('close:save');
  if (done !== undefined) return done;
  const hasSystem = journal.isEnded('restore-system');
  const isTaken = journal.isBegun('restore-system') || plan.systemParts.length === 0;
  const apps = isTaken ? await broughtApps(host, journal) : [];
  if (hasSystem || apps.length > 0) await journal.step('close:stop-intake', () => stopIntake(host, journal));
  return await journal.step('close:save', async () => {
    const kept = apps.filter((id) => !discarded.includes(id) && !isUnfinished(journal, id));
    const systemParts = hasSystem ? await host.yunohost.server.hooks('backup', shortCall(host)) : undefined;
    const marked = await markedFolders(host.yunohost.paths, systemParts ?? []);
    const here = [...new Set([...apps, ...unfinishedApps(journal)])];
    const unsaved = [
      ...(await findUnsaved(host, journal, here, discarded)),
      ...(await findMarked(host, journal, marked)),
    ];
    await journal.record({ facts: { brought: apps, discarded: [...discarded], unsaved, hasSystem } });
    tell(host, `backing up what was produced: ${[...(hasSystem ? ['system'] : []), ...kept].join(', ') || 'nothing'}`);
    const isNothing = !hasSystem && kept.length === 0;
    const own = journal.fact<OwnState>(deployFacts.own);
    const save = {
      host,
      session,
      origin: origins.produced,
      epoch: takeoverEpoch(journal),
      holder: 'fallback takeover',
      systemParts,
      apps: kept,
      attributes: {
        takeover: String(plan.snapshot),
        ownDomains: (own?.domains ?? []).join(' ').slice(0, 4000),
        ...(hasSystem ? { takenParts: takenPartsOf(journal, marked).join(' ').slice(0, 4000) } : {}),
        ...(hasSystem ? homesToAttributes(homesLeftOut(journal, marked)) : {}),
        ...(discarded.length === 0 ? {} : { discarded: discarded.join(' ').slice(0, 4000) }),
        ...(isNothing ? { nothing: 'yes' } : {}),
      },
      mayLackApps: false,
    };
    if (!isNothing) return await saveState(save);
    // A snapshot needs an archive: those of the main server, as they are, which costs nothing.
    const from = await snapshotByNumber(session, plan.snapshot);
    return await saveState({ ...save, kept: from.record.archives.slice(0, 1) });
  });
}

/** Removes the apps that came, and their data: each is in the proved backup, was saved by itself, or was given up by name. */
async function removeBrought(request: CloseRequest, produced: SavedState): Promise<void> {
  const { host, journal } = request;
  const own = journal.fact<OwnState>(deployFacts.own);
  const saved = new Set(produced.archives.flatMap(({ apps }) => apps.map(({ id }) => id)));
  const given = new Set(journal.fact<string[]>('discarded') ?? []);
  const brought = journal.fact<string[]>('brought') ?? [];
  // By the archives that were proved, not by the setting of today.
  const isDataSaved = (id: string): boolean =>
    !keptData(journal).some(({ app }) => app === id) &&
    !produced.archives.some(({ apps }) => apps.some((app) => app.id === id && app.isDataLeftOut));
  const remove = async (id: string): Promise<void> => {
    if (journal.isEnded(`close:remove:${id}`)) return;
    await holdIntake(host, journal);
    await journal.step(`close:remove:${id}`, async () => {
      await removeApp(host, id, { mayPurge: isDataSaved(id) });
      for (const kept of keptData(journal)) if (kept.app === id) await moveKept(host, kept);
    });
  };
  const unfinished = unfinishedApps(journal);
  for (const id of unfinished) {
    if (given.has(id) || journal.isBegun(`close:remove:${id}`)) continue;
    await holdIntake(host, journal);
    await saveCutOff(request, id);
  }
  for (const id of brought) {
    const isNotThere = journal.isBegun(`app:${id}`) && journal.result<AppOutcome>(`app:${id}`)?.status !== 'restored';
    if (!saved.has(id) && !given.has(id) && !isNotThere) {
      throw new FallbackError('BACKUP_FAILED', `The app ${id} is in no backup, so it is not removed.`);
    }
    await remove(id);
  }
  for (const id of unfinished) if (hasApp(host, id) && !brought.includes(id)) await remove(id);
  if (!isSystemTaken(journal) || journal.isEnded('close:sweep')) return;
  await holdIntake(host, journal);
  await journal.step('close:sweep', () => sweepBefore(host, journal, own, produced.archives));
}

async function bringOwnBack(request: CloseRequest, own: OwnState, produced: SavedState): Promise<void> {
  const { host, journal } = request;
  if (isSystemTaken(journal)) {
    await journal.step('close:keep-marked', async () => {
      for (const kept of keptData(journal)) if (kept.app === undefined) await moveKept(host, kept);
    });
    await journal.step('close:restore-system', () => restoreOwnSystem(request));
    await journal.step('close:lift-domain-settings', () => liftNestedFolders(host));
    await journal.step('close:own-domains', () => keepDomains(host, own.domains, own.certificates));
    await journal.step('close:leave-domains', () => sweepLeftDomains(host, own, produced.archives));
    await journal.step('close:give-homes', async () => giveHomes(host, await ownersNow(request)));
    await journal.step('close:keep-access', () => keepAccess(host, own));
    await journal.step('close:regen-conf', () => host.yunohost.server.regenConf([], {}, longCall(host)));
  }
  // What failed in an earlier run is tried again, unless it need not come back.
  const failed = own.apps.filter((id) => journal.result<string>(ownAppStep(id)) !== undefined);
  await journal.forget((step) => failed.some((id) => step === ownAppStep(id) && request.left?.includes(id) !== true));
  for (const id of own.apps) {
    if (id === host.configuration.server.ownApp) continue;
    await journal.step(ownAppStep(id), () => bringOwnApp(request, id));
  }
  if (journal.isBegun('hide-tiles') && !journal.isEnded('show-tiles')) {
    const tiles = (journal.result<string[]>('find-tiles') ?? []).filter((tile) =>
      hasApp(host, tile.split('.')[0] ?? ''),
    );
    await journal.step('close:show-tiles', () => setTiles(host, tiles, true));
  }
}

/** Owners by the names of the takeover: homes that were unpacked while those users were here. */
const ownersNow = async ({ journal }: CloseRequest): Promise<OwnState['homeOwners']> =>
  journal.result<OwnState['homeOwners']>('close:sweep') ?? {};

const asideOf = (journal: Journal): SavedState => {
  const aside = journal.result<SavedState>('put-aside');
  if (aside !== undefined) return aside;
  throw new FallbackError('INTERNAL', 'The journal does not know where this server’s own state is.');
};

/** @returns the parts that did not come back; none of them is vital. @throws YUNOHOST_FAILED when one is. */
async function restoreOwnSystem({ host, session, journal }: CloseRequest): Promise<readonly LostPart[]> {
  const aside = asideOf(journal);
  const facts = aside.archives.find(({ systemParts }) => systemParts.length > 0);
  if (facts === undefined) throw new FallbackError('INTERNAL', 'The own state holds no system.');
  const snapshot = await snapshotByNumber(session, aside.snapshot);
  const name = placedName('take', 'own-system');
  await placeArchive(host, session, findArchive(snapshot, facts.name), name, facts);
  tell(host, 'restoring this server’s own system');
  let missing: readonly LostPart[];
  try {
    missing = await restoreParts(host, name, facts.systemParts);
  } catch (error) {
    throwIfHopeless(host, error);
    warn(host, error instanceof Error ? error.message : String(error));
    missing = await restoreParts(host, name, facts.systemParts);
  }
  missing = await retryParts(host, name, missing);
  if (missing.some((part) => vitalParts.includes(part.name))) {
    throw new FallbackError(
      'YUNOHOST_FAILED',
      `This server’s own system did not come back: ${missing.map((part) => `${part.name} (${part.reason})`).join(', ')}.`,
      { hint: `It is safe in snapshot ${aside.snapshot}. Run fallback close again: it goes on here.` },
    );
  }
  // Without the others the server runs; it must not stand still for one that never comes.
  for (const part of missing) warn(host, `This server’s own ${part.name} did not come back: ${part.reason}`);
  await removePlaced(host.yunohost.paths, name);
  return missing;
}

const ownTryFact = (id: string): string => `own-try:${id}`;

/** Brings back an own app that had to make way; one that stayed is left alone. @returns why it is not there, or undefined. */
async function bringOwnApp(request: CloseRequest, id: string): Promise<string | undefined> {
  const { host, journal } = request;
  const end = journal.fact<TryEnd>(ownTryFact(id));
  // It never made way, or somebody brought it back, and people may have written in it.
  if (hasApp(host, id) && (end === undefined || end === 'gone')) return undefined;
  if (hasApp(host, id) && end === 'left') return leftover(id, 'close');
  if (asideOfApp(journal, id) === undefined) return undefined;
  if (end === 'begun' && !request.discarded.includes(id)) await saveCutOff(request, id);
  await journal.record({ facts: { [ownTryFact(id)]: 'begun' satisfies TryEnd } });
  let reason: string | undefined;
  try {
    reason = await restoreOwnApp(request, id);
  } catch (error) {
    throwIfHopeless(host, error);
    reason = error instanceof Error ? error.message : String(error);
  }
  if (reason !== undefined) warn(host, `This server’s own app ${id} did not come back: ${reason}`);
  await journal.record({ facts: { [ownTryFact(id)]: reason === undefined ? undefined : endOfTry(host, id) } });
  return reason;
}

async function restoreOwnApp({ host, session, journal }: CloseRequest, id: string): Promise<string | undefined> {
  const aside = asideOfApp(journal, id);
  const facts = aside?.archives.find(({ apps }) => apps.some((app) => app.id === id));
  if (aside === undefined || facts === undefined) return undefined;
  const snapshot = await snapshotByNumber(session, aside.snapshot);
  const name = placedName('take', `own-${id}`);
  try {
    await placeArchive(host, session, findArchive(snapshot, facts.name), name, facts);
    await removeApp(host, id);
    tell(host, `restoring this server’s own ${id}`);
    return await restoreAppTwice(host, name, id);
  } finally {
    await removePlaced(host.yunohost.paths, name).catch(() => undefined);
  }
}

/** The server is what it was: domains, users, apps. @throws VERIFY_FAILED naming what is not. */
async function checkOwn({ host, journal, left = [] }: CloseRequest, own: OwnState): Promise<void> {
  const call = shortCall(host);
  const { domains, main } = await host.yunohost.domains.list(call);
  const apps = (await host.yunohost.apps.list(call)).map(({ id }) => id);
  const users = (await host.yunohost.apps.users(call)).map(({ username }) => username);
  const wrong: string[] = [];
  const compare = (what: string, was: readonly string[], is: readonly string[]): void => {
    const missing = was.filter((one) => !is.includes(one));
    const added = is.filter((one) => !was.includes(one));
    if (missing.length > 0) wrong.push(`${what} missing: ${missing.join(', ')}`);
    if (added.length > 0) wrong.push(`${what} still there: ${added.join(', ')}`);
  };
  compare('domains', own.domains, domains);
  compare('users', own.users, users);
  const failed = new Map(own.apps.map((id) => [id, journal.result<string>(ownAppStep(id))]));
  const isLeft = (id: string): boolean => left.includes(id) && failed.get(id) !== undefined;
  const wanted = own.apps.filter((id) => !isLeft(id));
  compare(
    'apps',
    wanted.filter((id) => failed.get(id) === undefined),
    apps.filter((id) => !own.apps.includes(id) || failed.get(id) === undefined),
  );
  for (const id of wanted) {
    const reason = failed.get(id);
    if (reason !== undefined) wrong.push(`the app ${id} did not come back: ${reason}`);
  }
  if (main !== own.mainDomain) wrong.push(`the main domain is ${main}, not ${own.mainDomain}`);
  if (wrong.length === 0) return;
  throw new FallbackError('VERIFY_FAILED', `This server is not yet what it was: ${wrong.join('; ')}.`, {
    hint: 'Put right what is named, then run fallback close again: it tries what failed, and looks once more. All data is safe in the repository. An app that need not come back: fallback close --leave APP.',
  });
}
