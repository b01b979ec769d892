// Reports over HTTP: a webhook that takes JSON, and a monitor of the Healthchecks kind.
import { FallbackError } from '../../errors/fallback-error.ts';
import { layReport, type Report } from './report.ts';

const answerLimitMs = 20_000;
const tries = 3;

/** The address without what may be a secret in it: its path and query. */
const shownAddress = (address: string): string => {
  try {
    return new URL(address).host;
  } catch {
    return 'the address';
  }
};

async function send(address: string, body: string, contentType: string): Promise<void> {
  // Loaded only where a report is sent: all of undici is 100 ms of CPU.
  const { request } = await import('undici');
  let reason = '';
  for (let attempt = 1; attempt <= tries; attempt++) {
    try {
      const answer = await request(address, {
        method: 'POST',
        body,
        headers: { 'content-type': contentType, 'user-agent': 'fallback' },
        signal: AbortSignal.timeout(answerLimitMs),
      });
      await answer.body.dump();
      if (answer.statusCode < 400) return;
      reason = `it answered ${answer.statusCode}`;
      if (answer.statusCode < 500 && answer.statusCode !== 429) break;
    } catch (error) {
      reason = error instanceof Error && 'code' in error ? String(error.code) : 'it does not answer';
    }
  }
  throw new FallbackError('IO', `The report did not reach ${shownAddress(address)}: ${reason}.`);
}

/** Posts a report as one JSON object. @throws IO. */
export async function postWebhook(address: string, report: Report): Promise<void> {
  const { status, subject, headline, nextStep, facts, hostName, timeMs } = report;
  const body = { status, subject, headline, text: layReport(report).join('\n'), nextStep, hostName, timeMs, facts };
  await send(address, JSON.stringify(body), 'application/json');
}

/** Tells a monitor that a run has begun, went well or failed. @throws IO. */
export async function pingHealthcheck(address: string, word: 'start' | 'success' | 'fail', text = ''): Promise<void> {
  const [base = '', query] = address.split('?', 2);
  const path = word === 'success' ? '' : `/${word}`;
  await send(
    `${base.replace(/\/+$/, '')}${path}${query === undefined ? '' : `?${query}`}`,
    text,
    'text/plain; charset=utf-8',
  );
}
