// A night of the main server, as a list of steps: window, clean, previous, coverage, facts, archives.
import { FallbackError } from '../../errors/fallback-error.ts';
import { parseOrigin } from '../../format/ids.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { PushResult } from '../../sync/push/push.ts';
import { type Coverage, readCoverage } from '../coverage.ts';
import { removeOldMeetings } from '../stream/push-hook.ts';
import { cleanLeftovers, endOrphans } from './clean-leftovers.ts';
import { factsToAttributes, readMachineFacts } from './machine-facts.ts';
import type { NightContext } from './night-context.ts';
import { isSaved, type NightOutcome, type NightTarget, targetsOf } from './night-target.ts';
import { findPrevious } from './previous-snapshot.ts';
import { pushTargets } from './push-targets.ts';
import { isInWindow, windowMissed } from './time-window.ts';

/** What a night did. */
export interface NightResult {
  readonly push: PushResult;
  readonly coverage: Coverage;
  readonly outcomes: readonly NightOutcome[];
  /** What the snapshot lacks beside its archives, in sentences. */
  readonly warnings: readonly string[];
  /** Every covered thing has an archive of tonight. */
  readonly isComplete: boolean;
  /** 0, or 3 when something is missing or suspicious. */
  readonly exitCode: 0 | 3;
  readonly startedAtMs: number;
  readonly durationMs: number;
}

/** The origin of a main server's own snapshots. */
export const mainOrigin = parseOrigin('main');

function requireWindow({ isScheduled, configuration, localMinute }: NightContext): void {
  const { window } = configuration.push;
  if (!isScheduled || window === undefined || isInWindow(window, localMinute())) return;
  throw windowMissed(window);
}

/** Removes what an earlier run left: processes, half-written archives, work folders, meetings. @throws IO. */
export async function cleanUp({ yunohost, state, onEvent }: NightContext): Promise<void> {
  const orphans = await endOrphans(state.folder);
  await removeOldMeetings(yunohost.paths);
  const paths = await cleanLeftovers(yunohost.paths);
  if (orphans > 0 || paths.length > 0) onEvent?.({ step: 'cleaned', paths, orphans });
}

/** What the last window did not reach comes first, what waits longest before all, so that nothing starves in a short one. */
function orderByTurn(
  targets: readonly NightTarget[],
  previous: ReadonlyMap<string, SnapshotArchive>,
  { isScheduled, configuration }: NightContext,
): NightTarget[] {
  if (!isScheduled || configuration.push.window === undefined || previous.size === 0) return [...targets];
  const isLate = ({ name }: NightTarget): boolean => (previous.get(name)?.status ?? 'kept') === 'kept';
  const savedAtMs = ({ name }: NightTarget): number => previous.get(name)?.savedAtMs ?? 0;
  const late = targets.filter(isLate).sort((a, b) => savedAtMs(a) - savedAtMs(b));
  return [...late, ...targets.filter((target) => !isLate(target))];
}

/**
 * Backs up this server as its configuration says, as one snapshot. The caller holds the state folder's lock and has opened
 * the session.
 * @throws WINDOW_MISSED outside the time window, YUNOHOST_…, CONFIG_INVALID when nothing is covered, and what push() throws.
 */
export async function runNight(context: NightContext): Promise<NightResult> {
  const { session, yunohost, configuration, signal } = context;
  const startedAtMs = session.environment.nowMs();
  const startedMs = context.monotonicMs();
  requireWindow(context);
  await cleanUp(context);
  const last = await findPrevious(session, mainOrigin);
  const archives = last?.record.archives ?? [];
  const options = signal === undefined ? {} : { signal };
  const coverage = await readCoverage(yunohost, configuration, archives, options);
  const previous = new Map(archives.map((archive) => [archive.name, archive]));
  const targets = orderByTurn(targetsOf(coverage), previous, context);
  if (targets.length === 0) {
    throw new FallbackError('CONFIG_INVALID', 'The configuration covers nothing: no system, no app, no path.', {
      hint: 'See `fallback apps`, and correct apps.include, apps.exclude or system.enabled.',
    });
  }
  context.onEvent?.({ step: 'covered', targets: targets.map(({ name }) => name) });
  const warnings: string[] = [];
  const facts = await readMachineFacts(yunohost, options, warnings);
  const { push, outcomes, isComplete } = await pushTargets(context, {
    targets,
    vanished: coverage.vanished,
    previous,
    origin: mainOrigin,
    holder: `push on ${session.environment.hostName}`,
    attributes: { ...factsToAttributes(facts), kind: 'night', method: configuration.push.method },
  });
  const isClean =
    isComplete && outcomes.every((outcome) => outcome.status === 'saved' || outcome.status === 'vanished');
  return {
    push,
    coverage,
    outcomes,
    warnings,
    isComplete,
    exitCode: isClean && outcomes.some(isSaved) ? 0 : 3,
    startedAtMs,
    durationMs: context.monotonicMs() - startedMs,
  };
}
