// fallback snapshots: what there is to restore.
import { toHex } from '../../bytes/hex.ts';
import { isFallbackError } from '../../errors/fallback-error.ts';
import type { SnapshotSummary } from '../../store/repository-store.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import type { SnapshotCache } from '../../sync/snapshot-cache.ts';
import type { ListedSnapshot } from '../../sync/snapshots.ts';
import type { CommandBody, Invocation } from '../command-spec.ts';
import { type OpenedRepository, withRepository } from '../open-repository.ts';
import { jsonOption, readingOptions } from '../shared-options.ts';
import { showAge, showBytes, showText, showTime } from '../show.ts';
import { layTable } from '../table.ts';

const opensAtOnce = 4;

/** A snapshot as it is listed; `opened` is missing when its file is damaged. */
interface Row {
  readonly summary: SnapshotSummary;
  readonly opened: ListedSnapshot | undefined;
}

async function openOne(session: RepositorySession, summary: SnapshotSummary, cache?: SnapshotCache): Promise<Row> {
  const { openListedSnapshot } = await import('../../sync/snapshots.ts');
  if (summary.fileLost === true) return { summary, opened: undefined };
  try {
    return { summary, opened: await openListedSnapshot(session, summary, cache) };
  } catch (error) {
    const isDamage = isFallbackError(error) && (error.exitCode === 4 || error.code === 'NOT_FOUND');
    if (!isDamage) throw error;
    return { summary, opened: undefined };
  }
}

/** What this machine has seen of a store is kept, so that only new snapshots are fetched. `fallback check` reads them all. */
async function openCache({ world }: Invocation, { state }: OpenedRepository): Promise<SnapshotCache | undefined> {
  if (state === undefined) return undefined;
  const { SnapshotCache } = await import('../../sync/snapshot-cache.ts');
  return await SnapshotCache.open(world.fs, state.snapshotsPath);
}

async function readRows(invocation: Invocation, opened: OpenedRepository): Promise<Row[]> {
  const { session } = opened;
  const summaries = await session.repository.snapshots();
  const cache = await openCache(invocation, opened);
  const rows: Row[] = [];
  for (let at = 0; at < summaries.length; at += opensAtOnce) {
    const some = summaries.slice(at, at + opensAtOnce);
    rows.push(...(await Promise.all(some.map((summary) => openOne(session, summary, cache)))));
  }
  await cache?.save(summaries, toHex(invocation.world.randomBytes(8)));
  return rows;
}

const lengthOf = ({ record }: ListedSnapshot): number =>
  record.archives.reduce((sum, { recipe }) => sum + recipe.lengthBytes, 0);

/** Whether it cannot be restored whole. */
const isDamaged = ({ summary, opened }: Row): boolean => opened === undefined || !summary.packsDamaged.isEmpty;

/** What must not be overlooked. */
export function describeState(row: Row, nowMs: number): string {
  const { summary, opened } = row;
  const words: string[] = [];
  if (opened === undefined) words.push('LOST');
  else if (isDamaged(row)) words.push('DAMAGED');
  if (!summary.complete) words.push('partial');
  const odd = opened?.record.archives.filter(({ status }) => status !== 'saved') ?? [];
  for (const { name, status } of odd) words.push(`${showText(name)} ${status}`);
  if (summary.pinned) words.push('pinned');
  if (summary.deletedAfterMs !== undefined) {
    words.push(
      `dropped, deleted ${summary.deletedAfterMs > nowMs ? 'after' : 'soon, since'} ${showTime(summary.deletedAfterMs)}`,
    );
  }
  return words.length === 0 ? 'complete' : words.join(', ');
}

function encodeRow(row: Row): object {
  const { summary, opened } = row;
  const { packsDamaged, fileLost, ...rest } = summary;
  return {
    ...rest,
    damaged: isDamaged(row),
    packsDamaged: packsDamaged.toText(),
    fileLost: fileLost === true || opened === undefined,
    createdAtMs: opened?.record.createdAtMs,
    hostName: opened?.record.hostName,
    programVersion: opened?.record.programVersion,
    bytes: opened === undefined ? undefined : lengthOf(opened),
    archives: opened?.record.archives.map(({ name, status, savedAtMs, recipe }) => ({
      name,
      status,
      savedAtMs,
      bytes: recipe.lengthBytes,
      sha256: recipe.sha256,
    })),
  };
}

function show({ output }: Invocation, rows: readonly Row[], nowMs: number): void {
  if (rows.length === 0) {
    output.line('The repository has no snapshot yet. On the main server: fallback push FILE…');
    return;
  }
  const hasOrigins = new Set(rows.map(({ summary }) => summary.origin)).size > 1;
  const columns = [
    { title: 'SNAPSHOT', right: true },
    { title: 'RECEIVED' },
    { title: 'AGE', right: true },
    ...(hasOrigins ? [{ title: 'ORIGIN' }] : []),
    { title: 'ARCHIVES', right: true },
    { title: 'SIZE', right: true },
    { title: 'STATE' },
  ];
  const cells = rows.map((row) => {
    const { summary, opened } = row;
    return [
      String(summary.number),
      showTime(summary.receivedAtMs),
      showAge(summary.receivedAtMs, nowMs),
      ...(hasOrigins ? [summary.origin] : []),
      opened === undefined ? '?' : String(opened.record.archives.length),
      opened === undefined ? '?' : showBytes(lengthOf(opened)),
      describeState(row, nowMs),
    ];
  });
  output.lines(layTable(columns, cells));
}

async function run(invocation: Invocation): Promise<number | undefined> {
  return await withRepository(invocation, async (opened) => {
    const { session } = opened;
    const rows = await readRows(invocation, opened);
    for (const row of rows) invocation.output.json(encodeRow(row));
    show(invocation, rows, session.status.serverTimeMs);
    const damaged = rows.filter((row) => isDamaged(row) && row.summary.deletedAfterMs === undefined);
    if (damaged.length === 0) return undefined;
    invocation.output.warn(
      `${damaged.length === 1 ? 'Snapshot' : 'Snapshots'} ${damaged.map(({ summary }) => summary.number).join(', ')} cannot be restored whole. ` +
        'The next push heals what its archives still contain; fallback check tells what is missing.',
    );
    return 4;
  });
}

export const snapshotsCommand: CommandBody = {
  description: [
    'Exits with 4 when a snapshot is known to be damaged. Snapshots that were listed before are not fetched again: `fallback check` reads them all.',
  ],
  options: [...readingOptions, jsonOption],
  examples: [
    ['fallback snapshots', 'this machine’s repository'],
    ['fallback snapshots --dir /srv/fallback --repository main.example.org', 'a store’s folder, without its server'],
  ],
  json: [
    'A line for each snapshot, oldest first: `number`, `sha256`, `receivedAtMs`, `epoch`, `origin`, `complete`, `fileBytes`, `pinned`, ' +
      '`deletedAfterMs` (once dropped), `damaged`, `packsDamaged`, `fileLost`; and unless its file is lost `createdAtMs`, `hostName`, ' +
      '`programVersion`, `bytes`, `archives` (each `name`, `status`, `savedAtMs`, `bytes`, `sha256`).',
  ],
  run,
};
