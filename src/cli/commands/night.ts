// `fallback push` without archives: the whole YunoHost server, as its configuration says. What the timer runs.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { HttpRepository } from '../../sync/http/http-repository.ts';
import type { PushCounters } from '../../sync/push/push-counters.ts';
import type { Configuration } from '../../yunohost/configuration/schema.ts';
import type { NightContext, NightEvent } from '../../yunohost/night/night-context.ts';
import type { NightResult } from '../../yunohost/night/run-night.ts';
import type { Report } from '../../yunohost/report/report.ts';
import type { Invocation } from '../command-spec.ts';
import { asFallbackError } from '../error-report.ts';
import { type OpenedRepository, openForPush, openState } from '../open-repository.ts';
import { deliveryOf, hasConfiguration, openConfiguration, openYunohost, withConfiguration } from '../open-yunohost.ts';
import { type Progress, startProgress } from '../progress-line.ts';
import { stateFolder } from '../shared-options.ts';
import { scheduledOption } from './night-options.ts';

/** Nobody wants a mail for these: another run does the work, or a person ended this one. */
const silentCodes = new Set(['BUSY', 'INTERRUPTED']);

async function openMain(invocation: Invocation): Promise<Configuration> {
  if (!(await hasConfiguration(invocation))) {
    throw new FallbackError('USAGE', 'No archive was named, and this server has no configuration to push by.', {
      hint: 'Name files or folders: fallback push FILE … On a YunoHost server: fallback setup',
    });
  }
  const configuration = await openConfiguration(invocation);
  if (configuration.server.role === 'main') return configuration;
  throw new FallbackError('USAGE', 'This machine is a fallback server: it has nothing to push. Nothing was changed.', {
    hint: 'Type it on the main server; or name archives: fallback push FILE …',
  });
}

/** One line for a log, or the words of the progress line. */
function describeEvent(event: NightEvent): string | undefined {
  switch (event.step) {
    case 'cleaned': {
      const orphans = event.orphans > 0 ? `; ended ${event.orphans} YunoHost commands of that run` : '';
      return `removed what an earlier run left: ${event.paths.length} files and folders${orphans}`;
    }
    case 'failed':
      return `${event.name} could not be saved: ${event.reason}`;
    case 'again':
      return `${event.name} broke while it was read; going on without it`;
    default:
      return undefined;
  }
}

/** Tells what happens while it happens. */
class NightVoice {
  readonly #invocation: Invocation;
  readonly #progress: Progress;
  #doing = 'Looking at this server';

  constructor(invocation: Invocation, opened: OpenedRepository<HttpRepository>, counters: PushCounters) {
    this.#invocation = invocation;
    this.#progress = startProgress(invocation.world, invocation.output, () => ({
      what: this.#doing,
      done: counters.readBytes,
      total: undefined,
      part: `${counters.archivesDone} of ${counters.archivesTotal} archives`,
      sentBytes: opened.traffic?.().bodySentBytes,
    }));
  }

  readonly onEvent = (event: NightEvent): void => {
    if (event.step === 'making') this.#doing = `YunoHost collects ${event.name}`;
    if (event.step === 'pushing') this.#doing = `Pushing ${event.name}`;
    const line = describeEvent(event);
    if (line !== undefined) this.#invocation.output.note(`fallback: ${line}`);
  };

  stop(): void {
    this.#progress.stop();
  }
}

async function contextOf(
  invocation: Invocation,
  configuration: Configuration,
  opened: OpenedRepository<HttpRepository>,
  counters: PushCounters,
): Promise<Omit<NightContext, 'onEvent'>> {
  const { world, signal } = invocation;
  const state = await openState(invocation);
  const yunohost = await openYunohost(invocation, configuration);
  const { readAccountNames } = await import('../../yunohost/stream/account-names.ts');
  const { seen } = opened.session;
  if (seen === undefined) await state.forgetCaches();
  return {
    session: opened.session,
    yunohost,
    configuration,
    state,
    epoch: seen?.epoch ?? opened.session.status.epoch,
    counters,
    freeBytes: (path) => world.fs.freeBytes(path),
    accounts: () => readAccountNames(yunohost.paths),
    localMinute: () => {
      const now = new Date(world.nowMs());
      return now.getHours() * 60 + now.getMinutes();
    },
    monotonicMs: () => world.monotonicMs(),
    isScheduled: invocation.get(scheduledOption) !== undefined,
    signal,
  };
}

interface Night {
  readonly result: NightResult;
  readonly report: Report;
  readonly damaged: readonly number[];
}

async function pushNight(
  invocation: Invocation,
  configuration: Configuration,
  opened: OpenedRepository<HttpRepository>,
): Promise<Night> {
  const { world } = invocation;
  const [{ newPushCounters }, { runNight }, { reportOfNight }] = await Promise.all([
    import('../../sync/push/push-counters.ts'),
    import('../../yunohost/night/run-night.ts'),
    import('../../yunohost/report/night-report.ts'),
  ]);
  const counters = newPushCounters();
  const context = await contextOf(invocation, configuration, opened, counters);
  const voice = new NightVoice(invocation, opened, counters);
  let result: NightResult;
  try {
    result = await runNight({ ...context, onEvent: voice.onEvent });
  } finally {
    voice.stop();
  }
  const { snapshot, sha256 } = result.push;
  const state = await openState(invocation);
  const { repositoryId } = opened.session.repository;
  await state.saveSeenHead({ repositoryId, number: snapshot.number, sha256, epoch: context.epoch });
  const snapshots = await opened.session.repository.snapshots();
  const damaged = snapshots
    .filter(
      ({ packsDamaged, fileLost, deletedAfterMs }) =>
        deletedAfterMs === undefined && (fileLost === true || !packsDamaged.isEmpty),
    )
    .map(({ number }) => number);
  const report = reportOfNight(result, {
    hostName: world.hostName,
    place: opened.place,
    readBytes: counters.readBytes,
    newBytes: counters.newBytes,
    sentBytes: opened.traffic?.().wireSentBytes ?? 0,
    damagedSnapshots: damaged,
  });
  return { result, report, damaged };
}

async function deliver(invocation: Invocation, configuration: Configuration, report: Report): Promise<void> {
  const { deliverReport } = await import('../../yunohost/report/deliver-report.ts');
  const delivery = deliveryOf(invocation, configuration, stateFolder(invocation));
  for (const failure of await deliverReport(report, delivery)) invocation.output.warn(failure);
}

/** Does what a night needs; what fails is reported where the configuration says, then thrown. */
async function reported<Result>(
  invocation: Invocation,
  configuration: Configuration,
  work: () => Promise<Result>,
): Promise<Result> {
  const { world } = invocation;
  try {
    return await work();
  } catch (thrown) {
    const error = asFallbackError(thrown);
    if (!invocation.signal.aborted && !silentCodes.has(error.code)) {
      const { reportOfError } = await import('../../yunohost/report/report.ts');
      const report = reportOfError('push', error, { hostName: world.hostName, timeMs: world.nowMs() });
      await deliver(invocation, configuration, report);
    }
    throw thrown;
  }
}

/** Opens the repository and pushes. */
async function openAndPush(invocation: Invocation, configuration: Configuration): Promise<Night> {
  const { announceStart } = await import('../../yunohost/report/deliver-report.ts');
  for (const failure of await announceStart(configuration)) invocation.output.warn(failure);
  const { opened } = await openForPush(invocation);
  try {
    return await pushNight(invocation, configuration, opened);
  } finally {
    await opened.close();
  }
}

/** The timer comes once a night, at a time of its own: outside of push.window its push waits, before it holds anything. */
async function awaitWindow(invocation: Invocation, { push }: Configuration): Promise<void> {
  const { world, output, signal } = invocation;
  if (push.window === undefined || invocation.get(scheduledOption) === undefined) return;
  const { showWindow, untilOpenMs, waitForWindow } = await import('../../yunohost/night/time-window.ts');
  const timeOfDayMs = (): number => {
    const now = new Date(world.nowMs());
    return ((now.getHours() * 60 + now.getMinutes()) * 60 + now.getSeconds()) * 1000 + now.getMilliseconds();
  };
  if (untilOpenMs(push.window, timeOfDayMs()) > 0) {
    output.note(`fallback: waiting until push.window opens, ${showWindow(push.window)}`);
  }
  await waitForWindow(push.window, { timeOfDayMs, sleep: (ms, abort) => world.sleep(ms, abort), signal });
}

/** The push of a whole server. @returns the exit code. */
export async function pushServer(given: Invocation): Promise<number | undefined> {
  const configuration = await openMain(given);
  const invocation = withConfiguration(given, configuration);
  const { world, output } = invocation;
  await openYunohost(invocation, configuration);
  await reported(invocation, configuration, () => awaitWindow(invocation, configuration));
  const state = await openState(invocation);
  await state.load();
  const lock = await state.lock('push', () => world.nowMs());
  try {
    const { result, report, damaged } = await reported(invocation, configuration, () =>
      openAndPush(invocation, configuration),
    );
    await deliver(invocation, configuration, report);
    const { layReport } = await import('../../yunohost/report/report.ts');
    output.json({ sha256: result.push.sha256, ...report.facts, status: report.status });
    output.lines(layReport(report));
    if (damaged.includes(result.push.snapshot.number)) return 4;
    return result.exitCode === 0 ? undefined : result.exitCode;
  } finally {
    lock.release();
  }
}
