// Delivers a report where the configuration says. What cannot be delivered is told to the caller and fails nothing.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileSystem } from '../../fs/file-system.ts';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { isObject } from '../command/shape.ts';
import type { Configuration } from '../configuration/schema.ts';
import { pingHealthcheck, postWebhook } from './post-webhook.ts';
import { layReport, type Report } from './report.ts';
import { sendMail } from './send-mail.ts';

export interface Delivery {
  readonly configuration: Configuration;
  /** Where is noted when the last mail went out. */
  readonly stateFolder: string;
  readonly fs: FileSystem;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** New hexadecimal text for each call. */
  randomHex(): string;
}

const weekMs = 7 * 24 * 60 * 60 * 1000;
const noteFile = 'last-report.json';

async function lastMailMs(stateFolder: string): Promise<number> {
  try {
    const json: unknown = JSON.parse(await readFile(join(stateFolder, noteFile), 'utf8'));
    return isObject(json) && typeof json['mailedAtMs'] === 'number' ? json['mailedAtMs'] : 0;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || error instanceof SyntaxError) return 0;
    throw error;
  }
}

/** Whether this report is one for a mail. */
export function wantsMail(mode: Configuration['report']['mail'], report: Report, lastMs: number): boolean {
  if (mode === 'always') return true;
  if (mode === 'never') return false;
  if (report.status !== 'ok') return true;
  // A week less an hour: a timer with a random delay must not slip by a day each week.
  return mode === 'weekly' && report.timeMs - lastMs >= weekMs - 60 * 60 * 1000;
}

async function mail(report: Report, delivery: Delivery): Promise<void> {
  const { configuration, stateFolder, environment, fs } = delivery;
  const { mail: mode, mailTo, mailFrom, sendmail } = configuration.report;
  if (!wantsMail(mode, report, await lastMailMs(stateFolder))) return;
  const lines = layReport(report).slice(2);
  await sendMail(
    { sendmail, to: mailTo, from: mailFrom, subject: `[fallback] ${report.headline}`, lines },
    environment,
  );
  const note = Buffer.from(`${JSON.stringify({ mailedAtMs: report.timeMs })}\n`);
  await replaceFile(fs, join(stateFolder, noteFile), note, stateFolder, delivery.randomHex());
}

/** Runs all, whatever fails. @returns the failures, in sentences. */
async function settle(works: readonly Promise<void>[]): Promise<string[]> {
  const results = await Promise.allSettled(works);
  return results.flatMap((result) =>
    result.status === 'rejected'
      ? [result.reason instanceof Error ? result.reason.message : String(result.reason)]
      : [],
  );
}

/** Mail, webhook, monitor. @returns what could not be delivered, in sentences: nothing is thrown. */
export async function deliverReport(report: Report, delivery: Delivery): Promise<string[]> {
  const { webhook, healthcheck } = delivery.configuration.report;
  const works = [mail(report, delivery)];
  if (webhook !== '') works.push(postWebhook(webhook, report));
  if (healthcheck !== '' && report.subject === 'push') {
    const word = report.status === 'ok' ? 'success' : 'fail';
    works.push(pingHealthcheck(healthcheck, word, layReport(report).join('\n')));
  }
  return await settle(works);
}

/** Tells the monitor that a push begins. @returns what could not be delivered. */
export async function announceStart(configuration: Configuration): Promise<string[]> {
  const { healthcheck } = configuration.report;
  return healthcheck === '' ? [] : await settle([pingHealthcheck(healthcheck, 'start')]);
}
