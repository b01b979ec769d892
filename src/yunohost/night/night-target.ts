// What one archive is to hold, and what became of it tonight.

import type { InstalledApp } from '../command/app-commands.ts';
import { type Coverage, extraArchive, systemArchive } from '../coverage.ts';
import { nightName } from './archive-names.ts';

/** One archive to make. */
export type NightTarget =
  | { readonly kind: 'system'; readonly name: string; readonly yunohostName: string; readonly parts: readonly string[] }
  | {
      readonly kind: 'app';
      readonly name: string;
      readonly yunohostName: string;
      readonly app: InstalledApp;
      readonly isUnreadable?: true;
    }
  | { readonly kind: 'files'; readonly name: string; readonly paths: readonly string[] };

/** Targets that YunoHost makes. */
export type YunohostTarget = Exclude<NightTarget, { readonly kind: 'files' }>;

function appTarget(app: InstalledApp): Extract<NightTarget, { readonly kind: 'app' }> {
  return { kind: 'app', name: app.id, yunohostName: nightName('app', app.id), app };
}

/** All targets of a coverage: the system, the apps in their order, those that YunoHost cannot read, the extra paths. */
export function targetsOf(coverage: Coverage): NightTarget[] {
  const targets: NightTarget[] = [];
  if (coverage.systemParts !== undefined) {
    const yunohostName = nightName('system', systemArchive);
    targets.push({ kind: 'system', name: systemArchive, yunohostName, parts: coverage.systemParts });
  }
  for (const app of coverage.apps) targets.push(appTarget(app));
  for (const id of coverage.unreadable) {
    const app = { id, name: id, version: '', domainPath: undefined };
    targets.push({ ...appTarget(app), isUnreadable: true });
  }
  if (coverage.extraPaths.length > 0) targets.push({ kind: 'files', name: extraArchive, paths: coverage.extraPaths });
  return targets;
}

/**
 * saved; suspicious: saved, but implausibly small or without some part; kept: tonight's failed, the last good one stays;
 * missing: failed, and there is none to keep; vanished: its app is gone, the last one stays.
 */
export type OutcomeStatus = 'saved' | 'suspicious' | 'kept' | 'missing' | 'vanished';

/** What became of one target. */
export interface NightOutcome {
  readonly name: string;
  readonly kind: NightTarget['kind'];
  readonly status: OutcomeStatus;
  /** Of the archive that the snapshot now names. */
  readonly bytes?: number;
  /** When that archive was made, in milliseconds since 1970. */
  readonly savedAtMs?: number;
  /** Why it is not simply saved, in a sentence. */
  readonly reason?: string;
  /** The code of the failure. */
  readonly code?: string;
  readonly warnings: readonly string[];
}

/** Whether tonight's own archive of it is in the snapshot. */
export const isSaved = ({ status }: NightOutcome): boolean => status === 'saved' || status === 'suspicious';
