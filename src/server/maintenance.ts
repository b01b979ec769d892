// Work that the server does for itself now and then (retention, scrub): one piece at a time, never two at once.
import { describeError, formatEvent, type LogLine } from './request-log.ts';

/** A piece of work, wired in by the command. */
export interface MaintenanceTask {
  readonly name: string;
  /** Time from the end of one run to the start of the next, and from the server's start to the first. */
  readonly everyMs: number;
  /** @param signal aborts when the server stops: the work then ends at its next step. */
  run(signal: AbortSignal): Promise<void>;
}

export interface Maintenance {
  /** Aborts what runs, and waits for its end. */
  stop(): Promise<void>;
}

/** Starts the tasks' timers. A task that throws is logged, and runs again at its next time. */
export function startMaintenance(tasks: readonly MaintenanceTask[], log: LogLine, nowMs: () => number): Maintenance {
  const abort = new AbortController();
  const timers = new Set<NodeJS.Timeout>();
  let last: Promise<void> = Promise.resolve();

  const runOne = async (task: MaintenanceTask): Promise<void> => {
    if (abort.signal.aborted) return;
    try {
      await task.run(abort.signal);
      log(formatEvent(nowMs(), 'maintenance', { task: task.name }));
    } catch (error) {
      log(formatEvent(nowMs(), 'maintenance', { task: task.name, error: describeError(error) }));
    }
  };
  const schedule = (task: MaintenanceTask): void => {
    if (abort.signal.aborted) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      last = last.then(() => runOne(task)).then(() => schedule(task));
    }, task.everyMs);
    timer.unref();
    timers.add(timer);
  };
  for (const task of tasks) schedule(task);
  return {
    stop: async () => {
      abort.abort();
      for (const timer of timers) clearTimeout(timer);
      await last;
    },
  };
}
