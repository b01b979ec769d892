// A TCP relay on loopback that counts: what a tool really puts on the wire (TLS or ssh included, TCP and IP heads not).
import { connect, createServer, type Server, type Socket } from 'node:net';

export class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** From client to server, and back, in bytes. */
  sentBytes = 0;
  receivedBytes = 0;

  private constructor(targetPort: () => number) {
    this.#server = createServer({ noDelay: true }, (near) => {
      const far = connect({ host: '127.0.0.1', port: targetPort(), noDelay: true });
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.end();
        });
      }
      near.on('data', (bytes: Buffer) => {
        this.sentBytes += bytes.length;
      });
      far.on('data', (bytes: Buffer) => {
        this.receivedBytes += bytes.length;
      });
      near.pipe(far);
      far.pipe(near);
    });
  }

  /** Listens on `port` and hands every connection on to `targetPort()`. */
  static async start(port: number, targetPort: () => number): Promise<Relay> {
    const relay = new Relay(targetPort);
    await new Promise<void>((resolve, reject) => {
      relay.#server.once('error', reject);
      relay.#server.listen(port, '127.0.0.1', resolve);
    });
    return relay;
  }

  /** Starts counting anew. */
  mark(): void {
    this.sentBytes = 0;
    this.receivedBytes = 0;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
