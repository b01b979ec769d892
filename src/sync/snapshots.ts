// Finding snapshots: by number, by `latest`, by date; opened and checked.

import { equalBytes } from '../bytes/hex.ts';
import { type OpenedSnapshot, openSnapshot } from '../crypto/sealed-snapshot.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import type { SnapshotArchive } from '../format/snapshot.ts';
import type { RepositoryStatus, SnapshotSummary } from '../store/repository-store.ts';
import { parseMoment } from './moment.ts';
import type { RepositorySession } from './repository-session.ts';
import type { SnapshotCache } from './snapshot-cache.ts';

/** A snapshot as the store tells of it, and as its seal holds it. */
export interface ListedSnapshot extends OpenedSnapshot {
  readonly summary: SnapshotSummary;
}

/**
 * Opens one snapshot.
 * @param cache where there is no need to know that the store still has the file.
 * @throws SEAL_BROKEN when it is not what the store announced.
 */
export async function openListedSnapshot(
  session: RepositorySession,
  summary: SnapshotSummary,
  cache?: SnapshotCache,
): Promise<ListedSnapshot> {
  const kept = cache?.find(summary);
  const file = kept ?? (await session.repository.snapshot(summary.number));
  const opened = openSnapshot(session.keys, file, summary.number);
  const { epoch, origin, complete } = opened.head;
  const isAsTold = epoch === summary.epoch && origin === summary.origin && complete === summary.complete;
  if (!isAsTold || !equalBytes(opened.sha256, summary.sha256)) {
    throw new FallbackError('SEAL_BROKEN', `Snapshot ${summary.number} is not the one that the store announced.`);
  }
  if (kept === undefined) cache?.add(file);
  return { ...opened, summary };
}

/**
 * Finds the snapshot that an admin names: `latest`, its number, or a date (`2026-11-22`, `2026-11-22 03:00`: the newest not after it).
 * @throws NOT_FOUND, and but for a number TRUST_ROLLBACK when the list ends before the head that the session has checked.
 */
export async function findSnapshot(session: RepositorySession, name: string): Promise<ListedSnapshot> {
  const summaries = await session.repository.snapshots();
  if (!/^\d+$/.test(name)) requireHead(session.status, summaries.at(-1));
  const found = pickSnapshot(summaries, name);
  if (found === undefined) {
    throw new FallbackError('NOT_FOUND', `There is no snapshot ${JSON.stringify(name)}.`, {
      hint: hintFor(summaries, name),
    });
  }
  return await openListedSnapshot(session, found);
}

/** The head was checked against what this machine has seen; the list is another answer. @throws TRUST_ROLLBACK. */
export function requireHead({ head }: RepositoryStatus, newest: SnapshotSummary | undefined): void {
  if (head === undefined || (newest !== undefined && newest.number > head.number)) return;
  if (newest?.number === head.number && equalBytes(newest.sha256, head.sha256)) return;
  const listed = newest === undefined ? 'no snapshot' : `snapshot ${newest.number} as the newest`;
  throw new FallbackError('TRUST_ROLLBACK', `The store’s newest snapshot is ${head.number}, but it lists ${listed}.`, {
    hint: 'If the fallback server has lost it (fallback scrub there tells), restore an older one by its number. Else ask who changed the store.',
  });
}

function hintFor(summaries: readonly SnapshotSummary[], name: string): string {
  const [first, last] = [summaries.at(0), summaries.at(-1)];
  if (first === undefined || last === undefined) return 'The repository has no snapshot yet.';
  if (/^\d+$/.test(name)) return `It has snapshots up to ${last.number}; see fallback snapshots.`;
  if (parseMoment(name) === undefined)
    return 'Give its number, `latest`, or a date such as 2026-11-22 or "2026-11-22 03:00".';
  return `The oldest that is kept, snapshot ${first.number}, came later; see fallback snapshots.`;
}

function pickSnapshot(summaries: readonly SnapshotSummary[], name: string): SnapshotSummary | undefined {
  if (name === 'latest') return summaries.at(-1);
  if (/^\d+$/.test(name)) return summaries.find((summary) => summary.number === Number(name));
  const timeMs = parseMoment(name);
  if (timeMs === undefined) return undefined;
  return summaries.findLast((summary) => summary.receivedAtMs <= timeMs);
}

/** An archive of a snapshot by name. @throws NOT_FOUND, naming those that it has. */
export function findArchive(snapshot: ListedSnapshot, name: string): SnapshotArchive {
  const found = snapshot.record.archives.find((archive) => archive.name === name);
  if (found !== undefined) return found;
  const names = snapshot.record.archives.map((archive) => archive.name).join(', ');
  throw new FallbackError('NOT_FOUND', `Snapshot ${snapshot.head.number} has no archive ${JSON.stringify(name)}.`, {
    hint: `It has: ${names}.`,
  });
}
