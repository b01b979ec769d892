// Requests to one server: connections, time-outs, limits, repetition. What the requests mean is http-repository.ts's concern.
import type { Readable } from 'node:stream';
import type { Dispatcher, Pool as UndiciPool } from 'undici';
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import { AttemptFailed } from './attempt-failed.ts';
import {
  classifyNetworkError,
  type Failure,
  failureAt,
  failureOf,
  foreignAnswer,
  hostAndPort,
} from './classify-failure.ts';
import type { ClientEnvironment } from './client-environment.ts';
import { type ClientLimits, defaultClientLimits } from './client-limits.ts';
import { poolConnector } from './connect-socket.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { failureOfAnswer } from './read-problem.ts';
import { retry } from './retry.ts';
import type { TrustedServer } from './server-trust.ts';
import { SilenceWatch } from './silence-watch.ts';
import { type Traffic, TrafficMeter } from './traffic.ts';
import { Pool, request } from './undici-parts.ts';

export interface HttpClientOptions {
  readonly server: TrustedServer;
  readonly environment: ClientEnvironment;
  readonly uploadLimiter?: RateLimiter | undefined;
  readonly downloadLimiter?: RateLimiter | undefined;
  readonly limits?: Partial<ClientLimits> | undefined;
}

/** A body in parts; they must not change until the call is over. */
export interface CallBody {
  readonly type: 'application/json' | 'application/octet-stream';
  readonly parts: readonly Uint8Array[];
  readonly sha256: Uint8Array;
}

export interface Call {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly path: string;
  /** Sent as bearer token. */
  readonly token?: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: CallBody;
  /** Statuses that are no error. */
  readonly success: readonly number[];
  /** Whether sending it twice is the same as sending it once. */
  readonly repeatable: boolean;
  readonly answerBytesMax: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Uint8Array;
}

/** What a head costs on the wire, roughly: charged to the rate limits. */
const headBytes = 400;
/** What TLS 1.3 adds to each 16 KiB. */
const withTls = (bytes: number): number => bytes + 22 * Math.ceil(bytes / 16_384);

/** A client of one server. Thrown are FallbackErrors only, but for defects. */
export class HttpClient {
  readonly limits: ClientLimits;
  readonly environment: ClientEnvironment;
  readonly #options: HttpClientOptions;
  readonly #pool: UndiciPool;
  readonly #meter = new TrafficMeter();
  readonly #closed = new AbortController();
  readonly #waiting: (() => void)[] = [];
  #freeConnections: number;
  #reached = false;

  constructor(options: HttpClientOptions) {
    const limits: ClientLimits = { ...defaultClientLimits, ...options.limits };
    const { host, port } = options.server;
    this.limits = limits;
    this.environment = options.environment;
    this.#options = options;
    this.#freeConnections = limits.connectionsMax;
    this.#pool = new Pool(`https://${hostAndPort(host, port)}`, {
      connections: limits.connectionsMax,
      pipelining: 1,
      keepAliveTimeout: limits.idleConnectionMs,
      keepAliveMaxTimeout: limits.idleConnectionMs,
      // undici's own time-outs would end a slow upload that moves: SilenceWatch looks at both directions instead.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: limits.headerBytesMax,
      connect: poolConnector(options.server, limits.connectMs, (socket) => this.#meter.watch(socket)),
    });
  }

  get downloadLimiter(): RateLimiter | undefined {
    return this.#options.downloadLimiter;
  }

  /** Bytes sent and received so far. */
  traffic(): Traffic {
    return this.#meter.read();
  }

  /** Sends a request and reads the whole answer, again when it failed and may be repeated. */
  async send(call: Call): Promise<Answer> {
    return await this.retry(call.repeatable, () => this.#attempt(call));
  }

  /** Runs `attempt` again as long as its failures are of the passing kind and time allows. */
  async retry<Result>(repeatable: boolean, attempt: () => Promise<Result>): Promise<Result> {
    return await retry(attempt, {
      environment: this.environment,
      limits: this.limits,
      repeatable,
      reached: () => this.#reached,
      signal: this.#closed.signal,
    });
  }

  /** Sends a request once, and hands on its answer's bytes as they come. Throws AttemptFailed, for `retry` to judge. */
  async *stream(call: Call): AsyncGenerator<Uint8Array> {
    await this.#enter();
    const watch = new SilenceWatch(this.limits.silenceMs, this.#closed.signal);
    let response: Dispatcher.ResponseData | undefined;
    try {
      response = await this.#open(call, watch);
      for await (const chunk of this.#readBody(response, watch)) {
        // The reader's own pace is not the server's silence.
        watch.pause();
        yield chunk;
        watch.touch();
      }
    } catch (error) {
      throw this.#asAttemptFailed(watch.signal.aborted ? watch.signal.reason : error);
    } finally {
      response?.body.on('error', () => {}).destroy();
      watch.end();
      await this.#leave();
    }
  }

  /** Ends all connections; requests that run fail with INTERRUPTED. */
  async close(): Promise<void> {
    this.#closed.abort(new FallbackError('INTERRUPTED', 'The connection was closed while a request ran.'));
    await this.#pool.destroy();
  }

  async #attempt(call: Call): Promise<Answer> {
    await this.#enter();
    const watch = new SilenceWatch(this.limits.silenceMs, this.#closed.signal);
    try {
      const response = await this.#open(call, watch);
      const body = await this.#readAnswer(response, watch, call.answerBytesMax);
      return { status: response.statusCode, headers: response.headers, body };
    } catch (error) {
      throw this.#asAttemptFailed(watch.signal.aborted ? watch.signal.reason : error);
    } finally {
      watch.end();
      await this.#leave();
    }
  }

  /** The answer's head, when its status is one that was asked for. */
  async #open(call: Call, watch: SilenceWatch): Promise<Dispatcher.ResponseData> {
    const response = await this.#dispatch(call, watch);
    this.#reached = true;
    watch.touch();
    if (call.success.includes(response.statusCode)) return response;
    const body = await this.#readAnswer(response, watch, this.limits.problemBytesMax);
    throw new AttemptFailed(failureOfAnswer(response.statusCode, response.headers, body));
  }

  async #dispatch(call: Call, watch: SilenceWatch): Promise<Dispatcher.ResponseData> {
    const { body, token } = call;
    const bytes = body?.parts.reduce((sum, part) => sum + part.byteLength, 0) ?? 0;
    const headers: Record<string, string> = { accept: 'application/json, application/octet-stream', ...call.headers };
    if (token !== undefined) headers['authorization'] = `Bearer ${Buffer.from(token).toString('base64url')}`;
    if (body !== undefined) {
      headers['content-type'] = body.type;
      headers['content-length'] = String(bytes);
      headers['content-digest'] = `sha-256=:${Buffer.from(body.sha256).toString('base64')}:`;
    }
    this.#options.uploadLimiter?.charge(headBytes);
    return await request.call(this.#pool, {
      method: call.method,
      path: call.path,
      headers,
      // undici takes any async iterable, and waits for the socket between its pieces; its types know of streams only.
      body: body === undefined ? null : (this.#pieces(body, bytes, watch) as unknown as Readable),
      signal: watch.signal,
      // `102 Processing`: the server is alive, however long its line or its disk takes.
      onInfo: () => watch.touch(this.#unseenMs(bytes)),
    });
  }

  /** Time beyond silenceMs for a body that is on its way where no sign of life can be seen. */
  #unseenMs(bodyBytes: number): number {
    if (this.#options.server.trust.kind === 'pinned') return 0;
    return (bodyBytes / 1024) * this.limits.silencePerKiBThroughProxyMs;
  }

  /** The body, piece by piece, no faster than the socket and the limit allow. */
  async *#pieces(body: CallBody, totalBytes: number, watch: SilenceWatch): AsyncGenerator<Uint8Array> {
    const limiter = this.#options.uploadLimiter;
    const pieceBytes = Math.min(this.limits.sendPieceBytes, limiter?.pieceBytesMax ?? this.limits.sendPieceBytes);
    for (const part of body.parts) {
      for (let at = 0; at < part.byteLength; at += pieceBytes) {
        const piece = part.subarray(at, at + pieceBytes);
        if (limiter !== undefined) {
          watch.pause();
          await limiter.take(withTls(piece.byteLength), watch.signal);
        }
        this.#meter.bodySentBytes += piece.byteLength;
        watch.touch(this.#unseenMs(totalBytes));
        yield piece;
      }
    }
  }

  async *#readBody(response: Dispatcher.ResponseData, watch: SilenceWatch): AsyncGenerator<Uint8Array> {
    for await (const chunk of response.body) {
      const bytes = chunk as Buffer;
      watch.touch();
      this.#meter.bodyReceivedBytes += bytes.byteLength;
      yield bytes;
    }
  }

  async #readAnswer(response: Dispatcher.ResponseData, watch: SilenceWatch, bytesMax: number): Promise<Uint8Array> {
    const header = response.headers['content-length'];
    const declared = typeof header === 'string' ? Number(header) : undefined;
    // One buffer of the declared length, filled as it comes: a pack is not copied twice.
    let body: Uint8Array = new Uint8Array(0);
    let bytes = 0;
    try {
      if ((declared ?? 0) > bytesMax) throw tooLarge(bytesMax);
      if (declared !== undefined) body = Buffer.allocUnsafeSlow(declared);
      // Not `for await`: for pieces of 16 KiB its promises cost more than copying them.
      await eachPiece(response.body, (piece) => {
        watch.touch();
        this.#meter.bodyReceivedBytes += piece.byteLength;
        const end = bytes + piece.byteLength;
        if (end > bytesMax) throw tooLarge(bytesMax);
        if (end > body.byteLength) body = grown(body, end, bytesMax);
        body.set(piece, bytes);
        bytes = end;
      });
    } finally {
      response.body.on('error', () => {}).destroy();
    }
    this.#options.downloadLimiter?.charge(withTls(bytes) + headBytes);
    if (declared !== undefined && declared !== bytes) {
      throw new FallbackError('UNREACHABLE', 'The server’s answer ended early.');
    }
    return bytes === body.byteLength ? body : body.subarray(0, bytes);
  }

  /** What a request threw, with the server's address, for `retry` to judge; a defect stays what it is. */
  #asAttemptFailed(error: unknown): unknown {
    const failure = asFailure(error);
    const { host, port } = this.#options.server;
    return failure === undefined ? error : new AttemptFailed(failureAt(failure, host, port));
  }

  async #enter(): Promise<void> {
    while (this.#freeConnections === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#freeConnections--;
  }

  async #leave(): Promise<void> {
    // undici takes a connection for free one turn of the event loop after its answer: asked before, it would open another one.
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#freeConnections++;
    this.#waiting.shift()?.();
  }
}

/** Hands on a stream's pieces as they come, to its end. @throws what `take` throws and what ended the stream early. */
async function eachPiece(stream: Readable, take: (piece: Buffer) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.on('data', (piece: Buffer) => {
      try {
        take(piece);
      } catch (error) {
        reject(error);
        stream.destroy();
      }
    });
    stream.once('end', resolve).once('error', reject);
    stream.once('close', () => reject(new FallbackError('UNREACHABLE', 'The server’s answer ended early.')));
  });
}

/** For an answer of no declared length: at least doubled, so that it is copied seldom. */
function grown(body: Uint8Array, bytesMin: number, bytesMax: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(bytesMax, Math.max(bytesMin, body.byteLength * 2, 16 * 1024)));
  larger.set(body);
  return larger;
}

const tooLarge = (bytesMax: number): FallbackError =>
  new FallbackError('LIMIT_EXCEEDED', `The server’s answer is longer than ${bytesMax} bytes, and was not read.`);

function asFailure(error: unknown): Failure | undefined {
  if (error instanceof AttemptFailed) return error.failure;
  if (isFallbackError(error)) {
    const passing = error.code === 'TIMEOUT' || error.code === 'UNREACHABLE';
    return { error, repeat: passing ? 'yes' : 'no' };
  }
  return classifyNetworkError(error);
}

/** For answers with an expected status whose contents make no sense. */
export const foreign = (cause?: unknown): FallbackError => failureOf(foreignAnswer, cause).error;
