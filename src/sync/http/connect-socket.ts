// Connections for undici: a TCP socket of our own under TLS, so that its counters show the bytes of the wire.
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import type { buildConnector } from 'undici';
import { FallbackError } from '../../errors/fallback-error.ts';
import { type TrustedServer, tlsOptions } from './server-trust.ts';

/** Opens one connection, TLS 1.3, verified; rejects with Node's own error. @param onSocket sees the TCP socket first. */
export async function connectSocket(
  server: TrustedServer,
  timeoutMs: number,
  onSocket: (socket: Socket) => void,
): Promise<TLSSocket> {
  const tcp = connectTcp({ host: server.host, port: server.port, noDelay: true, keepAlive: true });
  onSocket(tcp);
  const tls = connectTls({ ...tlsOptions(server), socket: tcp });
  return await new Promise<TLSSocket>((resolve, reject) => {
    const fail = (error: Error): void => {
      clearTimeout(timer);
      tls.destroy();
      tcp.destroy();
      reject(error);
    };
    const timer = setTimeout(
      () => fail(new FallbackError('TIMEOUT', 'The server did not answer the connection in time.')),
      timeoutMs,
    );
    tcp.once('error', fail);
    tls.once('error', fail);
    // TLS is closed before the socket below tells why: refused, no such name, no way.
    const closed = (): void =>
      fail(tcp.errored ?? Object.assign(new Error('closed during the handshake'), { code: 'ECONNRESET' }));
    tls.once('close', closed);
    tls.once('secureConnect', () => {
      clearTimeout(timer);
      tls.off('error', fail);
      tls.off('close', closed);
      tcp.off('error', fail);
      // TLSSocket passes the errors of the socket below on: here they only must not be unhandled.
      tcp.on('error', () => {});
      resolve(tls);
    });
  });
}

/** V8's own; another version may have another. */
export const tieringBudget = { v8: '13.6.', bytes: 13_000_000 } as const;

/**
 * Runs `work`, in which undici may make its HTTP parser, so that V8 never optimises it: it is one huge WebAssembly function, 60 ms of CPU
 * that are due after the second answer already; without that the heads of a thousand answers take some milliseconds more.
 * V8 reads the flag when a module is made. It is put back at once: our own kernel is worth optimising, and V8 takes cached code only
 * under the flags that it was compiled with.
 */
function sparingOptimiser(work: () => void): void {
  if (!process.versions.v8.startsWith(tieringBudget.v8)) {
    work();
    return;
  }
  setFlagsFromString(`--wasm-tiering-budget=${100 * tieringBudget.bytes}`);
  try {
    work();
  } finally {
    setFlagsFromString(`--wasm-tiering-budget=${tieringBudget.bytes}`);
  }
}

/** The connector that undici's Pool takes. */
export function poolConnector(
  server: TrustedServer,
  timeoutMs: number,
  onSocket: (socket: Socket) => void,
): buildConnector.connector {
  return (_options, callback) => {
    connectSocket(server, timeoutMs, onSocket).then(
      (socket) => sparingOptimiser(() => callback(null, socket)),
      (error: Error) => callback(error, null),
    );
  };
}
