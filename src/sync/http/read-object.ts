// Reads a pack or a snapshot, whole or a span of it; under --limit-download in pieces, so that the wire never sees a burst.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { ByteSpan } from '../../store/repository-store.ts';
import { type Answer, type Call, foreign, type HttpClient } from './http-client.ts';
import type { RateLimiter } from './rate-limiter.ts';

interface Piece {
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
}

/** Checks that the answer is the span that was asked for. */
function pieceOf(answer: Answer, span: ByteSpan): Piece {
  const range = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(String(answer.headers['content-range']));
  if (answer.status !== 206 || range === null) throw foreign();
  const [start = -1, last = -1, sizeBytes = -1] = range.slice(1).map(Number);
  const end = Math.min(span.end, sizeBytes);
  if (start !== span.start || last !== end - 1 || answer.body.byteLength !== end - start) throw foreign();
  return { bytes: answer.body, sizeBytes };
}

const outside = (): FallbackError =>
  new FallbackError('LIMIT_EXCEEDED', 'The bytes that were asked for lie outside the object.');

async function readPiece(client: HttpClient, call: Call, span: ByteSpan): Promise<Piece> {
  const range = `bytes=${span.start}-${span.end - 1}`;
  const answer = await client.send({
    ...call,
    headers: { ...call.headers, range },
    success: [206],
    answerBytesMax: Math.min(call.answerBytesMax, span.end - span.start),
  });
  return pieceOf(answer, span);
}

async function readLimited(client: HttpClient, call: Call, limiter: RateLimiter, span?: ByteSpan): Promise<Uint8Array> {
  const stepBytes = Math.max(client.limits.rangePieceBytesMin, Math.floor(limiter.bytesPerSecond / 8));
  const pieces: Uint8Array[] = [];
  let at = span?.start ?? 0;
  let end = span?.end ?? at + stepBytes;
  while (at < end) {
    const wantedBytes = Math.min(stepBytes, end - at);
    // Waits until the last piece is paid for; what the next one costs is charged when it has come.
    await limiter.take(0);
    const piece = await readPiece(client, call, { start: at, end: at + wantedBytes });
    if (piece.sizeBytes > call.answerBytesMax) throw tooLarge(call.answerBytesMax);
    if (span !== undefined && span.end > piece.sizeBytes) throw outside();
    end = span?.end ?? piece.sizeBytes;
    at += piece.bytes.byteLength;
    pieces.push(piece.bytes);
  }
  return new Uint8Array(Buffer.concat(pieces));
}

const tooLarge = (bytesMax: number): FallbackError =>
  new FallbackError('LIMIT_EXCEEDED', `The object on the server is longer than ${bytesMax} bytes, and was not read.`);

/** @param call asks for the whole object; its answer's limit is the object's. @returns unverified bytes. */
export async function readObject(client: HttpClient, call: Call, span?: ByteSpan): Promise<Uint8Array> {
  if (span !== undefined && span.end <= span.start) return new Uint8Array(0);
  if (client.downloadLimiter !== undefined) return await readLimited(client, call, client.downloadLimiter, span);
  if (span !== undefined) {
    const piece = await readPiece(client, call, span);
    if (piece.sizeBytes < span.end) throw outside();
    return piece.bytes;
  }
  return (await client.send(call)).body;
}
