// `fallback recover APP`: one app back as it was at a date, on either machine.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { RepositoryReader } from '../../store/repository-store.ts';
import { parseMoment } from '../../sync/moment.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { findArchive, type ListedSnapshot, openListedSnapshot, requireHead } from '../../sync/snapshots.ts';
import { origins, snapshotByNumber } from './choose-snapshot.ts';
import { halfRecovery, type RecoveryFacts, recoveryFact, requireNoRecovery } from './half-recovery.ts';
import { placedName, removePlaced, removePrepared, requireRoomFor } from './placed-archive.ts';
import { type ReplaceOutcome, type ReplaceRequest, replaceApp } from './replace-app.ts';
import { requireSavedData } from './restore-parts.ts';
import { proveStored } from './stored-archive.ts';
import { tell, warn } from './takeover-host.ts';

/** The newest snapshot with this app, of the given time or before. @param at a snapshot's number, a date, or undefined. @param onLost is told of newer ones whose file is lost. @throws NOT_FOUND, USAGE, TRUST_ROLLBACK. */
export async function findVersion(
  session: RepositorySession<RepositoryReader>,
  app: string,
  at: string | undefined,
  onLost: (number: number) => void = () => undefined,
): Promise<ListedSnapshot> {
  const isNumber = at !== undefined && /^\d+$/.test(at);
  const timeMs = at === undefined || isNumber ? Number.POSITIVE_INFINITY : parseMoment(at);
  if (timeMs === undefined) {
    throw new FallbackError(
      'USAGE',
      `${JSON.stringify(at)} is neither a date nor a snapshot’s number. Nothing was changed.`,
      {
        hint: 'Such as --at 2026-11-22, --at "2026-11-22 03:00" or --at 17.',
      },
    );
  }
  const summaries = await session.repository.snapshots();
  if (!isNumber) requireHead(session.status, summaries.at(-1));
  const wanted = summaries.filter((summary) => {
    if (isNumber) return summary.number === Number(at);
    return (summary.origin === origins.main || summary.origin === origins.produced) && summary.receivedAtMs <= timeMs;
  });
  for (const summary of wanted.reverse()) {
    if (summary.fileLost === true) {
      onLost(summary.number);
      continue;
    }
    const snapshot = await openListedSnapshot(session, summary);
    if (snapshot.record.archives.some(({ name }) => name === app)) return snapshot;
  }
  throw new FallbackError(
    'NOT_FOUND',
    `No snapshot${at === undefined ? '' : ` of ${at}`} holds the app ${app}. Nothing was changed.`,
    {
      hint: 'fallback snapshots shows what there is; the name must be the app’s id.',
    },
  );
}

/** What a recovery is asked for; the rest is said by the version that it finds. */
type RecoveryRequest = Omit<ReplaceRequest, 'archive' | 'contentBytes' | 'domain' | 'isDataLeftOut' | 'safetyName'>;

/**
 * Begins a recovery, or goes on with the one that was interrupted while it replaced its app. One that changed nothing yet is
 * forgotten: it blocks no other.
 * @throws WRONG_STATE while another app is half replaced, and as replaceApp.
 */
export async function runRecovery(
  request: RecoveryRequest,
  at: string | undefined,
): Promise<RecoveryFacts & ReplaceOutcome> {
  const { journal, session, app, host } = request;
  const half = halfRecovery(journal);
  if (half?.app !== app) requireNoRecovery(journal, `recover ${app}`);
  const facts = half ?? (await begin(request, at));
  const snapshot = await snapshotByNumber(session, facts.snapshot);
  tell(host, `recovering ${app} from snapshot ${facts.snapshot}`);
  const { domain, contentBytes = 0, isDataLeftOut = true, safetyName } = facts;
  const archive = findArchive(snapshot, app);
  const version = { archive, contentBytes, domain, isDataLeftOut, safetyName };
  const outcome = await replaceApp({ ...request, ...version }).catch(async (error: unknown) => {
    if (halfRecovery(journal) === undefined) await journal.reset('idle', {}).catch(() => undefined);
    throw error;
  });
  await journal.reset('idle', {});
  return { ...facts, ...outcome };
}

/** `20261129T021012`: where the safety backup stays, the next recovery must not take its name. */
const stampOf = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');

/** Verifies the wanted version before anything else is done. */
async function begin({ journal, session, app, host }: RecoveryRequest, at: string | undefined): Promise<RecoveryFacts> {
  const snapshot = await findVersion(session, app, at, (number) =>
    warn(host, `The fallback server has lost the file of snapshot ${number}: an older one is taken.`),
  );
  tell(host, `verifying ${app} of snapshot ${snapshot.head.number}`);
  const proven = await proveStored(session, findArchive(snapshot, app), { signal: host.signal });
  const inside = proven.apps.find(({ id }) => id === app);
  if (inside === undefined) {
    throw new FallbackError(
      'ARCHIVE_UNREADABLE',
      `The archive ${app} holds no YunoHost app ${app}. Nothing was changed.`,
      {
        hint: 'Write it to a folder instead: fallback restore.',
      },
    );
  }
  await requireSavedData(host, inside);
  await requireRoomFor(host, proven);
  const left = journal.fact<RecoveryFacts>(recoveryFact);
  if (left !== undefined) await removePrepared(host, left.app);
  if (left?.safetyName !== undefined) await removePlaced(host.yunohost.paths, left.safetyName);
  const facts: RecoveryFacts = {
    app,
    snapshot: snapshot.head.number,
    domain: inside.domain,
    contentBytes: proven.contentBytes,
    isDataLeftOut: inside.isDataLeftOut,
    safetyName: placedName('safe', `${app}-${stampOf(host.nowMs())}`),
  };
  await journal.reset('recovering', { [recoveryFact]: facts });
  return facts;
}
