// The connections that are open: how many in all and of one address, and which of them makes way when there are too many.
import type { Socket } from 'node:net';
import { addressKey } from './admission.ts';
import type { ServerLimits } from './server-limits.ts';

interface Connection {
  readonly peer: string;
  readonly socket: Socket;
  readonly address: string;
  /** A token was accepted on it. */
  isTrusted: boolean;
}

/** A TLS socket and the TCP socket below it are two objects with one peer. */
const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

/** The open connections, oldest first. */
export class Connections {
  readonly #limits: ServerLimits;
  readonly #countsAddresses: boolean;
  readonly #open = new Map<string, Connection>();

  /** @param countsAddresses whether one address has a limit of its own: behind a reverse proxy all have one. */
  constructor(limits: ServerLimits, countsAddresses: boolean) {
    this.#limits = limits;
    this.#countsAddresses = countsAddresses;
  }

  /**
   * Takes a connection, or ends it. Where there are too many, the oldest on which no token was ever accepted makes way: silent
   * strangers would keep out whoever has one.
   */
  enter(socket: Socket): void {
    const { connectionsMax, connectionsPerAddressMax } = this.#limits;
    const address = addressKey(socket.remoteAddress);
    const ofAddress = [...this.#open.values()].filter((one) => one.address === address);
    const isRoom =
      (!this.#countsAddresses || ofAddress.length < connectionsPerAddressMax || this.#evict(ofAddress)) &&
      (this.#open.size < connectionsMax || this.#evict(this.#open.values()));
    if (!isRoom) {
      socket.destroy();
      return;
    }
    const peer = peerOf(socket);
    const connection = { peer, socket, address, isTrusted: false };
    this.#open.set(peer, connection);
    socket.on('close', () => {
      if (this.#open.get(peer) === connection) this.#open.delete(peer);
    });
  }

  /** Notes that a token was accepted on a connection. */
  trust(socket: Socket): void {
    const connection = this.#open.get(peerOf(socket));
    if (connection !== undefined) connection.isTrusted = true;
  }

  /** Ends all. */
  cut(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }

  #evict(candidates: Iterable<Connection>): boolean {
    for (const { peer, socket, isTrusted } of candidates) {
      if (isTrusted) continue;
      this.#open.delete(peer);
      socket.destroy();
      return true;
    }
    return false;
  }
}
