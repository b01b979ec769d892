// What a handler gives back: data, written to the socket by send-reply.ts.

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Whole bytes, or a stream of them; a stream with a known length says so in `content-length`. */
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
  /** The error's code, for the log. */
  readonly code?: string;
  /** Lets go of what the body is read from; called once, sent or not. */
  readonly close?: () => Promise<void>;
}

/** @param value of plain data. */
export function jsonReply(status: number, value: unknown): Reply {
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: Buffer.from(JSON.stringify(value)),
  };
}

export function bytesReply(status: number, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Reply {
  return {
    status,
    headers: { 'content-type': 'application/octet-stream', 'cache-control': 'no-store', ...headers },
    body,
  };
}

/** 204: done, nothing to say. */
export const emptyReply: Reply = { status: 204, headers: {}, body: new Uint8Array(0) };
