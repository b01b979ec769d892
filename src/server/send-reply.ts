// Writes a reply to the socket: with backpressure, and no longer than the reader keeps taking.
import type { ServerResponse } from 'node:http';
import { PeerGone } from './problem.ts';
import type { Reply } from './reply.ts';
import type { ServerLimits } from './server-limits.ts';

const sliceBytes = 64 * 1024;

/** Resolves when the socket takes more. @throws PeerGone when it closes, or takes nothing for `stallMs`. */
async function drained(response: ServerResponse, stallMs: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      response.off('drain', settle).off('close', gone);
      if (error === undefined) resolve();
      else reject(error);
    };
    const gone = (): void => settle(new PeerGone('the client went away'));
    const timer = setTimeout(() => settle(new PeerGone('the client took nothing for too long')), stallMs);
    response.on('drain', settle).on('close', gone);
  });
}

async function write(response: ServerResponse, bytes: Uint8Array, stallMs: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength; at += sliceBytes) {
    if (response.destroyed) throw new PeerGone('the client went away');
    if (!response.write(bytes.subarray(at, at + sliceBytes))) await drained(response, stallMs);
  }
}

/** Ends the reply and waits until the socket has it all. */
async function end(response: ServerResponse, stallMs: number): Promise<void> {
  if (response.destroyed) throw new PeerGone('the client went away');
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => response.destroy(), stallMs);
    response.once('close', () => {
      clearTimeout(timer);
      if (response.writableFinished) resolve();
      else reject(new PeerGone('the client went away'));
    });
    response.end();
  });
}

/**
 * Sends a reply whole.
 * @returns how many bytes of body were sent.
 * @throws PeerGone, or what the body's stream threw: the connection is cut then, because the head is already out.
 */
export async function sendReply(response: ServerResponse, reply: Reply, limits: ServerLimits): Promise<number> {
  let sentBytes = 0;
  try {
    if (reply.body instanceof Uint8Array) {
      const length = reply.status === 204 ? {} : { 'content-length': reply.body.byteLength };
      response.writeHead(reply.status, { ...reply.headers, ...length });
      await write(response, reply.body, limits.replyStallMs);
      sentBytes = reply.body.byteLength;
    } else {
      response.writeHead(reply.status, reply.headers);
      response.flushHeaders();
      for await (const bytes of reply.body) {
        await write(response, bytes, limits.replyStallMs);
        sentBytes += bytes.byteLength;
      }
    }
    await end(response, limits.replyStallMs);
    return sentBytes;
  } catch (error) {
    response.destroy();
    throw error;
  }
}
