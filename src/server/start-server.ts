// Starts and stops the server: sockets, TLS, limits of connections. What a request does is in serve-request.ts.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { toHex } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import type { FileSystem } from '../fs/file-system.ts';
import type { Environment } from '../store/environment.ts';
import { Admission, BodyMemory, FailedAttempts } from './admission.ts';
import { Connections } from './connections.ts';
import { type MaintenanceTask, startMaintenance } from './maintenance.ts';
import { problemReply, RequestRefused } from './problem.ts';
import type { RepositoryHost } from './repository-host.ts';
import { formatEvent, type LogLine } from './request-log.ts';
import { type ServerContext, serveRequest } from './serve-request.ts';
import { ensureServerIdentity, readServerIdentity, type ServerIdentity } from './server-identity.ts';
import { defaultServerLimits, type ServerLimits } from './server-limits.ts';

/** The port of a server that was told no other. */
export const defaultPort = 7443;

/** How clients reach the server. */
export type ServerTransport =
  /** TLS 1.3 with the certificate in the store's folder, made on first start. */
  | { readonly kind: 'self-signed' }
  /** TLS 1.3 with an admin's own certificate. */
  | { readonly kind: 'certificate'; readonly keyPem: string; readonly certificatePem: string }
  /** Plain HTTP, on a loopback address only: for a reverse proxy on the same machine. */
  | { readonly kind: 'behind-proxy' };

export interface ServerOptions {
  readonly host: RepositoryHost;
  /** The store's folder: holds the certificate. */
  readonly folder: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly transport: ServerTransport;
  readonly fs: FileSystem;
  readonly environment: Environment;
  /** Milliseconds that never jump. */
  readonly monotonicMs: () => number;
  readonly log: LogLine;
  readonly maintenance?: readonly MaintenanceTask[];
  readonly limits?: Partial<ServerLimits>;
  /** Awaited once it listens, and before it says that it has started. */
  readonly onListening?: (server: ListeningServer) => Promise<void>;
}

export interface ListeningServer {
  readonly address: { readonly host: string; readonly port: number };
  /** Undefined behind a reverse proxy, which has its own. */
  readonly certificateSha256: Uint8Array | undefined;
}

export interface RunningServer extends ListeningServer {
  /**
   * Takes no more connections, lets running requests finish for `graceMs` (default: the limit's), then cuts them.
   * Called again, it cuts at once.
   */
  stop(graceMs?: number): Promise<void>;
}

const loopback = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

async function identityOf(options: ServerOptions): Promise<ServerIdentity | undefined> {
  const { transport, fs, folder, environment } = options;
  switch (transport.kind) {
    case 'self-signed':
      return await ensureServerIdentity(fs, folder, environment.randomBytes);
    case 'certificate':
      return readServerIdentity(transport.keyPem, transport.certificatePem);
    case 'behind-proxy':
      if (loopback.test(options.listen.host)) return undefined;
      throw new FallbackError('CONFIG_INVALID', 'Plain HTTP is served on a loopback address only (127.0.0.1 or ::1).');
  }
}

function createHttpServer(identity: ServerIdentity | undefined, limits: ServerLimits): Server {
  const http = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headMs,
    // Node's own limit on a whole request would cut a slow upload: receive-body.ts watches its progress instead.
    requestTimeout: 0,
    keepAliveTimeout: limits.idleConnectionMs,
    connectionsCheckingInterval: Math.min(1_000, limits.headMs),
    noDelay: true,
  };
  // node:http is not imported: an import of it runs the getters of all its exports, which load Node's own fetch: 50 ms of CPU.
  const server: Server =
    identity === undefined
      ? process.getBuiltinModule('node:http').createServer(http)
      : createTlsServer({
          ...http,
          key: identity.keyPem,
          cert: identity.certificatePem,
          minVersion: 'TLSv1.3',
          handshakeTimeout: limits.handshakeMs,
          ALPNProtocols: ['http/1.1'],
        });
  // One more than is allowed, so that a request with too many is seen and refused instead of quietly shortened.
  server.maxHeadersCount = limits.headerLinesMax + 1;
  return server;
}

/** An answer to what never became a request: a broken head, a method that HTTP servers hand over. */
function answerRaw(context: ServerContext, socket: Socket, status: number, reason: string): void {
  const requestId = toHex(context.randomBytes(6));
  context.log(formatEvent(context.nowMs(), 'refused', { request: requestId, status, reason }));
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const code = status === 408 ? 'TIMEOUT' : 'REQUEST_INVALID';
  const reply = problemReply(new RequestRefused(status, code, 'The request is not valid HTTP.'), requestId);
  const body = reply.body instanceof Uint8Array ? reply.body : new Uint8Array(0);
  const headers = { ...reply.headers, 'content-length': String(body.byteLength), connection: 'close' };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 ${status} Refused\r\n${head.join('')}\r\n`);
  socket.end(body);
  setTimeout(() => socket.destroy(), context.limits.lingerMs).unref();
}

function guardConnections(server: Server, context: ServerContext): void {
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => socket.destroy());
    context.connections.enter(socket);
  });
  server.on('tlsClientError', (_error: Error, socket: Socket) => socket.destroy());
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // A peer that went away, also in the middle of a body, has nobody left to be answered.
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE' || error.code === 'HPE_INVALID_EOF_STATE') {
      socket.destroy();
      return;
    }
    const status = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
    answerRaw(context, socket, status, error.code ?? 'unknown');
  });
  server.on('connect', (_request: IncomingMessage, socket: Socket) => answerRaw(context, socket, 405, 'CONNECT'));
}

/** Hands every request to serveRequest. @returns the set of those that run. */
function routeRequests(server: Server, context: ServerContext): Set<Promise<void>> {
  const running = new Set<Promise<void>>();
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const done = serveRequest(context, request, response).finally(() => running.delete(done));
    running.add(done);
  };
  server.on('request', serve);
  server.on('checkContinue', serve);
  server.on('checkExpectation', (request: IncomingMessage) => answerRaw(context, request.socket, 417, 'Expect'));
  return running;
}

const listenFailures: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'this user may not use that port',
  ENOTFOUND: 'the name cannot be resolved',
  EAI_AGAIN: 'the name cannot be resolved',
};

async function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = listenFailures[error.code ?? ''] ?? error.code ?? error.message;
      reject(
        new FallbackError('CONFIG_INVALID', `The server cannot listen on ${host} port ${port}: ${why}.`, {
          hint: 'Choose another address (--listen HOST:PORT), or stop what listens there (ss -ltnp shows it). Nothing was changed.',
        }),
      );
    });
    server.listen({ host, port, backlog: 128 }, () => resolve());
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return address;
}

function createContext(options: ServerOptions): ServerContext {
  const { environment, host, log, monotonicMs } = options;
  const limits: ServerLimits = { ...defaultServerLimits, ...options.limits };
  const behindProxy = options.transport.kind === 'behind-proxy';
  const randomBytes = (count: number): Uint8Array => environment.randomBytes(count);
  return {
    host,
    limits,
    admission: new Admission(limits),
    connections: new Connections(limits, !behindProxy),
    failedAttempts: new FailedAttempts(limits, monotonicMs),
    memory: new BodyMemory(limits),
    log,
    nowMs: () => environment.nowMs(),
    monotonicMs,
    randomBytes,
    behindProxy,
    stopping: false,
  };
}

/** Starts serving. @throws CONFIG_INVALID (address or certificate), STORE_INVALID, SECRET_FILE_UNSAFE, DISK_FULL, IO. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const context = createContext(options);
  const identity = await identityOf(options);
  const server = createHttpServer(identity, context.limits);
  guardConnections(server, context);
  const running = routeRequests(server, context);
  const { address, port } = await listen(server, options.listen.host, options.listen.port);
  server.on('error', (error) => context.log(formatEvent(context.nowMs(), 'error', { error: error.message })));
  const listening: ListeningServer = {
    address: { host: address, port },
    certificateSha256: identity?.certificateSha256,
  };
  const cut = (): void => context.connections.cut();
  try {
    await options.onListening?.(listening);
  } catch (error) {
    server.close();
    cut();
    throw error;
  }
  const maintenance = startMaintenance(options.maintenance ?? [], context.log, context.nowMs);
  context.log(formatEvent(context.nowMs(), 'started', { address, port, transport: options.transport.kind }));

  let stopped: Promise<void> | undefined;
  const stop = async (graceMs: number): Promise<void> => {
    context.stopping = true;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    const timer = setTimeout(cut, graceMs);
    await Promise.all([...running]);
    clearTimeout(timer);
    cut();
    await closed;
    await maintenance.stop();
    context.log(formatEvent(context.nowMs(), 'stopped'));
  };
  return {
    ...listening,
    stop: async (graceMs = context.limits.stopGraceMs) => {
      if (stopped === undefined) stopped = stop(graceMs);
      else cut();
      await stopped;
    },
  };
}
