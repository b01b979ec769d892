// Signs of life of the main server, each found in another way: one that is silent proves nothing, all silent at once may.
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect } from 'node:net';
import type { RepositoryStatus } from '../../store/repository-store.ts';

/** What one probe found. */
export interface ProbeResult {
  readonly name: string;
  readonly isAlive: boolean;
  /** In a few words. */
  readonly said: string;
}

const timeoutMs = 15_000;

/** A certificate that is not trusted, or for another name, is an answer as well: somebody is there. */
const answeredCode = /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(VERIFY|GET))/;

/** Whether anything answers at a web address; which status it gives does not matter. */
export function probeWeb(address: string): Promise<ProbeResult> {
  const name = address;
  return new Promise((resolve) => {
    const settle = (isAlive: boolean, said: string): void => {
      resolve({ name, isAlive, said });
      call.destroy();
    };
    const send = address.startsWith('http://') ? requestHttp : requestHttps;
    const call = send(address, { method: 'HEAD', timeout: timeoutMs, agent: false }, (answer) => {
      answer.resume();
      settle(true, `answers ${answer.statusCode ?? ''}`);
    });
    call.on('timeout', () => settle(false, 'no answer'));
    call.on('error', (error) => {
      const code = 'code' in error ? String(error.code) : '';
      settle(answeredCode.test(code), code === '' ? error.message : code);
    });
    call.end();
  });
}

/** Whether a mail server greets on port 25. */
export function probeSmtp(host: string, port = 25): Promise<ProbeResult> {
  const name = `SMTP of ${host}`;
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const settle = (isAlive: boolean, said: string): void => {
      resolve({ name, isAlive, said });
      socket.destroy();
    };
    socket.on('data', (bytes) => settle(/^2\d\d[ -]/.test(bytes.toString('latin1')), 'greets'));
    socket.on('timeout', () => settle(false, 'no answer'));
    socket.on('error', (error) => settle(false, 'code' in error ? String(error.code) : error.message));
    socket.on('close', () => settle(false, 'closed without a greeting'));
  });
}

/** What the store itself tells: a snapshot that came just now, and a push that is under way (the heartbeat). */
export function probeStore(status: RepositoryStatus, freshMs: number): ProbeResult[] {
  const ageMs = status.lastCompleteAtMs === undefined ? undefined : status.serverTimeMs - status.lastCompleteAtMs;
  return [
    {
      name: 'last snapshot',
      isAlive: ageMs !== undefined && ageMs < freshMs,
      said: ageMs === undefined ? 'there is none' : `${Math.round(ageMs / 60_000)} minutes old`,
    },
    {
      name: 'heartbeat',
      isAlive: status.leaseHolder !== undefined,
      said: status.leaseHolder ?? 'no push is under way',
    },
  ];
}
