// Requests as a stranger makes them: any method, path, header and body, over TLS or on a bare socket.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request as plainRequest, type RequestOptions } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { identityFileName } from '../../src/server/server-identity.ts';
import type { ServerFixture } from './server-fixture.ts';

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body as JSON, or undefined. */
  readonly json: Record<string, unknown> | undefined;
  readonly continued: boolean;
}

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly token?: Uint8Array;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array;
  readonly plain?: boolean;
}

/** The server's certificate as its own file has it. */
export const certificateOf = (fixture: ServerFixture): string =>
  readFileSync(join(fixture.temporary.folder, identityFileName), 'latin1');

export const digestHeader = (body: Uint8Array): string =>
  `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;

export const bearer = (token: Uint8Array): string => `Bearer ${Buffer.from(token).toString('base64url')}`;

function parseJson(body: Buffer): Record<string, unknown> | undefined {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Sends a request on a connection of its own. A body gets its length and digest unless `headers` say otherwise. */
export async function ask(fixture: ServerFixture, raw: RawRequest): Promise<RawAnswer> {
  const headers: Record<string, string> = { ...raw.headers };
  if (raw.token !== undefined) headers['authorization'] ??= bearer(raw.token);
  if (raw.body !== undefined) {
    headers['content-digest'] ??= digestHeader(raw.body);
    headers['content-type'] ??= 'application/octet-stream';
    if (headers['transfer-encoding'] === undefined) headers['content-length'] ??= String(raw.body.byteLength);
  }
  const options: RequestOptions = {
    host: '127.0.0.1',
    port: fixture.port,
    method: raw.method ?? 'GET',
    path: raw.path,
    headers,
    agent: false,
  };
  return await new Promise<RawAnswer>((resolve, reject) => {
    let continued = false;
    const request =
      raw.plain === true
        ? plainRequest(options)
        : tlsRequest({ ...options, ca: [certificateOf(fixture)], servername: 'fallback.invalid' });
    request.on('continue', () => {
      continued = true;
      request.end(raw.body);
    });
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks);
        const { statusCode: status = 0, headers: answered } = response;
        resolve({ status, headers: answered, body, json: parseJson(body), continued });
        request.destroy();
      });
    });
    request.on('error', reject);
    if (headers['expect'] === undefined) request.end(raw.body);
    else request.flushHeaders();
  });
}

/** A bare TLS connection, and everything that comes back on it until it closes. */
export class RawConnection {
  readonly socket: TLSSocket;
  received = '';
  readonly closed: Promise<void>;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.received += text;
    });
    socket.on('error', () => {});
    this.closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  }

  static async open(fixture: ServerFixture): Promise<RawConnection> {
    const socket = connect({
      host: '127.0.0.1',
      port: fixture.port,
      ca: [certificateOf(fixture)],
      servername: 'fallback.invalid',
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', () => resolve()).once('error', reject);
    });
    return new RawConnection(socket);
  }
}

/** Resolves once `condition` holds; fails after `withinMs`. */
export async function eventually(what: string, condition: () => boolean, withinMs = 5_000): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
