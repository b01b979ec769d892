// The one handshake that verifies nothing by authority: it sends no request, and compares the certificate with a fingerprint.
import { createHash, timingSafeEqual } from 'node:crypto';
import { connect } from 'node:tls';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { ServerAddress } from '../../format/pairing-code.ts';
import { AttemptFailed } from './attempt-failed.ts';
import { classifyNetworkError, failureAt, hostAndPort } from './classify-failure.ts';
import type { ClientEnvironment } from './client-environment.ts';
import { defaultClientLimits } from './client-limits.ts';
import { retry } from './retry.ts';

const toPem = (der: Uint8Array): string => {
  const lines = Buffer.from(der)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
};

/** The peer's certificate (DER), whoever the peer is; nothing is sent but the handshake. */
async function peerCertificate(host: string, port: number, timeoutMs: number): Promise<Uint8Array> {
  return await new Promise<Uint8Array>((resolve, reject) => {
    // Here alone verification is off: the caller compares the fingerprint, and real traffic goes over another connection.
    const socket = connect({
      host,
      port,
      servername: 'fallback.invalid',
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: false,
    });
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const late = (): void => fail(new FallbackError('TIMEOUT', 'The server did not answer the connection in time.'));
    const timer = setTimeout(late, timeoutMs);
    socket.once('error', fail);
    socket.once('close', () => fail(Object.assign(new Error('closed during the handshake'), { code: 'ECONNRESET' })));
    socket.once('secureConnect', () => {
      const der = new Uint8Array(socket.getPeerCertificate(true).raw);
      clearTimeout(timer);
      resolve(der);
      socket.end();
    });
  });
}

/**
 * The server's certificate in PEM, to be the only one trusted from then on.
 * @throws CERTIFICATE_MISMATCH when its SHA-256 is not the address's; UNREACHABLE, TIMEOUT, PROTOCOL.
 */
export async function fetchCertificate(address: ServerAddress, environment: ClientEnvironment): Promise<string> {
  const limits = defaultClientLimits;
  const attempt = async (): Promise<Uint8Array> => {
    try {
      return await peerCertificate(address.host, address.port, limits.connectMs);
    } catch (error) {
      const failure = error instanceof FallbackError ? { error, repeat: 'yes' as const } : classifyNetworkError(error);
      throw failure === undefined ? error : new AttemptFailed(failureAt(failure, address.host, address.port));
    }
  };
  const signal = new AbortController().signal;
  const der = await retry(attempt, { environment, limits, repeatable: true, reached: () => false, signal });
  const sha256 = createHash('sha256').update(der).digest();
  if (!timingSafeEqual(sha256, address.certificateSha256)) {
    throw new FallbackError(
      'CERTIFICATE_MISMATCH',
      'The server’s certificate has another fingerprint than the one given; nothing was sent.',
      { details: { server: hostAndPort(address.host, address.port), fingerprint: sha256.toString('hex') } },
    );
  }
  return toPem(der);
}
