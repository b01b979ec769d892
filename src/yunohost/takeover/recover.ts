// `fallback recover APP`: one app back as it was at a date, on either machine.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { RepositoryReader } from '../../store/repository-store.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { findArchive, type ListedSnapshot, openListedSnapshot } from '../../sync/snapshots.ts';
import { origins, snapshotByNumber } from './choose-snapshot.ts';
import { requireRoomFor } from './placed-archive.ts';
import { type ReplaceOutcome, type ReplaceRequest, replaceApp } from './replace-app.ts';
import { proveStored } from './stored-archive.ts';
import { tell } from './takeover-host.ts';

/** Which version of an app is meant; JSON. */
export interface RecoveryFacts {
  readonly app: string;
  readonly snapshot: number;
  readonly domain: string | undefined;
  /** Of what the version unpacks to, in bytes; absent in journals of older versions. */
  readonly contentBytes?: number;
}

const journalFact = 'recovery';

/** The newest snapshot with this app, of the given time or before. @param at a snapshot's number, a date, or undefined. @throws NOT_FOUND, USAGE. */
export async function findVersion(
  session: RepositorySession<RepositoryReader>,
  app: string,
  at: string | undefined,
): Promise<ListedSnapshot> {
  const isNumber = at !== undefined && /^\d+$/.test(at);
  const isDay = at !== undefined && /^\d{4}-\d\d-\d\d$/.test(at);
  const timeMs =
    at === undefined || isNumber ? Number.POSITIVE_INFINITY : Date.parse(isDay ? `${at}T23:59:59.999` : at);
  if (Number.isNaN(timeMs)) {
    throw new FallbackError(
      'USAGE',
      `${JSON.stringify(at)} is neither a date nor a snapshot’s number. Nothing was changed.`,
      {
        hint: 'Such as --at 2026-11-22, --at "2026-11-22 03:00" or --at 17.',
      },
    );
  }
  const summaries = await session.repository.snapshots();
  const wanted = summaries.filter((summary) => {
    if (summary.fileLost === true) return false;
    if (isNumber) return summary.number === Number(at);
    return (summary.origin === origins.main || summary.origin === origins.produced) && summary.receivedAtMs <= timeMs;
  });
  for (const summary of wanted.reverse()) {
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

/** Begins a recovery, or goes on with the one that was interrupted. @throws WRONG_STATE when another one is open. */
export async function runRecovery(
  request: Omit<ReplaceRequest, 'archive' | 'contentBytes' | 'domain'>,
  at: string | undefined,
): Promise<RecoveryFacts & ReplaceOutcome> {
  const { journal, session, app, host } = request;
  const open = journal.fact<RecoveryFacts>(journalFact);
  if (journal.state === 'recovering' && open !== undefined && open.app !== app) {
    throw new FallbackError(
      'WRONG_STATE',
      `The recovery of ${open.app} was interrupted and is not finished. Nothing was changed.`,
      {
        hint: `Finish it first: fallback recover ${open.app}.`,
      },
    );
  }
  const facts = journal.state === 'recovering' && open !== undefined ? open : await begin(request, at);
  const snapshot = await snapshotByNumber(session, facts.snapshot);
  tell(host, `recovering ${app} from snapshot ${facts.snapshot}`);
  const { domain, contentBytes = 0 } = facts;
  const outcome = await replaceApp({ ...request, archive: findArchive(snapshot, app), contentBytes, domain });
  await journal.reset('idle', {});
  return { ...facts, ...outcome };
}

/** Verifies the wanted version before anything else is done. */
async function begin(
  { journal, session, app, host }: Omit<ReplaceRequest, 'archive' | 'contentBytes' | 'domain'>,
  at: string | undefined,
): Promise<RecoveryFacts> {
  const snapshot = await findVersion(session, app, at);
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
  await requireRoomFor(host, proven);
  const facts: RecoveryFacts = {
    app,
    snapshot: snapshot.head.number,
    domain: inside.domain,
    contentBytes: proven.contentBytes,
  };
  await journal.reset('recovering', { [journalFact]: facts });
  return facts;
}
