// What `serve` does by itself: retention and scrub of every repository, one at a time.
import { isFallbackError } from '../errors/fallback-error.ts';
import type { MaintenanceTask } from '../server/maintenance.ts';
import { formatEvent, type LogLine } from '../server/request-log.ts';
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
const auditEntries = 1_000;

async function forAll(
  store: Store,
  purpose: string,
  signal: AbortSignal,
  work: (repository: FolderRepository) => Promise<void>,
): Promise<void> {
  // A retention or scrub by hand comes first; this one comes again.
  const lock = await store.lock('maintenance', purpose);
  try {
    for (const id of await store.repositoryIds()) {
      if (signal.aborted) return;
      await work(await store.repository(id));
    }
  } finally {
    lock.release();
  }
}

/** Looks every hour, and works when the last time, by the store's audit, is long enough ago: a server that restarts every night works no more often. */
function whenDue(
  store: Store,
  names: readonly string[],
  everyMs: number,
  nowMs: () => number,
  work: (signal: AbortSignal) => Promise<void>,
): Omit<MaintenanceTask, 'name'> {
  return {
    everyMs: Math.min(everyMs, hour),
    run: async (signal) => {
      const last = (await store.audit(auditEntries)).find(({ event }) => names.includes(event));
      const sinceMs = last === undefined ? everyMs : nowMs() - last.atMs;
      // A clock that went back must not put the work off for as long as it went back.
      if (sinceMs >= 0 && sinceMs < everyMs) return;
      await work(signal);
    },
  };
}

/** The tasks for a server over `store`. */
export function maintenanceTasks(
  store: Store,
  world: World,
  log: LogLine,
  times: MaintenanceTimes,
): readonly MaintenanceTask[] {
  const tell = (event: string, facts: Record<string, unknown>): void => log(formatEvent(world.nowMs(), event, facts));
  const nowMs = (): number => world.nowMs();
  const unlessBusy = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!isFallbackError(error, 'STORE_LOCKED')) throw error;
    }
  };
  const retention = (signal: AbortSignal): Promise<void> =>
    unlessBusy(() =>
      forAll(store, 'retention by fallback serve', signal, async (repository) => {
        const { applyRetention } = await import('../store/retention.ts');
        const { dropped, deletedSnapshots, deletedPacks, bytesFreed, paused } = await applyRetention(repository);
        const facts = {
          dropped: dropped.length,
          deleted: deletedSnapshots.length,
          packs: deletedPacks.size,
          bytesFreed,
        };
        tell('retention', { repository: repository.repositoryId, ...facts, paused: paused?.text });
      }),
    );
  const scrub = (signal: AbortSignal): Promise<void> =>
    unlessBusy(() =>
      forAll(store, 'scrub by fallback serve', signal, async (repository) => {
        const { scrubRepository } = await import('../store/scrub.ts');
        const report = await scrubRepository(repository, { signal, bytesPerSecond: scrubBytesPerSecond });
        const facts = { objects: report.objectsChecked, bytes: report.bytesChecked, damage: report.damage.length };
        tell('scrub', { repository: repository.repositoryId, ...facts, finished: report.finishedAtMs !== undefined });
      }),
    );
  return [
    { name: 'retention', ...whenDue(store, ['retention'], times.retentionEveryMs, nowMs, retention) },
    { name: 'scrub', ...whenDue(store, ['scrub', 'scrub found damage'], times.scrubEveryMs, nowMs, scrub) },
  ];
}
