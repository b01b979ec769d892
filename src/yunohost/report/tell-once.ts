// What a timer runs every minute or hour, and what keeps it from its work: told once, until it works again.
import { join } from 'node:path';
import { isFallbackError } from '../../errors/fallback-error.ts';
import { ensureFolder } from '../../fs/ensure-folder.ts';
import { removeFile } from '../../fs/remove-file.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { type Delivery, deliverReport } from './deliver-report.ts';
import { reportOfError } from './report.ts';

/** Who runs, and where its failure is told. */
export interface Teller {
  /** The report's subject, a name for a file: `alarm`, `watch`. */
  readonly subject: string;
  readonly delivery: Delivery;
  readonly hostName: string;
  nowMs(): number;
  /** A run that a person ends is no failure. */
  readonly signal: AbortSignal;
  /** What could not be delivered, or noted, in a sentence. */
  onUndelivered(failure: string): void;
}

/** Exit code 10: another run holds what is needed, and this one comes again. */
const isPassing = (error: unknown): boolean => isFallbackError(error) && error.exitCode === 10;

async function tell(teller: Teller, error: unknown, note: string): Promise<string[]> {
  const { subject, delivery, hostName } = teller;
  const { fs, stateFolder } = delivery;
  await ensureFolder(fs, stateFolder);
  if ((await fs.facts(note)) !== undefined) return [];
  const report = reportOfError(subject, error, { hostName, timeMs: teller.nowMs() });
  const undelivered = await deliverReport(report, delivery);
  // What did not arrive is told the next time.
  if (undelivered.length > 0) return undelivered;
  const text = Buffer.from(`${JSON.stringify({ toldAtMs: report.timeMs, ...report.facts })}\n`);
  await replaceFile(fs, note, text, stateFolder, delivery.randomHex());
  return [];
}

/** Runs `work`; what it throws is told at the first of such runs that follow each other. @throws what `work` throws. */
export async function tellOnce<Result>(teller: Teller, work: () => Promise<Result>): Promise<Result> {
  const { subject, delivery, signal } = teller;
  const note = join(delivery.stateFolder, `${subject}-failed.json`);
  let result: Result;
  try {
    result = await work();
  } catch (thrown) {
    if (signal.aborted || isPassing(thrown)) throw thrown;
    // Why it cannot be told must not hide what happened.
    const failures = await tell(teller, thrown, note).catch((error: unknown) => [
      error instanceof Error ? error.message : String(error),
    ]);
    for (const failure of failures) teller.onUndelivered(failure);
    throw thrown;
  }
  if ((await delivery.fs.facts(note)) !== undefined) await removeFile(delivery.fs, note);
  return result;
}
