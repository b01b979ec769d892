// check: proves that every snapshot is complete, and, as far as asked, that it can be rebuilt. Damage never ends it half way:
// all of it is gathered in the report.
import { PackRanges } from '../../format/pack-ranges.ts';
import { PackReader } from '../read/pack-reader.ts';
import type { RepositorySession } from '../repository-session.ts';
import { findAffected } from './affected-archives.ts';
import { checkArchives } from './check-archives.ts';
import { readPacks, rebuildArchives, samplePacks } from './check-data.ts';
import type { CheckCounters, CheckReport } from './check-report.ts';
import {
  checkConfiguration,
  checkHead,
  checkSnapshots,
  listSnapshots,
  type OpenedSnapshots,
} from './check-snapshots.ts';
import { Findings } from './findings.ts';
import { readPackFacts } from './pack-facts.ts';

const cacheBytes = 64 * 1024 * 1024;

export interface CheckOptions {
  readonly session: RepositorySession;
  /** How many of all packs are fetched and opened, in percent: 0 (none) to 100 (all, and the newest snapshot is rebuilt). */
  readonly readDataPercent: number;
  readonly counters: CheckCounters;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Checks a repository.
 * @returns a report; its problems are the damage.
 * @throws network errors and the signal's reason only.
 */
export async function checkRepository(options: CheckOptions): Promise<CheckReport> {
  const { session, counters, signal, readDataPercent } = options;
  const findings = new Findings(counters);
  const packs = new PackReader(session, cacheBytes, findings);
  await checkConfiguration(session, findings);
  const { status, summaries } = await listSnapshots(session);
  checkHead(session, status, summaries, findings);
  const opened = await checkSnapshots(session, summaries, findings, counters);
  const facts = await readPackFacts(session, status, opened.packs, findings, counters);
  const surplus = await checkArchives(opened, packs, facts, findings, counters, signal);
  let rebuilt = { archives: 0, bytes: 0 };
  if (readDataPercent > 0) {
    // Of packs that no snapshot needs yet, those whose directories came: a server may claim any number of them.
    const packNumbers = opened.packs.union(PackRanges.fromNumbers(facts.listed));
    const numbers = samplePacks(packNumbers, readDataPercent, session.environment.randomBytes);
    Object.assign(counters, { step: 'data', done: 0, total: numbers.length });
    const newest = opened.snapshots[0];
    if (readDataPercent >= 100 && newest !== undefined) {
      rebuilt = await rebuildArchives(packs, newest, findings, counters, signal);
    }
    await readPacks(session, numbers, findings, counters, signal);
  }
  await forgetDeleted(session, opened, findings);
  if (findings.hasDamagedPacks) await findAffected(opened.archives, packs, facts, findings, counters);
  return {
    snapshotsChecked: opened.snapshots.length,
    archivesChecked: opened.archivesChecked,
    archivesDistinct: opened.archives.length,
    packsListed: facts.size,
    packsRead: findings.packsRead.size,
    packBytesRead: findings.packBytesRead,
    archivesRebuilt: rebuilt.archives,
    rebuiltBytes: rebuilt.bytes,
    problems: findings.problems(),
    surplus,
    packsUnusable: PackRanges.fromNumbers(findings.unreadablePacks()).intersect(status.present),
    packsSound: PackRanges.fromNumbers(findings.packsRead),
  };
}

/**
 * Retention goes on meanwhile: what only snapshots needed that it deleted since they were listed is not missed. It never deletes the
 * newest: were that one left out, a store could take back whatever is found.
 */
async function forgetDeleted(
  { repository }: RepositorySession,
  opened: OpenedSnapshots,
  findings: Findings,
): Promise<void> {
  if (findings.isEmpty) return;
  const newest = opened.listed[0];
  const listed = new Set<number>((await repository.snapshots()).map(({ number }) => number));
  if (newest !== undefined) listed.add(newest);
  const still = opened.snapshots.filter(({ number }) => listed.has(number));
  const needed = PackRanges.from(still.flatMap(({ packs }) => packs.ranges));
  findings.forget(
    (pack) => needed.has(pack),
    (snapshot) => listed.has(snapshot),
  );
}
