// What the journal of recoveries says of one that was cut off: others look at it before they touch the same apps.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { Journal } from './journal.ts';

/** Which version of an app is meant; JSON. */
export interface RecoveryFacts {
  readonly app: string;
  readonly snapshot: number;
  readonly domain: string | undefined;
  /** Of what the version unpacks to, in bytes; absent in journals of older versions. */
  readonly contentBytes?: number;
  /** The version holds no data; absent in journals of older versions: then it may be so. */
  readonly isDataLeftOut?: boolean;
  /** Name of the archive with what the app was; absent in journals of older versions. */
  readonly safetyName?: string;
}

/** The journal's fact that holds them. */
export const recoveryFact = 'recovery';

/** The recovery that was cut off while it replaced its app; undefined: none, or one that changed nothing yet. */
export function halfRecovery(journal: Journal): RecoveryFacts | undefined {
  const open = journal.state === 'recovering' ? journal.fact<RecoveryFacts>(recoveryFact) : undefined;
  return open !== undefined && journal.isBegun(`replace:${open.app}`) ? open : undefined;
}

/** What fits a recovery that was cut off while it replaced its app, for status lines. */
export const nextRecovery = (app: string): string =>
  `A recovery was cut off while it replaced ${app}. \`fallback recover ${app}\` goes on with it; close, deploy and update wait for that.`;

/** @param journal of recoveries. @throws WRONG_STATE while one has an app half replaced. */
export function requireNoRecovery(journal: Journal, command: string): void {
  const half = halfRecovery(journal);
  if (half === undefined) return;
  throw new FallbackError(
    'WRONG_STATE',
    `fallback ${command} does not fit: a recovery of ${half.app} was cut off while it replaced the app. Nothing was changed.`,
    { hint: `Finish it first: fallback recover ${half.app}.`, details: { state: journal.state, app: half.app } },
  );
}
