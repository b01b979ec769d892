// A request's body: announced in the head, read only once the handler wants it, with a minimum rate. PROTOCOL.md, Bodies.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { equalBytes } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { BodyGatherer, type TakePiece } from './body-gatherer.ts';
import { parseContentDigest } from './content-digest.ts';
import { PeerGone, RequestRefused } from './problem.ts';
import { parseInteger } from './request-fields.ts';
import type { ServerLimits } from './server-limits.ts';

/** What a route takes. */
export interface BodyRule {
  readonly type: 'application/json' | 'application/octet-stream';
  readonly bytesMax: number;
}

/** What a request says of its body before it sends it. */
interface Announcement {
  readonly bytes: number;
  readonly sha256: Uint8Array;
}

function announcement(request: IncomingMessage, rule: BodyRule | undefined): Announcement {
  const { headers } = request;
  const isChunked = headers['transfer-encoding'] !== undefined;
  if (rule === undefined) {
    if (!isChunked && (headers['content-length'] ?? '0') === '0') return { bytes: 0, sha256: new Uint8Array(0) };
    throw new RequestRefused(413, 'LIMIT_EXCEEDED', 'This request must not have a body.');
  }
  const bytes = parseInteger(headers['content-length'] ?? '', 0, Number.MAX_SAFE_INTEGER);
  if (isChunked || bytes === undefined) {
    throw new RequestRefused(411, 'REQUEST_INVALID', 'The body’s length must be given in Content-Length.');
  }
  if (bytes > rule.bytesMax) {
    throw new FallbackError('LIMIT_EXCEEDED', `The body has ${bytes} bytes; at most ${rule.bytesMax} are taken here.`);
  }
  if (headers['content-type'] !== rule.type || headers['content-encoding'] !== undefined) {
    throw new RequestRefused(415, 'REQUEST_INVALID', `The body must be ${rule.type}, without Content-Encoding.`);
  }
  const sha256 = parseContentDigest(headers['content-digest']?.toString());
  if (sha256 === undefined) {
    throw new RequestRefused(400, 'REQUEST_INVALID', 'The body’s SHA-256 must be given in Content-Digest.');
  }
  return { bytes, sha256 };
}

export interface IncomingBodyOptions {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly rule: BodyRule | undefined;
  readonly limits: ServerLimits;
  /** Counts the body's bytes until the request is over. @throws RATE_LIMITED. */
  readonly takeMemory: (bytes: number) => void;
}

/** One body. It is read at most once, by `pipe` or by `whole`. */
export class IncomingBody {
  /** The SHA-256 that the client announced: whoever takes the bytes compares it before anything is published. */
  readonly sha256: Uint8Array;
  readonly #announcedBytes: number;
  readonly #options: IncomingBodyOptions;
  #arrivedBytes = 0;

  /** @throws REQUEST_INVALID without length, with another type or without Content-Digest; LIMIT_EXCEEDED beyond the limit. */
  constructor(options: IncomingBodyOptions) {
    const { bytes, sha256 } = announcement(options.request, options.rule);
    this.sha256 = sha256;
    this.#announcedBytes = bytes;
    this.#options = options;
  }

  get arrivedBytes(): number {
    return this.#arrivedBytes;
  }

  /**
   * Drops a peer whose body brings too little in a window; while the store makes it wait, it is not to blame. Returns a function
   * that ends the watch.
   */
  #watchProgress(gatherer: BodyGatherer): () => void {
    const { request, limits } = this.#options;
    let before = 0;
    const timer = setInterval(() => {
      const isTooLittle = this.#arrivedBytes - before < limits.bodyBytesPerWindowMin;
      before = this.#arrivedBytes;
      if (isTooLittle && !gatherer.isHolding) request.destroy(new PeerGone('the body arrived too slowly'));
    }, limits.bodyWindowMs);
    return () => clearInterval(timer);
  }

  /**
   * Hands the bytes on as they arrive, in pieces that are good until `take` is done; the socket waits for it. The digest is left to
   * the taker.
   * @throws PeerGone when the client is gone or was dropped for slowness, and whatever `take` throws.
   */
  async pipe(take: TakePiece): Promise<void> {
    const { request, response } = this.#options;
    if (request.headers.expect !== undefined) response.writeContinue();
    let takeFailed = false;
    const carefully = async (taking: Promise<void>): Promise<void> => {
      try {
        await taking;
      } catch (error) {
        takeFailed = true;
        throw error;
      }
    };
    const gatherer = new BodyGatherer(
      request,
      this.#announcedBytes,
      (bytes) => {
        const taking = take(bytes);
        return taking === undefined ? undefined : carefully(taking);
      },
      (bytes) => {
        this.#arrivedBytes += bytes;
      },
    );
    const unwatch = this.#watchProgress(gatherer);
    try {
      await gatherer.run();
    } catch (error) {
      if (takeFailed || error instanceof PeerGone) throw error;
      throw new PeerGone('the client went away', { cause: error });
    } finally {
      unwatch();
    }
    if (this.#arrivedBytes !== this.#announcedBytes) throw new PeerGone('the body ended early');
  }

  /**
   * The whole body, its digest checked. It has a time to arrive in, since it holds memory that others wait for.
   * @throws DIGEST_MISMATCH, RATE_LIMITED when bodies fill the memory meant for them, PeerGone.
   */
  async whole(): Promise<Uint8Array> {
    const { request, limits, takeMemory } = this.#options;
    takeMemory(this.#announcedBytes);
    const timeMs = limits.wholeBodyGraceMs + (this.#announcedBytes * 1_000) / limits.wholeBodyBytesPerSecondMin;
    const timer = setTimeout(() => request.destroy(new PeerGone('the body took too long')), timeMs);
    try {
      const bytes = Buffer.alloc(this.#announcedBytes);
      let at = 0;
      await this.pipe((piece) => {
        bytes.set(piece.subarray(0, bytes.byteLength - at), at);
        at += piece.byteLength;
      });
      if (equalBytes(createHash('sha256').update(bytes).digest(), this.sha256)) return bytes;
    } finally {
      clearTimeout(timer);
    }
    throw new FallbackError('DIGEST_MISMATCH', 'The body’s SHA-256 is not the one announced; nothing was stored.');
  }
}
