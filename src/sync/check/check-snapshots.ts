// Opens every snapshot: seal, chain, and the different archives that they hold.
import { createHash } from 'node:crypto';
import { ByteWriter } from '../../bytes/byte-writer.ts';
import { equalBytes, toHex } from '../../bytes/hex.ts';
import { openConfiguration } from '../../crypto/sealed-configuration.ts';
import { type FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import { decodeKeyDocument } from '../../format/key-document.ts';
import { PackRanges } from '../../format/pack-ranges.ts';
import { writeRecipe } from '../../format/recipe.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { RepositoryStatus, SnapshotSummary } from '../../store/repository-store.ts';
import { isDamage } from '../read/is-damage.ts';
import type { RepositorySession } from '../repository-session.ts';
import { type ListedSnapshot, openListedSnapshot, requireHead } from '../snapshots.ts';
import type { CheckCounters } from './check-report.ts';
import type { Findings } from './findings.ts';

/** One version of an archive, and the snapshots that hold it. */
export interface DistinctArchive {
  readonly archive: SnapshotArchive;
  readonly snapshots: number[];
  /** All packs that it needs; undefined until that is known, and when its recipe cannot be read. */
  needed: PackRanges | undefined;
}

/** What is kept of an opened snapshot. */
export interface CheckedSnapshot {
  readonly number: number;
  readonly packs: PackRanges;
  readonly archives: readonly DistinctArchive[];
}

/** All snapshots that open. */
export interface OpenedSnapshots {
  /** Numbers of all that were listed, the newest first, whether they open or not. */
  readonly listed: readonly number[];
  readonly snapshots: readonly CheckedSnapshot[];
  readonly archives: readonly DistinctArchive[];
  readonly archivesChecked: number;
  /** The packs that any of them names. */
  readonly packs: PackRanges;
}

function keyOf(archive: SnapshotArchive): string {
  const writer = new ByteWriter(1024).text(archive.name);
  writeRecipe(writer, archive.recipe);
  if (archive.catalogue !== undefined) writeRecipe(writer, archive.catalogue);
  return createHash('sha256').update(writer.finish()).digest('base64');
}

/** What the store lists, the newest first, and its status at that moment. */
export interface Listing {
  readonly status: RepositoryStatus;
  readonly summaries: readonly SnapshotSummary[];
}

const listingsMax = 3;

/** Lists the snapshots; again, when one was pushed between the two questions. @throws network errors. */
export async function listSnapshots({ repository }: RepositorySession): Promise<Listing> {
  for (let listings = 1; ; listings++) {
    const status = await repository.status();
    const summaries = [...(await repository.snapshots())].sort((a, b) => b.number - a.number);
    if (isNewest(status, summaries[0]) || listings === listingsMax) return { status, summaries };
  }
}

/** Opens all snapshots, the newest first, and checks the chain between them. @throws network errors. */
export async function checkSnapshots(
  session: RepositorySession,
  summaries: readonly SnapshotSummary[],
  findings: Findings,
  counters: CheckCounters,
): Promise<OpenedSnapshots> {
  const byNumber = new Map(summaries.map((summary) => [summary.number as number, summary]));
  counters.total = summaries.length;
  const distinct = new Map<string, DistinctArchive>();
  const snapshots: CheckedSnapshot[] = [];
  let archivesChecked = 0;
  for (const summary of summaries) {
    const opened = await attempt(
      () => openListedSnapshot(session, summary),
      (error) => findings.add(error.code, error.message, { snapshot: summary.number }),
    );
    counters.done++;
    if (opened === undefined) continue;
    checkChain(opened, byNumber, findings);
    const archives = opened.record.archives.map((archive) => {
      const key = keyOf(archive);
      const known = distinct.get(key) ?? { archive, snapshots: [], needed: undefined };
      distinct.set(key, known);
      known.snapshots.push(summary.number);
      return known;
    });
    archivesChecked += archives.length;
    snapshots.push({ number: summary.number, packs: opened.head.packs, archives });
  }
  const packs = PackRanges.from(snapshots.flatMap((snapshot) => snapshot.packs.ranges));
  const listed = summaries.map(({ number }) => number);
  return { listed, snapshots, archives: [...distinct.values()], archivesChecked, packs };
}

/** A snapshot must chain to the one before, as long as retention has kept that. */
function checkChain(
  { head }: ListedSnapshot,
  byNumber: ReadonlyMap<number, SnapshotSummary>,
  findings: Findings,
): void {
  const expected = head.number === 1 ? new Uint8Array(32) : byNumber.get(head.number - 1)?.sha256;
  if (expected === undefined || equalBytes(expected, head.previousSha256)) return;
  const message = `Snapshot ${head.number} does not follow the snapshot ${head.number - 1} that is there.`;
  findings.add('TRUST_FORK', message, { snapshot: head.number });
}

function isNewest({ head }: RepositoryStatus, newest: SnapshotSummary | undefined): boolean {
  if (head === undefined || newest === undefined) return head === newest;
  return head.number === newest.number && equalBytes(head.sha256, newest.sha256);
}

/** The list must end in the head that the store told with it, and not before the one that the session has checked. */
export function checkHead(
  session: RepositorySession,
  status: RepositoryStatus,
  summaries: readonly SnapshotSummary[],
  findings: Findings,
): void {
  const { head } = status;
  const newest = summaries[0];
  try {
    requireHead(session.status, newest);
  } catch (error) {
    if (!isFallbackError(error)) throw error;
    findings.add(error.code, error.message);
    return;
  }
  if (isNewest(status, newest)) return;
  const said = head === undefined ? 'no snapshot' : `snapshot ${head.number} (${toHex(head.sha256).slice(0, 12)})`;
  findings.add('TRUST_FORK', `The store says that ${said} is the newest, but lists ${newest?.number ?? 'none'}.`);
}

/** Opens the configuration and reads the key documents. @throws network errors. */
export async function checkConfiguration(session: RepositorySession, findings: Findings): Promise<void> {
  const { repository, keys } = session;
  await attempt(
    async () => openConfiguration(keys, await repository.configuration()),
    (error) => findings.add(error.code, `The repository’s configuration is damaged. ${error.message}`),
  );
  const numbers = await repository.keyDocumentNumbers();
  if (numbers.length === 0) {
    // Nobody else would notice before the day when the main server is gone, and its secret with it.
    const text =
      'The store shows no key document: neither the passphrase nor the recovery sheet would open the repository, only this machine’s own secret does.';
    findings.add('DAMAGED', `${text} On the fallback server fallback scrub brings it back, where a copy is left.`);
  }
  for (const number of numbers) {
    const note = (code: FallbackError['code'], message: string): void =>
      findings.add(code, `Key document ${number} is damaged. ${message}`);
    await attempt(
      async () => {
        const document = decodeKeyDocument(await repository.keyDocument(number));
        if (document.repositoryId !== repository.repositoryId || document.number !== number) {
          note('SEAL_BROKEN', 'It is another one.');
        }
      },
      (error) => note(error.code, error.message),
    );
  }
}

/** Runs something; damage is noted, and gives undefined. */
export async function attempt<Result>(
  work: () => Promise<Result>,
  onDamage: (error: FallbackError) => void,
): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!isDamage(error)) throw error;
    onDamage(error);
    return undefined;
  }
}
