// On the main server: brings home what the fallback server produced, app by app, and goes back to normal operation.
import { FallbackError, messageWithHint } from '../../errors/fallback-error.ts';
import { type Epoch, parseEpoch } from '../../format/ids.ts';
import { findArchive, type ListedSnapshot } from '../../sync/snapshots.ts';
import { systemArchive } from '../coverage.ts';
import { newestOf, origins, snapshotByNumber } from './choose-snapshot.ts';
import { compareVersions } from './compare-versions.ts';
import type { Journal } from './journal.ts';
import {
  type HomeItem,
  halfReplaced,
  isHalf,
  lookAgain,
  type UpdateFacts,
  type UpdateRequest,
  updateFacts,
} from './look-home.ts';
import { removePrepared } from './placed-archive.ts';
import { type ReplaceOutcome, replaceApp } from './replace-app.ts';
import { requireSavedData } from './restore-parts.ts';
import { proveStored } from './stored-archive.ts';
import {
  bringSystemHome,
  homeOf,
  homesLeftOutOf,
  isBrought,
  isHomeMember,
  isRemovedThere,
  postInstallFrom,
  takenPartsOf,
} from './system-home.ts';
import { tell, warn } from './takeover-host.ts';

/** What became of an item. */
export type HomeOutcome = {
  readonly name: string;
  readonly status: 'taken' | 'kept' | 'same' | 'open' | 'failed';
  readonly reason?: string;
};

/** What the admin chose. */
export interface UpdateChoice {
  /** Taken from the fallback server, also when both wrote. */
  readonly take: readonly string[];
  /** Left as they are here. */
  readonly keep: readonly string[];
  /** Everything that only the fallback server wrote. */
  readonly all: boolean;
}

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

/** @throws INTERNAL. */
function factsOf(journal: Journal): UpdateFacts {
  const facts = updateFacts(journal);
  if (facts === undefined) throw new FallbackError('INTERNAL', 'The journal has no update.');
  return facts;
}

/**
 * Goes on with an update that was begun: what is half replaced is brought to its end, then everything that is still open is
 * compared again, so that nothing is decided by what was here days ago.
 * @param mayRestore whether half replaced items may be finished; otherwise, while there are any, nothing is looked at.
 * @throws as runUpdate and lookHome.
 */
export async function resumeUpdate(request: UpdateRequest, mayRestore = true): Promise<UpdateFacts> {
  const { journal, session } = request;
  const facts = factsOf(journal);
  const produced = await snapshotByNumber(session, facts.produced);
  const half = halfReplaced(journal);
  if (half.length > 0 && !mayRestore) return facts;
  for (const item of systemFirst(half)) await settleItem(request, facts, produced, item, 'take');
  return await lookAgain(request, facts, produced);
}

const systemFirst = (items: readonly HomeItem[]): HomeItem[] =>
  [...items].sort((a, b) => Number(b.kind === 'system') - Number(a.kind === 'system'));

/** Does with one item what was decided; one that failed is forgotten, so that it is done again when it is chosen again. */
async function settleItem(
  request: UpdateRequest,
  facts: UpdateFacts,
  produced: ListedSnapshot,
  item: HomeItem,
  decision: 'take' | 'keep',
): Promise<void> {
  const { journal, host } = request;
  const outcome = await journal.step(
    `home:${item.name}`,
    async () => await bring(request, facts, produced, item, decision),
  );
  if (outcome.status !== 'failed') return;
  warn(host, `${item.name}: ${outcome.reason ?? ''}`);
  const isOf = (step: string): boolean =>
    step.endsWith(`:${item.name}`) || (item.kind === 'system' && step.startsWith('system:'));
  await journal.forget(isOf);
  await journal.record({ facts: { [`failed:${item.name}`]: outcome.reason } });
}

/**
 * Brings home what was chosen. When everything is decided, this machine adopts the epoch, and nightly pushes go on.
 * @throws what stopped it; the same command again goes on. Single apps that fail are put back and told in the outcomes.
 */
export async function runUpdate(request: UpdateRequest, choice: UpdateChoice): Promise<HomeOutcome[]> {
  const { journal, session, host } = request;
  const facts = factsOf(journal);
  requireNames(facts, choice);
  const produced = await snapshotByNumber(session, facts.produced);
  if (facts.own === undefined && facts.items.some(({ kind }) => kind === 'system')) {
    const base = await snapshotByNumber(session, facts.base);
    await journal.step('post-install', () => postInstallFrom(host, session, base));
  }
  for (const item of systemFirst(facts.items)) {
    const decision = decide(item, choice);
    if (decision !== undefined) await settleItem(request, facts, produced, item, decision);
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
  const leftOut = homesLeftOutOf(produced);
  return there.removed.filter(
    (member) => isRemovedThere(member, taken) && !leftOut.includes(homeOf(member) ?? '') && !written.has(member),
  );
}

/**
 * @param what cannot be done meanwhile, the beginning of the message.
 * @throws WRONG_STATE while an update has something half replaced: only the journal knows where the old version is.
 */
export function requireWhole(journal: Journal, what: string): void {
  const half = halfReplaced(journal).map(({ name }) => name);
  if (journal.isBegun('post-install') && !journal.isEnded('post-install')) half.push('the system');
  if (half.length === 0) return;
  throw new FallbackError(
    'WRONG_STATE',
    `${what} while an update is in the middle of replacing ${half.join(', ')}. Nothing was changed.`,
    {
      hint: `Finish it first: fallback update. If it cannot be finished, the safety backups lie in /home/yunohost.backup/archives (fallback-safe-…): yunohost backup restore NAME, then move ${journal.path} away.`,
    },
  );
}

/** Forgets an update in which nothing is half replaced. */
async function forget({ journal, host }: UpdateRequest): Promise<void> {
  const { items } = updateFacts(journal) ?? { items: [] };
  for (const { name } of items) await removePrepared(host, name);
  await journal.reset('idle', {});
}

/** An update that was begun before another takeover is begun anew, unless something is half replaced. @throws WRONG_STATE. */
export async function forgetOvertaken(request: UpdateRequest): Promise<void> {
  const { journal, session } = request;
  const facts = updateFacts(journal);
  if (journal.state !== 'updating' || facts === undefined || facts.epoch === session.status.epoch) return;
  requireWhole(journal, 'The fallback server has taken over again');
  await forget(request);
}

/** Goes on without what the fallback server produced: this machine adopts the epoch. @throws WRONG_STATE while something is half replaced. */
export async function giveUpFallback(request: UpdateRequest): Promise<void> {
  requireWhole(request.journal, 'The fallback server cannot be given up');
  await request.adopt(parseEpoch(request.session.status.epoch));
  await forget(request);
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
  if (decision === 'keep') {
    // What a run that was cut off before it changed anything may have left.
    await removePrepared(host, name);
    return { name, status: item.verdict === 'nothing' ? 'same' : 'kept' };
  }
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
        homesLeftOut: homesLeftOutOf(produced),
        removedThere: () => removedThere(request, facts, produced),
        own: facts.own,
        ownDomainsThere: facts.ownDomainsThere,
      });
      return reason === undefined ? { name, status: 'taken' } : { name, status: 'failed', reason };
    }
    const proven = await proveStored(session, archive, { signal: host.signal });
    const inside = proven.apps.find(({ id }) => id === name);
    if (inside !== undefined && !isHalf(journal, item)) await requireSavedData(host, inside);
    const domain = inside?.domain ?? item.domain;
    const { contentBytes } = proven;
    const done: ReplaceOutcome = await replaceApp({
      host,
      session,
      journal,
      app: name,
      archive,
      contentBytes,
      isDataLeftOut: inside?.isDataLeftOut ?? true,
      epoch,
      domain,
    });
    return done.status === 'replaced'
      ? { name, status: 'taken' }
      : {
          name,
          status: 'failed',
          reason: `${done.status === 'put-back' ? 'It runs as it did before. ' : ''}${done.reason ?? ''}`,
        };
  } catch (error) {
    host.signal?.throwIfAborted();
    if (!(error instanceof FallbackError)) throw error;
    const isTooLarge = error.code === 'DISK_FULL' && !isHalf(journal, item);
    if (error.code !== 'BACKUP_FAILED' && error.exitCode !== 4 && !isTooLarge) throw error;
    return { name, status: 'failed', reason: messageWithHint(error) };
  }
}
