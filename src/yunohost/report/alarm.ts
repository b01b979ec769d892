// The fallback server's own alarm: silence is an error. A mail when no complete snapshot came in time, one for each incident,
// and one when it is over.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import type { RepositoryStatus } from '../../store/repository-store.ts';
import { isObject } from '../command/shape.ts';
import { type Delivery, deliverReport } from './deliver-report.ts';
import { type Report, showMoment, showSpan } from './report.ts';

/** What the store says of one repository. */
export type WatchedRepository = Pick<
  RepositoryStatus,
  'repositoryId' | 'name' | 'lastCompleteAtMs' | 'serverTimeMs' | 'epoch' | 'lost'
>;

/** Repositories under alarm by id, and since when. */
export type AlarmState = Readonly<Record<string, number>>;

const stateFile = 'alarm.json';

export interface AlarmDecision {
  readonly reports: readonly Report[];
  readonly state: AlarmState;
}

function lateReport(one: WatchedRepository, maxAgeMs: number, hostName: string): Report {
  const { name, lastCompleteAtMs, serverTimeMs } = one;
  const age = lastCompleteAtMs === undefined ? undefined : serverTimeMs - lastCompleteAtMs;
  return {
    status: 'failed',
    subject: 'alarm',
    headline: `ALARM: no complete backup of ${name} for ${age === undefined ? 'ever' : showSpan(age)}`,
    lines: [
      lastCompleteAtMs === undefined
        ? `${hostName} has never received a complete snapshot of ${name}.`
        : `The last complete snapshot of ${name} came ${showMoment(lastCompleteAtMs)}, ${showSpan(age ?? 0)} ago; the limit is ${showSpan(maxAgeMs)}.`,
      `What is there is safe on ${hostName}; it gets older.`,
    ],
    nextStep: 'on the main server: systemctl status fallback-push, and: fallback push',
    facts: { repository: name, lastCompleteAtMs, maxAgeMs },
    hostName,
    timeMs: serverTimeMs,
  };
}

function overReport(one: WatchedRepository, sinceMs: number, hostName: string): Report {
  return {
    status: 'ok',
    subject: 'alarm',
    headline: `OK again: a complete backup of ${one.name} has come`,
    lines: [
      `It came ${showMoment(one.lastCompleteAtMs ?? one.serverTimeMs)}. The alarm was raised ${showMoment(sinceMs)}.`,
    ],
    facts: { repository: one.name, lastCompleteAtMs: one.lastCompleteAtMs, sinceMs },
    hostName,
    timeMs: one.serverTimeMs,
  };
}

/**
 * Decides which mails are due. A repository without any snapshot counts from the time when the alarm first saw it.
 * @param seen when each repository was first looked at, in milliseconds since 1970.
 */
export function decideAlarms(
  repositories: readonly WatchedRepository[],
  before: AlarmState,
  seen: AlarmState,
  maxAgeMs: number,
  hostName: string,
): AlarmDecision {
  const reports: Report[] = [];
  const state: Record<string, number> = {};
  for (const one of repositories) {
    const id = one.repositoryId;
    const sinceMs = before[id];
    const fromMs = one.lastCompleteAtMs ?? seen[id] ?? one.serverTimeMs;
    const isLate = one.serverTimeMs - fromMs > maxAgeMs;
    if (isLate) state[id] = sinceMs ?? one.serverTimeMs;
    if (isLate && sinceMs === undefined) reports.push(lateReport(one, maxAgeMs, hostName));
    if (!isLate && sinceMs !== undefined) reports.push(overReport(one, sinceMs, hostName));
  }
  return { reports, state };
}

const numbersOf = (value: unknown): AlarmState =>
  Object.fromEntries(
    Object.entries(isObject(value) ? value : {}).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number',
    ),
  );

async function readState(folder: string): Promise<{ raised: AlarmState; seen: AlarmState }> {
  try {
    const json: unknown = JSON.parse(await readFile(join(folder, stateFile), 'utf8'));
    const state = isObject(json) ? json : {};
    return { raised: numbersOf(state['raised']), seen: numbersOf(state['seen']) };
  } catch (error) {
    // A damaged note costs a second mail, never the alarm.
    if (systemErrorCode(error) === 'ENOENT' || error instanceof SyntaxError) return { raised: {}, seen: {} };
    throw error;
  }
}

export interface AlarmResult {
  readonly reports: readonly Report[];
  /** Ids of all repositories whose backup is late now. */
  readonly late: readonly string[];
  /** What could not be delivered, in sentences. */
  readonly undelivered: readonly string[];
}

/** Looks at all repositories of a store, and sends what is due. An alarm whose mail was not taken is raised again the next time. */
export async function raiseAlarms(
  repositories: readonly WatchedRepository[],
  delivery: Delivery,
  hostName: string,
): Promise<AlarmResult> {
  const { raised, seen } = await readState(delivery.stateFolder);
  const seenNow = Object.fromEntries(
    repositories.map((one) => [one.repositoryId, seen[one.repositoryId] ?? one.serverTimeMs]),
  );
  const { maxAge } = delivery.configuration.alarm;
  const { reports, state } = decideAlarms(repositories, raised, seenNow, maxAge, hostName);
  const undelivered: string[] = [];
  const kept: Record<string, number> = { ...state };
  for (const report of reports) {
    // An alarm and its end are always worth a mail, unless mails are off altogether.
    const { configuration } = delivery;
    const mode = configuration.report.mail === 'never' ? 'never' : 'always';
    const failed = await deliverReport(report, {
      ...delivery,
      configuration: { ...configuration, report: { ...configuration.report, mail: mode } },
    });
    undelivered.push(...failed);
    const id = repositories.find(({ name }) => name === report.facts['repository'])?.repositoryId;
    if (failed.length === 0 || id === undefined) continue;
    if (report.status === 'ok') kept[id] = raised[id] ?? report.timeMs;
    else delete kept[id];
  }
  const text = Buffer.from(`${JSON.stringify({ raised: kept, seen: seenNow })}\n`);
  await replaceFile(
    delivery.fs,
    join(delivery.stateFolder, stateFile),
    text,
    delivery.stateFolder,
    delivery.randomHex(),
  );
  return { reports, late: Object.keys(state), undelivered };
}
