// What an update would bring home, item by item: who wrote since the takeover. Backs up what is here, and restores nothing.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Epoch } from '../../format/ids.ts';
import type { RepositoryWriter } from '../../store/repository-store.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { findArchive, type ListedSnapshot } from '../../sync/snapshots.ts';
import { systemArchive } from '../coverage.ts';
import { origins, snapshotByNumber } from './choose-snapshot.ts';
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
import { hasApp } from './restore-parts.ts';
import { saveState } from './save-state.ts';
import {
  homeOf,
  homesLeftOutOf,
  isBrought,
  isHomeMember,
  isHomePart,
  isRemovedThere,
  mergedParts,
  partOf,
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
  /** Members that both wrote, or that were written here and would be gone with their part or older again; the first ones. */
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

export interface UpdateRequest {
  readonly host: TakeoverHost;
  readonly session: RepositorySession<RepositoryWriter>;
  readonly journal: Journal;
  /** Makes this machine live in the repository's epoch, so that its nightly pushes are taken again. */
  adopt(epoch: Epoch): Promise<void>;
}

const factName = 'update';
const bothShownMax = 20;

/** The facts of the update that is under way. */
export const updateFacts = (journal: Journal): UpdateFacts | undefined => journal.fact<UpdateFacts>(factName);

/**
 * Backs up what is here, and compares: what the fallback server produced, what changed here since. Restores nothing.
 * @param only names of the items to look at; undefined: all.
 * @throws what backup, push and comparison throw; it can be run again.
 */
export async function lookHome(
  request: UpdateRequest,
  produced: ListedSnapshot,
  only?: readonly string[],
): Promise<UpdateFacts> {
  const { host, session } = request;
  const { attributes } = produced.record;
  const base = await snapshotByNumber(session, Number(attributes['takeover'] ?? '0')).catch(() => undefined);
  const isInstalled = await host.yunohost.isInstalled();
  const own = isInstalled ? await readOwnState(host) : undefined;
  const archives =
    attributes['nothing'] === 'yes'
      ? []
      : produced.record.archives.filter(({ status, name }) => status !== 'kept' && (only?.includes(name) ?? true));
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
  const leftOut = homesLeftOutOf(produced);
  const there = isSystem ? comingHome(all, taken, leftOut) : all;
  if (isSystem) tellLeftOut(host, all, produced, taken);
  const here = await against(safety);
  const written = isSystem && !there.isUnknown ? wholePartsOf(there) : undefined;
  const older = isSystem ? overwrittenBy(here) : [];
  const both = [...new Set([...writtenByBoth(there, here), ...lostWith(here, written ?? []), ...older])];
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

/** What of the fallback server's system is not brought home, and how to get at it. */
function tellLeftOut(
  host: TakeoverHost,
  all: Changes,
  produced: ListedSnapshot,
  taken: readonly string[] | undefined,
): void {
  const whereIs = (members: string): string =>
    `What is there: fallback restore ${produced.head.number} ${systemArchive} ${members} --to FOLDER`;
  for (const part of wholePartsOf(onlyChanges(all, (_, change) => change !== 'removed'))) {
    if (!part.startsWith('data_') || isBrought(part, taken)) continue;
    const members = `data/${part.slice('data_'.length)}`;
    warn(host, `The takeover left ${part} out, so it is not brought home. ${whereIs(members)}`);
  }
  const written = new Set([...all.added, ...all.changed].map(homeOf));
  for (const home of homesLeftOutOf(produced)) {
    if (!written.has(home) || !existsSync(join(host.yunohost.paths.homes, home))) continue;
    const own = `/home/${home} there is the fallback server’s own, so it is not brought home.`;
    warn(host, `${own} ${whereIs(`data/home/${home}`)}`);
  }
}

const domainOf = (domainPath: string | undefined): string | undefined => domainPath?.split('/')[0];

/** Settings of an app hold its port, which each machine chooses for itself; they change with anything else of the app. */
const isMachineOwn = (member: string): boolean => /^apps\/[^/]+\/settings\/settings\.yml$/.test(member);

/** Changes of the fallback server's system that concern this server. */
const comingHome = (there: Changes, taken: readonly string[] | undefined, leftOut: readonly string[]): Changes =>
  onlyChanges(there, (member, change) => {
    const part = partOf(member);
    if (part === undefined) return true;
    if (leftOut.includes(homeOf(member) ?? '')) return false;
    return change === 'removed' ? isRemovedThere(member, taken) : isBrought(part, taken);
  });

/** Members written here that would be gone with the parts that are replaced as a whole. */
const lostWith = ({ added, changed, removed }: Changes, parts: readonly string[]): string[] =>
  [...added, ...changed, ...removed].filter((member) => parts.includes(partOf(member) ?? ''));

/** Files of homes and mail that were changed here: what the fallback server gives back has them as they were before. */
const overwrittenBy = ({ changed }: Changes): string[] =>
  changed.filter((member) => mergedParts.includes(partOf(member) ?? ''));

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

/** The step from which on an item is neither what it was nor what it will be. */
const replacingStep = ({ kind, name }: HomeItem): string => (kind === 'system' ? 'system:restore' : `replace:${name}`);

/** Whether an item's replacing was begun and not brought to its end. */
export const isHalf = (journal: Journal, item: HomeItem): boolean =>
  journal.isBegun(replacingStep(item)) && !journal.isEnded(`home:${item.name}`);

/** The items that are half replaced. */
export const halfReplaced = (journal: Journal): HomeItem[] =>
  (updateFacts(journal)?.items ?? []).filter((item) => isHalf(journal, item));

/**
 * Looks again at what is open and was not touched: days may have passed, and people have written here, or apps came and went.
 * @returns the facts as they are kept now.
 */
export async function lookAgain(
  request: UpdateRequest,
  facts: UpdateFacts,
  produced: ListedSnapshot,
): Promise<UpdateFacts> {
  const { journal } = request;
  const isSetUp = facts.own !== undefined || journal.isEnded('post-install');
  const open = facts.items.filter(
    (item) => !journal.isEnded(`home:${item.name}`) && !journal.isBegun(replacingStep(item)),
  );
  if (!isSetUp || open.length === 0) return facts;
  const now = await lookHome(
    request,
    produced,
    open.map(({ name }) => name),
  );
  const hasSystem = open.some(({ kind }) => kind === 'system');
  const next: UpdateFacts = {
    ...facts,
    items: facts.items.map((item) => now.items.find(({ name }) => name === item.name) ?? item),
    ...(hasSystem ? { safety: now.safety, own: now.own } : {}),
  };
  await journal.record({ facts: { [factName]: next } });
  return next;
}
