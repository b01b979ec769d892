// How many bytes went over the wire: counted at the sockets, with TLS and heads, not estimated from what was meant to be sent.
import type { Socket } from 'node:net';

/** Bytes of all connections since the client was made. */
export interface Traffic {
  /** On the sockets, TLS and all. */
  readonly wireSentBytes: number;
  readonly wireReceivedBytes: number;
  /** Bodies only, repeated ones counted each time. */
  readonly bodySentBytes: number;
  readonly bodyReceivedBytes: number;
}

/** Sums up sockets, those already closed included. */
export class TrafficMeter {
  readonly #open = new Set<Socket>();
  #closedSentBytes = 0;
  #closedReceivedBytes = 0;
  bodySentBytes = 0;
  bodyReceivedBytes = 0;

  /** @param socket the TCP socket under TLS: its counters are those of the wire. */
  watch(socket: Socket): void {
    this.#open.add(socket);
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#closedSentBytes += socket.bytesWritten;
      this.#closedReceivedBytes += socket.bytesRead;
    });
  }

  read(): Traffic {
    let wireSentBytes = this.#closedSentBytes;
    let wireReceivedBytes = this.#closedReceivedBytes;
    for (const socket of this.#open) {
      wireSentBytes += socket.bytesWritten;
      wireReceivedBytes += socket.bytesRead;
    }
    const { bodySentBytes, bodyReceivedBytes } = this;
    return { wireSentBytes, wireReceivedBytes, bodySentBytes, bodyReceivedBytes };
  }
}
