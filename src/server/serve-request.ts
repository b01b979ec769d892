// One request from its head to its log line: admit, match, authorize, take the body, handle, answer. PROTOCOL.md, Requests.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { toHex } from '../bytes/hex.ts';
import { isFallbackError } from '../errors/fallback-error.ts';
import type { Admission, BodyMemory, FailedAttempts } from './admission.ts';
import { authorize, parseBearer, unauthorized } from './authorize.ts';
import type { Connections } from './connections.ts';
import { IncomingBody } from './incoming-body.ts';
import { type MatchedRoute, matchRoute } from './match-route.ts';
import { PeerGone, problemReply, RequestRefused } from './problem.ts';
import type { Reply } from './reply.ts';
import type { RepositoryHost } from './repository-host.ts';
import { RequestFields } from './request-fields.ts';
import { describeError, formatRequest, type LogLine } from './request-log.ts';
import type { Exchange, OpenRoute, Route } from './route.ts';
import { routes } from './routes.ts';
import { sendReply } from './send-reply.ts';
import type { ServerLimits } from './server-limits.ts';

/** What all requests of one server share. */
export interface ServerContext {
  readonly host: RepositoryHost;
  readonly limits: ServerLimits;
  readonly admission: Admission;
  readonly connections: Connections;
  readonly failedAttempts: FailedAttempts;
  readonly memory: BodyMemory;
  readonly log: LogLine;
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  readonly randomBytes: (count: number) => Uint8Array;
  /** Behind a reverse proxy on this machine: the client's address is the last of X-Forwarded-For. */
  readonly behindProxy: boolean;
  stopping: boolean;
}

/** What the log line tells of a request, known bit by bit. */
interface Progress {
  matched?: MatchedRoute;
  body?: IncomingBody;
}

type Release = () => void;

function clientAddress(context: ServerContext, request: IncomingMessage): string {
  const forwarded = context.behindProxy ? request.headers['x-forwarded-for']?.toString() : undefined;
  const last = forwarded?.split(',').at(-1)?.trim();
  return last !== undefined && /^[0-9a-fA-F.:]{2,45}$/.test(last) ? last : (request.socket.remoteAddress ?? 'unknown');
}

const isOpen = (route: Route): route is OpenRoute =>
  route.scope === 'none' || route.scope === 'pairing' || route.scope === 'recovery';

/** Lets the token in and calls the handler. */
async function handleMatched(
  context: ServerContext,
  request: IncomingMessage,
  response: ServerResponse,
  progress: Progress & { matched: MatchedRoute },
  releases: Release[],
): Promise<Reply> {
  const { host, limits, memory } = context;
  const { route, params, query } = progress.matched;
  const token = parseBearer(request.headers);
  const access = isOpen(route) ? undefined : await authorize(host, params.repository ?? '', token, route.scope);
  if (token === undefined && route.scope !== 'none') throw unauthorized();
  const tokenKey = createHash('sha256')
    .update(token ?? '')
    .digest('hex');
  if (access !== undefined) {
    context.connections.trust(request.socket);
    releases.push(context.admission.enterToken(tokenKey));
  }
  const takeMemory = (bytes: number): void => {
    releases.push(memory.take(bytes, tokenKey));
  };
  const body = new IncomingBody({ request, response, rule: route.body, limits, takeMemory });
  progress.body = body;
  const exchange: Exchange = {
    host,
    limits,
    params,
    query,
    headers: request.headers,
    token: token ?? new Uint8Array(0),
    body,
    json: async () => new RequestFields(await body.whole(), limits.jsonDepthMax),
  };
  if (isOpen(route)) return await route.handle(exchange);
  if (access === undefined) throw unauthorized();
  return await route.handle({
    ...exchange,
    repositoryId: access.repository.repositoryId,
    repository: access.repository,
  });
}

async function answer(
  context: ServerContext,
  request: IncomingMessage,
  response: ServerResponse,
  progress: Progress,
  releases: Release[],
): Promise<Reply> {
  const { limits, admission } = context;
  if (context.stopping) {
    const headers = { connection: 'close', 'retry-after': '2' };
    throw new RequestRefused(503, 'SERVER_ERROR', 'The server is stopping.', headers);
  }
  if (request.rawHeaders.length / 2 > limits.headerLinesMax) {
    throw new RequestRefused(431, 'REQUEST_INVALID', 'The request has too many header lines.');
  }
  const matched = matchRoute(routes, request.method ?? '', request.url ?? '', limits.targetCharactersMax);
  const isStranger = isOpen(matched.route);
  const gate = matched.route.scope === 'recovery' ? 'recovery' : 'other';
  releases.push(isStranger ? admission.enterOpen(clientAddress(context, request), gate) : admission.enter());
  return await handleMatched(context, request, response, Object.assign(progress, { matched }), releases);
}

const failedCodes = ['UNAUTHORIZED', 'PAIRING_INVALID'] as const;

/** Every failed attempt is answered at the same time after it came, and counted. */
async function failureReply(
  context: ServerContext,
  request: IncomingMessage,
  error: unknown,
  startedMs: number,
  requestId: string,
): Promise<Reply> {
  if (!failedCodes.some((code) => isFallbackError(error, code))) return problemReply(error, requestId);
  const waitMs = context.limits.failedAnswerMs - (context.monotonicMs() - startedMs);
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  try {
    context.failedAttempts.note(clientAddress(context, request));
  } catch (tooMany) {
    return problemReply(tooMany, requestId);
  }
  return problemReply(error, requestId);
}

/** After an early answer: what still arrives is dropped for a while, so that the client reads the answer and not a reset. */
function linger(request: IncomingMessage, lingerMs: number): void {
  if (request.complete || request.destroyed) return;
  const timer = setTimeout(() => request.socket.destroy(), lingerMs);
  request.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer));
  request.on('error', () => {});
  request.resume();
}

function leave(releases: Release[]): void {
  for (const release of releases.splice(0)) release();
}

/** Serves one request; never rejects. */
export async function serveRequest(
  context: ServerContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { limits, log, monotonicMs } = context;
  const atMs = context.nowMs();
  const startedMs = monotonicMs();
  const requestId = toHex(context.randomBytes(6));
  const progress: Progress = {};
  const releases: Release[] = [];
  const address = clientAddress(context, request);
  let reply: Reply | undefined;
  let failure: unknown;
  let sentBytes = 0;
  // Says on a slow line or a slow disk that the request is alive: a client may then tell a slow server from a dead one. Not to a proxy:
  // nginx takes it for the answer and stops sending the body; behind one the client waits longer by itself.
  const isTold = !context.behindProxy && request.httpVersion === '1.1';
  const processing = setInterval(() => {
    if (isTold && !response.headersSent && !response.destroyed) response.writeProcessing();
  }, limits.processingMs);
  response.on('error', () => {});
  try {
    try {
      reply = await answer(context, request, response, progress, releases);
    } catch (error) {
      if (error instanceof PeerGone) throw error;
      failure = error;
      // A failed attempt waits for its answer, and must not keep others out meanwhile.
      leave(releases);
      reply = await failureReply(context, request, error, startedMs, requestId);
    }
    clearInterval(processing);
    if (context.stopping) response.shouldKeepAlive = false;
    linger(request, limits.lingerMs);
    sentBytes = await sendReply(response, reply, limits);
  } catch (error) {
    failure = error;
    response.destroy();
  } finally {
    clearInterval(processing);
    await reply?.close?.().catch(() => {});
    leave(releases);
    const params = progress.matched?.params;
    const route = progress.matched?.route.path;
    const unexpected = failure !== undefined && !(isFallbackError(failure) && reply?.code === failure.code);
    log(
      formatRequest({
        atMs,
        requestId,
        address,
        method: request.method ?? '',
        route,
        repositoryId: params?.repository,
        number: params?.number,
        status: reply?.status,
        code: reply?.code,
        receivedBytes: progress.body?.arrivedBytes ?? 0,
        sentBytes,
        durationMs: monotonicMs() - startedMs,
        error: unexpected ? describeError(failure) : undefined,
      }),
    );
  }
}
