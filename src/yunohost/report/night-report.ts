// The report of a night: status first, then what is not as it should be, apps, bytes, times, what is not covered.

import type { NotCoveredReason } from '../coverage.ts';
import type { NightOutcome } from '../night/night-target.ts';
import { isSaved } from '../night/night-target.ts';
import type { NightResult } from '../night/run-night.ts';
import { type Report, type ReportStatus, showMoment, showSize, showSpan } from './report.ts';

export interface NightFacts {
  readonly hostName: string;
  /** For people: the fallback server's address. */
  readonly place: string;
  readonly readBytes: number;
  readonly newBytes: number;
  /** Over the network, both headers and packs counted. */
  readonly sentBytes: number;
  /** Snapshots that the fallback server says are damaged. */
  readonly damagedSnapshots: readonly number[];
}

const reasonTexts: Record<NotCoveredReason, string> = {
  excluded: 'excluded',
  'not-included': 'not in apps.include',
  'own-app': 'fallback itself',
};

const orderOf: Record<NightOutcome['status'], number> = { missing: 0, kept: 1, suspicious: 2, vanished: 3, saved: 4 };

function describeOutcome({ name, status, reason, bytes, savedAtMs, warnings }: NightOutcome): string[] {
  const size = bytes === undefined ? '' : showSize(bytes);
  const when = savedAtMs === undefined ? '' : showMoment(savedAtMs);
  const texts: Record<NightOutcome['status'], string> = {
    saved: `${name}: saved, ${size}`,
    suspicious: `${name}: SUSPICIOUS, saved, ${size}. ${reason ?? ''}`,
    kept: `${name}: FAILED; its archive of ${when} (${size}) is kept. ${reason ?? ''}`,
    missing: `${name}: FAILED, and no earlier archive is there to keep. ${reason ?? ''}`,
    vanished: `${name}: no longer installed; its archive of ${when} is kept until you add it to apps.exclude`,
  };
  return [`  ${texts[status]}`, ...warnings.map((warning) => `      ${warning}`)];
}

function describeCoverage({ coverage }: NightResult): string[] {
  const lines: string[] = [];
  for (const { app, reason } of coverage.notCovered) lines.push(`  ${app.id}: ${reasonTexts[reason]}`);
  for (const part of coverage.systemPartsExcluded) lines.push(`  system part ${part}: excluded`);
  for (const { app, folder } of coverage.leftOut.data)
    lines.push(`  ${app}: its data in ${folder} (its setting do_not_backup_data is 1)`);
  for (const folder of coverage.leftOut.folders) lines.push(`  ${folder} (there is a file .nobackup in it)`);
  const newOnes = coverage.newApps.length === 0 ? [] : [`New, covered from now on: ${coverage.newApps.join(', ')}`];
  const warnings = coverage.warnings.map((warning) => `Configuration: ${warning}`);
  return [
    ...newOnes,
    ...warnings,
    lines.length === 0 ? 'Everything on this server is covered.' : 'Not covered:',
    ...lines,
  ];
}

function headlineOf(
  status: ReportStatus,
  result: NightResult,
  { hostName, damagedSnapshots: damaged }: NightFacts,
): string {
  const { snapshot } = result.push;
  if (status === 'ok') return `OK: ${hostName} is saved, snapshot ${snapshot.number} is complete`;
  const bad = result.outcomes.filter((outcome) => outcome.status !== 'saved' && outcome.status !== 'vanished');
  if (bad.length === 0) {
    if (damaged.length > 0) return `WARNING: ${hostName} is saved, but the fallback server reports damage`;
    return result.warnings.length > 0
      ? `WARNING: ${hostName} is saved, but not all that a takeover asks for`
      : `WARNING: ${hostName} is saved, but what shall be covered names what is not there`;
  }
  const names = bad.slice(0, 4).map(({ name }) => name);
  const rest = bad.length > 4 ? ` and ${bad.length - 4} more` : '';
  const what = result.isComplete ? 'suspicious' : 'INCOMPLETE';
  return `WARNING: ${hostName} is ${what}: ${names.join(', ')}${rest}`;
}

function nextStepOf(result: NightResult, damaged: readonly number[]): string | undefined {
  const failed = result.outcomes.find(({ status }) => status === 'missing' || status === 'kept');
  if (failed !== undefined) {
    const test =
      failed.kind === 'app' ? `yunohost backup create --apps ${failed.name}` : 'yunohost backup create --system';
    return failed.kind === 'files'
      ? 'look at the paths named above, then: fallback push'
      : `see why \`${test}\` fails, then: fallback push`;
  }
  const odd = result.outcomes.find(({ status }) => status === 'suspicious');
  if (odd !== undefined)
    return `look whether ${odd.name} still has its data. Older snapshots hold what it had: fallback diff`;
  if (damaged.length > 0) return 'fallback check, and fallback scrub on the fallback server';
  return result.coverage.mistakes.length > 0
    ? 'correct apps.include or the app_list; fallback apps shows what is covered'
    : undefined;
}

/** The report of a night that published a snapshot. */
export function reportOfNight(result: NightResult, facts: NightFacts): Report {
  const { push, outcomes } = result;
  const { mistakes } = result.coverage;
  const isWell =
    result.exitCode === 0 &&
    facts.damagedSnapshots.length === 0 &&
    result.warnings.length === 0 &&
    mistakes.length === 0;
  const status: ReportStatus = isWell ? 'ok' : 'warning';
  const saved = outcomes.filter(isSaved).length;
  const ordered = [...outcomes].sort((a, b) => orderOf[a.status] - orderOf[b.status]);
  const damage =
    facts.damagedSnapshots.length === 0
      ? []
      : [
          `Damaged on the fallback server: snapshot ${facts.damagedSnapshots.join(', ')}. This push healed what it could.`,
        ];
  const nextStep = nextStepOf(result, facts.damagedSnapshots);
  return {
    status,
    subject: 'push',
    headline: headlineOf(status, result, facts),
    lines: [
      `Snapshot ${push.snapshot.number} on ${facts.place}, ${showMoment(result.startedAtMs)}, ${showSpan(result.durationMs)}.`,
      `${saved} of ${outcomes.length} archives saved: ${showSize(facts.readBytes)} read, ${showSize(facts.newBytes)} new, ${showSize(facts.sentBytes)} sent.`,
      ...damage,
      ...result.warnings,
      ...mistakes.map((mistake) => `Configuration: ${mistake}`),
      '',
      ...ordered.flatMap(describeOutcome),
      '',
      ...describeCoverage(result),
    ],
    ...(nextStep === undefined ? {} : { nextStep }),
    facts: {
      snapshot: push.snapshot.number,
      complete: push.snapshot.complete,
      exitCode: result.exitCode,
      archives: outcomes.map(({ name, kind, status: one, bytes, savedAtMs, reason, code, warnings }) => ({
        name,
        kind,
        status: one,
        bytes,
        savedAtMs,
        reason,
        code,
        warnings,
      })),
      notCovered: result.coverage.notCovered.map(({ app, reason }) => ({ app: app.id, reason })),
      leftOut: result.coverage.leftOut,
      warnings: result.warnings,
      mistakes,
      readBytes: facts.readBytes,
      newBytes: facts.newBytes,
      sentBytes: facts.sentBytes,
      durationMs: Math.round(result.durationMs),
      damagedSnapshots: facts.damagedSnapshots,
    },
    hostName: facts.hostName,
    timeMs: result.startedAtMs + result.durationMs,
  };
}
