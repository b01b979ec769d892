// What `serve` does by itself: retention and scrub of every repository, one at a time.
import { isFallbackError } from '../errors/fallback-error.ts';
import type { RepositoryId } from '../format/ids.ts';
import type { MaintenanceTask } from '../server/maintenance.ts';
import { describeError, formatEvent, type LogLine } from '../server/request-log.ts';
import type { FolderRepository } from '../store/folder-repository.ts';
import type { Store } from '../store/store.ts';
import type { World } from './world.ts';

export interface MaintenanceTimes {
  readonly retentionEveryMs: number;
  readonly scrubEveryMs: number;
}

/** The scrub of a running server leaves the disk to the clients. */
const scrubBytesPerSecond = 50_000_000;
const hour = 3_600_000;

/** What is done for each repository by itself. */
interface Work {
  readonly name: string;
  readonly everyMs: number;
  /** What the audit notes of it when it is done. */
  readonly events: readonly string[];
  /** @returns what to log. */
  run(repository: FolderRepository, signal: AbortSignal): Promise<Record<string, unknown>>;
}

const retention: Omit<Work, 'everyMs'> = {
  name: 'retention',
  events: ['retention'],
  run: async (repository) => {
    const { applyRetention } = await import('../store/retention.ts');
    const { dropped, deletedSnapshots, deletedPacks, bytesFreed, paused } = await applyRetention(repository);
    const facts = { dropped: dropped.length, deleted: deletedSnapshots.length, packs: deletedPacks.size, bytesFreed };
    return { ...facts, paused: paused?.text };
  },
};

const scrub: Omit<Work, 'everyMs'> = {
  name: 'scrub',
  events: ['scrub', 'scrub found damage'],
  run: async (repository, signal) => {
    const { scrubRepository } = await import('../store/scrub.ts');
    const report = await scrubRepository(repository, { signal, bytesPerSecond: scrubBytesPerSecond });
    const facts = { objects: report.objectsChecked, bytes: report.bytesChecked, damage: report.damage.length };
    return { ...facts, finished: report.finishedAtMs !== undefined };
  },
};

/**
 * The repositories for which work is due: the audit says when it was last done, so that a server that restarts every night works no
 * more often, and what was broken off is due at once.
 */
async function dueIn(store: Store, { events, everyMs }: Work, nowMs: number): Promise<readonly RepositoryId[]> {
  const due: RepositoryId[] = [];
  for (const id of await store.repositoryIds()) {
    const last = await store.lastAudit(id, events);
    const sinceMs = last === undefined ? everyMs : nowMs - last;
    // A clock that went back must not put the work off for as long as it went back.
    if (sinceMs < 0 || sinceMs >= everyMs) due.push(id);
  }
  return due;
}

async function runDue(store: Store, world: World, log: LogLine, work: Work, signal: AbortSignal): Promise<void> {
  const due = await dueIn(store, work, world.nowMs());
  if (due.length === 0) return;
  let lock: { release(): void };
  try {
    lock = await store.lock('maintenance', `${work.name} by fallback serve`);
  } catch (error) {
    // A retention or scrub by hand comes first; this one comes again.
    if (isFallbackError(error, 'STORE_LOCKED')) return;
    throw error;
  }
  try {
    for (const id of due) {
      if (signal.aborted) return;
      // One that cannot be worked on must not keep the others from it.
      const facts = await store
        .repository(id)
        .then((repository) => work.run(repository, signal))
        .catch((error: unknown) => ({ error: describeError(error) }));
      log(formatEvent(world.nowMs(), work.name, { repository: id, ...facts }));
    }
  } finally {
    lock.release();
  }
}

/** The tasks for a server over `store`: each looks every hour whether something is due. */
export function maintenanceTasks(
  store: Store,
  world: World,
  log: LogLine,
  times: MaintenanceTimes,
): readonly MaintenanceTask[] {
  const taskOf = (work: Work): MaintenanceTask => ({
    name: work.name,
    everyMs: Math.min(work.everyMs, hour),
    run: (signal) => runDue(store, world, log, work, signal),
  });
  return [taskOf({ ...retention, everyMs: times.retentionEveryMs }), taskOf({ ...scrub, everyMs: times.scrubEveryMs })];
}
