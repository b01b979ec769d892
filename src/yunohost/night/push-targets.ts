// Pushes targets as one snapshot. An archive that breaks while it is read costs another run without it, not the night:
// what was sent is known by then, so that the second run sends next to nothing.
import type { Origin } from '../../format/ids.ts';
import type { Attributes } from '../../format/snapshot.ts';
import { type PushResult, push } from '../../sync/push/push.ts';
import { ArchiveSequence, type SequencePlan } from './archive-sequence.ts';
import type { NightContext } from './night-context.ts';
import type { NightOutcome } from './night-target.ts';

export interface TargetsPlan extends SequencePlan {
  readonly origin: Origin;
  /** For people, in the lease. */
  readonly holder: string;
  /** Facts about the machine, kept with the snapshot. */
  readonly attributes: Attributes;
}

export interface PushedTargets {
  readonly push: PushResult;
  readonly outcomes: readonly NightOutcome[];
  readonly isComplete: boolean;
}

/** How many archives may break before the night counts as failed. */
const runsMax = 4;

/**
 * Makes and pushes each target in turn.
 * @throws what push() throws; what stopped the first target when not one could be saved. The last snapshot is untouched then,
 * and nothing is left in YunoHost's folders.
 */
export async function pushTargets(context: NightContext, plan: TargetsPlan): Promise<PushedTargets> {
  const sequence = new ArchiveSequence(context, plan);
  for (let run = 1; ; run++) {
    const brokenBefore = sequence.broken.size;
    try {
      const result = await pushOnce(context, plan, sequence);
      return { push: result, outcomes: [...sequence.outcomes.values()], isComplete: sequence.isComplete };
    } catch (error) {
      const isAnother = sequence.broken.size > brokenBefore && run < runsMax && context.signal?.aborted !== true;
      if (!isAnother) throw error;
      const name = [...sequence.broken.keys()].at(-1) ?? '';
      context.onEvent?.({ step: 'again', name });
    }
  }
}

async function pushOnce(context: NightContext, plan: TargetsPlan, sequence: ArchiveSequence): Promise<PushResult> {
  const { counters, state, signal } = context;
  counters.archivesTotal = plan.targets.length + plan.vanished.length;
  counters.archivesDone = 0;
  return await push({
    session: context.session,
    archives: sequence.run(),
    origin: plan.origin,
    epoch: context.epoch,
    holder: plan.holder,
    indexPath: state.indexPath,
    spoolPath: state.spoolPath,
    counters,
    // One at a time: disk use stays that of the largest archive.
    archivesAtOnce: 1,
    finish: () => ({ complete: sequence.isComplete, attributes: plan.attributes }),
    judge: sequence.judge,
    ...(signal === undefined ? {} : { signal }),
  });
}
