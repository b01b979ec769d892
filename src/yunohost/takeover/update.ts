// On the main server: brings home what the fallback server produced, app by app, and goes back to normal operation.
import { FallbackError } from '../../errors/fallback-error.ts';
import { type Epoch, parseEpoch } from '../../format/ids.ts';
import type { RepositoryWriter } from '../../store/repository-store.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { findArchive, type ListedSnapshot } from '../../sync/snapshots.ts';
import { systemArchive } from '../coverage.ts';
import { newestOf, origins, snapshotByNumber } from './choose-snapshot.ts';
import {
  type Changes,
  compareVersions,
  countOf,
  onlyChanges,
  shorten,
  unknownChanges,
  writtenByBoth,
} from './compare-versions.ts';
import type { Journal } from './journal.ts';
import { type OwnState, readOwnState } from './own-state.ts';
import { type ReplaceOutcome, replaceApp } from './replace-app.ts';
import { hasApp } from './restore-parts.ts';
import { saveState } from './save-state.ts';
import { proveStored } from './stored-archive.ts';
import {
  bringSystemHome,
  isBrought,
  isHomeMember,
  isHomePart,
  isRemovedThere,
  partOf,
  postInstallFrom,
  takenPartsOf,
  wholePartsOf,
} from './system-home.ts';
import { type TakeoverHost, tell, warn } from './takeover-host.ts';

/** Who wrote an app since the takeover. `absent`: this server does not have it. */
export type Verdict = 'nothing' | 'fallback' | 'main' | 'both' | 'absent';

/** One archive that the fallback server gave back; JSON. */
export interface HomeItem {
  readonly name: string;
  readonly kind: 'system' | 'app';
  readonly verdict: Verdict;
  /** Changed on the fallback server since the takeover. */
  readonly there: Changes;
  /** Changed here since the snapshot that was taken over. */
  readonly here: Changes;
  /** Members that both wrote, or that were written here and would be gone with their part; the first ones. */
  readonly both: readonly string[];
  readonly domain: string | undefined;
  /** Of the system: parts that are replaced as a whole and were written there; the others stay. Absent: not known. */
  readonly written?: readonly string[];
  /** Why it cannot be replaced: its safety backup fails. */
  readonly blocked?: string;
}

export interface UpdateFacts {
  readonly produced: number;
  readonly base: number;
  readonly epoch: number;
  /** The snapshot of what was here when both sides were compared, or 0. */
  readonly safety: number;
  readonly own: OwnState | undefined;
  readonly ownDomainsThere: readonly string[];
  readonly items: readonly HomeItem[];
}

/** What became of an item. */
export type HomeOutcome = {
  readonly name: string;
  readonly status: 'taken' | 'kept' | 'same' | 'open' | 'failed';
  readonly reason?: string;
};

export interface UpdateRequest {
  readonly host: TakeoverHost;
  readonly session: RepositorySession<RepositoryWriter>;
  readonly journal: Journal;
  /** Makes this machine live in the repository's epoch, so that its nightly pushes are taken again. */
  adopt(epoch: Epoch): Promise<void>;
}

/** What the admin chose. */
export interface UpdateChoice {
  /** Taken from the fallback server, also when both wrote. */
  readonly take: readonly string[];
  /** Left as they are here. */
  readonly keep: readonly string[];
  /** Everything that only the fallback server wrote. */
  readonly all: boolean;
}

const factName = 'update';
const bothShownMax = 20;

/** The facts of the update that is under way. */
export const updateFacts = (journal: Journal): UpdateFacts | undefined => journal.fact<UpdateFacts>(factName);

/** Whether this snapshot was brought home before. */
const isHome = (journal: Journal, produced: number): boolean => journal.fact<number>('broughtHome') === produced;

/**
 * The snapshot to bring home; undefined when there is nothing to bring home and nothing to adopt.
 * @throws WRONG_STATE while the fallback server has not given back.
 */
export async function findProduced(
  { session, journal }: UpdateRequest,
  liveEpoch: Epoch,
): Promise<ListedSnapshot | undefined> {
  const { epoch } = session.status;
  const produced = await newestOf(session, origins.produced);
  if (produced !== undefined && produced.head.epoch === epoch) {
    return liveEpoch === epoch && isHome(journal, produced.head.number) ? undefined : produced;
  }
  if (liveEpoch === epoch) return undefined;
  throw new FallbackError(
    'WRONG_STATE',
    `The fallback server has taken over (epoch ${epoch}) and has not given back. Nothing was changed.`,
    { hint: 'On the fallback server: fallback close. Then here: fallback update.' },
  );
}

/**
 * Backs up what is here, and compares: what the fallback server produced, what changed here since. Restores nothing.
 * @throws what backup, push and comparison throw; it can be run again.
 */
export async function lookHome(request: UpdateRequest, produced: ListedSnapshot): Promise<UpdateFacts> {
  const { host, session } = request;
  const { attributes } = produced.record;
  const base = await snapshotByNumber(session, Number(attributes['takeover'] ?? '0')).catch(() => undefined);
  const isInstalled = await host.yunohost.isInstalled();
  const own = isInstalled ? await readOwnState(host) : undefined;
  const archives =
    attributes['nothing'] === 'yes' ? [] : produced.record.archives.filter(({ status }) => status !== 'kept');
  const apps = archives.map(({ name }) => name).filter((name) => name !== systemArchive);
  const hasSystem = archives.some(({ name }) => name === systemArchive);
  const epoch = session.status.epoch;
  const here = apps.filter((id) => hasApp(host, id));
  const parts = (own?.systemParts ?? []).filter(isHomePart);
  const isAnything = isInstalled && (here.length > 0 || (hasSystem && parts.length > 0));
  const saved = isAnything
    ? await saveState({
        host,
        session,
        origin: origins.safety,
        epoch,
        holder: `fallback on ${session.environment.hostName}`,
        systemParts: hasSystem ? parts : undefined,
        apps: here,
        attributes: { before: `update from ${produced.head.number}` },
        mayLackApps: true,
        isProved: false,
      })
    : undefined;
  const safety = saved === undefined ? undefined : await snapshotByNumber(session, saved.snapshot);
  const items: HomeItem[] = [];
  for (const { name } of archives) {
    tell(host, `comparing ${name}`);
    const blocked = saved?.failed.find((one) => one.name === name)?.reason;
    items.push(await compareItem(request, { base, produced, safety, name }, blocked));
  }
  return {
    produced: produced.head.number,
    base: base?.head.number ?? 0,
    epoch,
    safety: saved?.snapshot ?? 0,
    own,
    ownDomainsThere: (attributes['ownDomains'] ?? '').split(' ').filter((one) => one !== ''),
    items,
  };
}

async function compareItem(
  { host, session }: UpdateRequest,
  {
    base,
    produced,
    safety,
    name,
  }: { base: ListedSnapshot | undefined; produced: ListedSnapshot; safety: ListedSnapshot | undefined; name: string },
  blocked: string | undefined,
): Promise<HomeItem> {
  const isSystem = name === systemArchive;
  const isCounted = isSystem ? isHomeMember : (member: string) => !isMachineOwn(member);
  const against = async (after: ListedSnapshot | undefined): Promise<Changes> =>
    base === undefined || after === undefined
      ? unknownChanges
      : await compareVersions(session, base, after, name, isCounted, host.signal);
  const taken = takenPartsOf(produced);
  const all = await against(produced);
  const there = isSystem ? comingHome(all, taken) : all;
  for (const part of isSystem ? wholePartsOf(onlyChanges(all, (_, change) => change !== 'removed')) : []) {
    if (!part.startsWith('data_') || isBrought(part, taken)) continue;
    const members = `data/${part.slice('data_'.length)}`;
    warn(
      host,
      `The takeover left ${part} out, so it is not brought home. What is there: fallback restore ${produced.head.number} ${name} ${members} --to FOLDER`,
    );
  }
  const here = await against(safety);
  const written = isSystem && !there.isUnknown ? wholePartsOf(there) : undefined;
  const both = [...new Set([...writtenByBoth(there, here), ...lostWith(here, written ?? [])])];
  const isHere = isSystem ? await host.yunohost.isInstalled() : hasApp(host, name);
  const isUnsure = isSystem && taken === undefined;
  const verdict = isHere ? judge(there, here, isSystem ? both.length > 0 : true, isUnsure) : 'absent';
  if (isUnsure && verdict === 'both') {
    warn(
      host,
      'An older version gave back, and did not note which system parts it had: nothing is removed in homes and mail, and the system is asked for.',
    );
  }
  const archive = findArchive(produced, name);
  const domain = isSystem ? undefined : domainOf(archive.attributes['domainPath']);
  return {
    name,
    kind: isSystem ? 'system' : 'app',
    verdict,
    there: shorten(there),
    here: shorten(here),
    both: both.slice(0, bothShownMax),
    domain,
    ...(written === undefined ? {} : { written }),
    ...(blocked === undefined ? {} : { blocked }),
  };
}

const domainOf = (domainPath: string | undefined): string | undefined => domainPath?.split('/')[0];

/** Settings of an app hold its port, which each machine chooses for itself; they change with anything else of the app. */
const isMachineOwn = (member: string): boolean => /^apps\/[^/]+\/settings\/settings\.yml$/.test(member);

/** Changes of the fallback server's system that concern this server. */
const comingHome = (there: Changes, taken: readonly string[] | undefined): Changes =>
  onlyChanges(there, (member, change) => {
    const part = partOf(member);
    if (part === undefined) return true;
    return change === 'removed' ? isRemovedThere(member, taken) : isBrought(part, taken);
  });

/** Members written here that would be gone with the parts that are replaced as a whole. */
const lostWith = ({ added, changed, removed }: Changes, parts: readonly string[]): string[] =>
  [...added, ...changed, ...removed].filter((member) => parts.includes(partOf(member) ?? ''));

/**
 * @param isClash whether writes on both sides meet: an app and the multimedia folder are replaced as a whole, homes and mail file by file.
 * @param isUnsure whether the fallback server may not have had what it gives back.
 */
function judge(there: Changes, here: Changes, isClash: boolean, isUnsure: boolean): Verdict {
  const wroteThere = there.isUnknown || countOf(there) > 0;
  const wroteHere = here.isUnknown || countOf(here) > 0;
  if (!wroteThere) return wroteHere ? 'main' : 'nothing';
  return isUnsure || (wroteHere && (isClash || here.isUnknown)) ? 'both' : 'fallback';
}

/** Begins an update: from here on it is resumed. */
export async function beginUpdate({ journal }: UpdateRequest, facts: UpdateFacts): Promise<void> {
  await journal.reset('updating', { [factName]: facts });
}

/** What to do with an item by the choice; undefined: it is still open. */
function decide(item: HomeItem, choice: UpdateChoice): 'take' | 'keep' | undefined {
  if (choice.keep.includes(item.name)) return 'keep';
  if (choice.take.includes(item.name)) return 'take';
  if (item.verdict === 'nothing' || item.verdict === 'main') return 'keep';
  return choice.all && (item.verdict === 'fallback' || item.verdict === 'absent') ? 'take' : undefined;
}

/** What was decided and done so far. */
export function outcomesOf(journal: Journal): HomeOutcome[] {
  const { items } = updateFacts(journal) ?? { items: [] };
  return items.map(({ name, verdict }) => {
    const done = journal.result<HomeOutcome>(`home:${name}`);
    return done ?? { name, status: verdict === 'nothing' || verdict === 'main' ? 'same' : 'open' };
  });
}

/**
 * Brings home what was chosen. When everything is decided, this machine adopts the epoch, and nightly pushes go on.
 * @throws what stopped it; the same command again goes on. Single apps that fail are put back and told in the outcomes.
 */
export async function runUpdate(request: UpdateRequest, choice: UpdateChoice): Promise<HomeOutcome[]> {
  const { journal, session, host } = request;
  const facts = updateFacts(journal);
  if (facts === undefined) throw new FallbackError('INTERNAL', 'The journal has no update.');
  requireNames(facts, choice);
  const produced = await snapshotByNumber(session, facts.produced);
  if (facts.own === undefined && facts.items.some(({ kind }) => kind === 'system')) {
    const base = await snapshotByNumber(session, facts.base);
    await journal.step('post-install', () => postInstallFrom(host, session, base));
  }
  const ordered = [...facts.items].sort((a, b) => Number(b.kind === 'system') - Number(a.kind === 'system'));
  for (const item of ordered) {
    const decision = decide(item, choice);
    if (decision === undefined) continue;
    const outcome = await journal.step(
      `home:${item.name}`,
      async () => await bring(request, facts, produced, item, decision),
    );
    if (outcome.status === 'failed') {
      warn(host, `${item.name}: ${outcome.reason ?? ''}`);
      const isOf = (step: string): boolean =>
        step.endsWith(`:${item.name}`) || (item.kind === 'system' && step.startsWith('system:'));
      await journal.forget(isOf);
      await journal.record({ facts: { [`failed:${item.name}`]: outcome.reason } });
    }
  }
  const outcomes = outcomesOf(journal).map((one): HomeOutcome => {
    const reason = journal.fact<string>(`failed:${one.name}`);
    return one.status === 'open' && reason !== undefined ? { name: one.name, status: 'failed', reason } : one;
  });
  if (outcomes.some(({ status }) => status === 'open' || status === 'failed')) return outcomes;
  tell(host, 'going back to normal operation');
  await request.adopt(parseEpoch(facts.epoch));
  await journal.reset('idle', { broughtHome: facts.produced });
  return outcomes;
}

function requireNames(facts: UpdateFacts, { take, keep }: UpdateChoice): void {
  for (const name of [...take, ...keep]) {
    if (facts.items.some((item) => item.name === name)) continue;
    throw new FallbackError(
      'NOT_FOUND',
      `The fallback server gave back nothing called ${JSON.stringify(name)}. Nothing was changed.`,
      {
        hint: `There are: ${facts.items.map((item) => item.name).join(', ') || 'none'}.`,
      },
    );
  }
}

/** What the fallback server removed in homes and mail, and nobody wrote here meanwhile. */
async function removedThere(
  { session, host }: UpdateRequest,
  facts: UpdateFacts,
  produced: ListedSnapshot,
): Promise<readonly string[]> {
  if (facts.safety === 0 || facts.base === 0) return [];
  const base = await snapshotByNumber(session, facts.base);
  const safety = await snapshotByNumber(session, facts.safety);
  const there = await compareVersions(session, base, produced, systemArchive, isHomeMember, host.signal);
  const here = await compareVersions(session, base, safety, systemArchive, isHomeMember, host.signal);
  const written = new Set([...here.added, ...here.changed]);
  const taken = takenPartsOf(produced);
  return there.removed.filter((member) => isRemovedThere(member, taken) && !written.has(member));
}

/** An update that was begun before another takeover is begun anew, unless something is half replaced. @throws WRONG_STATE. */
export async function forgetOvertaken({ journal, session }: UpdateRequest): Promise<void> {
  const facts = updateFacts(journal);
  if (journal.state !== 'updating' || facts === undefined || facts.epoch === session.status.epoch) return;
  const half = journal.openSteps.filter((step) => !step.startsWith('home:'));
  if (half.length > 0) {
    throw new FallbackError(
      'WRONG_STATE',
      `The fallback server has taken over again while this update is in the middle of ${half.join(', ')}.`,
      {
        hint: 'The safety backups lie in /home/yunohost.backup/archives (fallback-safe-…): yunohost backup restore NAME.',
      },
    );
  }
  await journal.reset('idle', {});
}

async function bring(
  request: UpdateRequest,
  facts: UpdateFacts,
  produced: ListedSnapshot,
  item: HomeItem,
  decision: 'take' | 'keep',
): Promise<HomeOutcome> {
  const { name } = item;
  const { host, session, journal } = request;
  if (decision === 'keep') return { name, status: item.verdict === 'nothing' ? 'same' : 'kept' };
  const epoch = parseEpoch(facts.epoch);
  const archive = findArchive(produced, name);
  try {
    if (item.kind === 'system') {
      const reason = await bringSystemHome({
        host,
        session,
        journal,
        epoch,
        archive,
        isBrought: (part) => isBrought(part, takenPartsOf(produced), item.written),
        removedThere: () => removedThere(request, facts, produced),
        own: facts.own,
        ownDomainsThere: facts.ownDomainsThere,
      });
      return reason === undefined ? { name, status: 'taken' } : { name, status: 'failed', reason };
    }
    const proven = await proveStored(session, archive, { signal: host.signal });
    const domain = proven.apps.find(({ id }) => id === name)?.domain ?? item.domain;
    const done: ReplaceOutcome = await replaceApp({ host, session, journal, app: name, archive, epoch, domain });
    return done.status === 'replaced'
      ? { name, status: 'taken' }
      : {
          name,
          status: 'failed',
          reason: `${done.status === 'put-back' ? 'It runs as it did before. ' : ''}${done.reason ?? ''}`,
        };
  } catch (error) {
    host.signal?.throwIfAborted();
    if (error instanceof FallbackError && (error.code === 'BACKUP_FAILED' || error.exitCode === 4)) {
      return { name, status: 'failed', reason: error.message };
    }
    throw error;
  }
}
