// fallback status: the repository at a glance, and whether tonight's push would go through.
import { errorCodes } from '../../errors/error-codes.ts';
import type { RepositoryStatus } from '../../store/repository-store.ts';
import type { SeenHead } from '../../sync/trust.ts';
import type { CommandBody, Invocation } from '../command-spec.ts';
import { isPushTokenGood, type OpenedRepository, withRepository } from '../open-repository.ts';
import { configuredStore } from '../open-yunohost.ts';
import { jsonOption, readFolderOption, readingOptions } from '../shared-options.ts';
import { showAge, showBytes, showCount, showNumber, showPercent, showTime } from '../show.ts';
import { layFacts } from '../table.ts';

/** What this machine may do with the repository, and what stands against it. */
interface Standing {
  /** Undefined: the store's folder was read, by no machine's token. */
  readonly mayPush: boolean | undefined;
  readonly isFenced: boolean;
  /** It has a push token, and the server takes it no more. */
  readonly isRevoked: boolean;
}

async function standingOf(
  invocation: Invocation,
  opened: OpenedRepository,
  seen: SeenHead | undefined,
): Promise<Standing> {
  const isFenced = seen !== undefined && seen.epoch < opened.session.status.epoch;
  if (opened.state === undefined) return { mayPush: undefined, isFenced, isRevoked: false };
  const credentials = await opened.state.load();
  const mayPush = await isPushTokenGood(invocation, credentials);
  return { mayPush, isFenced, isRevoked: credentials.pushToken !== undefined && !mayPush };
}

function lastComplete({ lastCompleteAtMs, serverTimeMs }: RepositoryStatus): string {
  if (lastCompleteAtMs === undefined) return 'never';
  return `${showTime(lastCompleteAtMs)} (${showAge(lastCompleteAtMs, serverTimeMs)})`;
}

function describeSpace({ storedBytes, quotaBytes, freeBytes }: RepositoryStatus): string {
  const quota =
    quotaBytes === undefined
      ? ''
      : ` (${showPercent(storedBytes, quotaBytes)} of the quota of ${showBytes(quotaBytes)})`;
  return `${showBytes(storedBytes)}${quota}; ${showBytes(freeBytes)} free on the fallback server’s disk`;
}

function describeMachine({ mayPush, isFenced, isRevoked }: Standing): string | undefined {
  if (mayPush === undefined) return undefined;
  if (isRevoked) return 'may read only: its push token was revoked';
  if (!mayPush) return 'may read only';
  return isFenced ? 'may not push: the fallback server has taken over' : 'may push and read';
}

function show({ output }: Invocation, opened: OpenedRepository, standing: Standing): void {
  const { status } = opened.session;
  const { lost, holed, head, leaseHolder } = status;
  output.lines(
    layFacts([
      ['repository', `${status.name}  (id ${status.repositoryId})`],
      ['server', opened.place],
      ['newest snapshot', head === undefined ? 'none yet' : String(head.number)],
      ['last complete', lastComplete(status)],
      ['stored', describeSpace(status)],
      ['packs', showNumber(status.present.size)],
      [
        'damage',
        lost.isEmpty && holed.isEmpty
          ? 'none known'
          : `${showCount(lost.size, 'pack')} lost, ${holed.size} healed in part`,
      ],
      ['epoch', String(status.epoch)],
      ['this machine', describeMachine(standing)],
      ['being written by', leaseHolder],
    ]),
  );
}

async function run(invocation: Invocation): Promise<number | undefined> {
  const { output } = invocation;
  const folder = invocation.get(readFolderOption) === undefined ? await configuredStore(invocation) : undefined;
  if (folder !== undefined) {
    const { showFallbackStanding } = await import('../fallback-standing.ts');
    await showFallbackStanding(invocation, folder);
    return undefined;
  }
  return await withRepository(invocation, async (opened) => {
    const { status } = opened.session;
    const seen = await opened.state?.seenHead();
    const standing = await standingOf(invocation, opened, seen);
    const { halfRecoveredApp } = await import('../open-takeover.ts');
    const recovering = opened.state === undefined ? undefined : await halfRecoveredApp(invocation);
    const { present, lost, holed, ...rest } = status;
    output.json({
      ...rest,
      place: opened.place,
      packs: present.size,
      packsLost: lost.toText(),
      packsHoled: holed.toText(),
      damaged: !lost.isEmpty || !holed.isEmpty,
      mayPush: standing.mayPush,
      revoked: standing.isRevoked,
      fenced: standing.isFenced,
      recovering,
    });
    show(invocation, opened, standing);
    if (standing.isFenced && standing.mayPush === true) {
      output.warn(
        'The fallback server has taken over: pushes are refused until `fallback update` was run on this machine.',
      );
    }
    if (recovering !== undefined) {
      const { nextRecovery } = await import('../../yunohost/takeover/half-recovery.ts');
      output.warn(nextRecovery(recovering));
    }
    if (standing.isRevoked) {
      output.warn(
        'The server takes this machine’s push token no more: no push comes through. On the fallback server ' +
          '`fallback repositories grant` makes a new one for `fallback connect … --push-token-file FILE` here.',
      );
    }
    if (lost.isEmpty && holed.isEmpty) return standing.isRevoked ? errorCodes.UNAUTHORIZED.exitCode : undefined;
    output.warn(
      'Packs are lost on the fallback server. Push again: what tonight’s archives still contain is healed; ' +
        'what they lack stays lost until retention drops those snapshots (fallback snapshots shows which).',
    );
    return 4;
  });
}

export const statusCommand: CommandBody = {
  description: [
    'On a fallback server (server.role in its configuration): in which state it is, what to type next, and what its store holds. No key is needed.',
    'Exits with 4 when packs are lost or healed only in part, with 5 when the server cannot be trusted, or trusts this machine’s push token no more.',
  ],
  options: [...readingOptions, jsonOption],
  examples: [
    ['fallback status', 'is everything well?'],
    ['fallback status --json', 'for a monitor'],
  ],
  json: [
    'One object: `repositoryId`, `name`, `place`, `epoch`, `generation`, `head` (`number`, `sha256`; absent without any), `lastPack`, ' +
      '`healRevision`, `storedBytes`, `quotaBytes` (absent: none), `freeBytes`, `leaseHolder`, `lastCompleteAtMs`, `serverTimeMs`, `packs`, ' +
      '`packsLost`, `packsHoled`, `damaged`, `mayPush`, `revoked` (its push token), `fenced`, `recovering` (an app that a recovery left half replaced; absent: none). On a fallback server: `role`, `state`, `recovering`, `next`, `armed`, `repositories`.',
  ],
  run,
};
