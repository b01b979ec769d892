// A TCP proxy in the test's process, with faults as verbs: cut after so many bytes, swallow answers, delay, fall silent.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to one connection; `undefined` fields mean no fault. */
export interface ConnectionPlan {
  /** The connection is reset after so many bytes from the client, or from the server. */
  readonly cutAfterSentBytes?: number;
  readonly cutAfterReceivedBytes?: number;
  /** From so many bytes on, nothing the server says arrives, and the connection ends once the server has fallen quiet. */
  readonly swallowAfterReceivedBytes?: number;
  /** After so many bytes from the server nothing moves any more, and nothing is closed. */
  readonly silentAfterReceivedBytes?: number;
  readonly delayMs?: number;
}

/** Stands before a server on loopback. Each connection asks `plan` for its faults. */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #targetPort: () => number;
  connections = 0;
  /** Told each connection's index, from 0. */
  plan: (index: number) => ConnectionPlan = () => ({});

  private constructor(targetPort: () => number) {
    this.#targetPort = targetPort;
    this.#server = createServer((socket) => this.#join(socket));
  }

  static async start(targetPort: () => number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', () => resolve()));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #join(client: Socket): void {
    const plan = this.plan(this.connections++);
    const upstream = connect(this.#targetPort(), '127.0.0.1');
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    }
    const cut = (): void => {
      client.resetAndDestroy();
      upstream.destroy();
    };
    this.#pass(client, upstream, plan.cutAfterSentBytes, plan.delayMs ?? 0, cut);
    const swallowAt = plan.swallowAfterReceivedBytes;
    if (swallowAt !== undefined) this.#swallow(upstream, client, swallowAt, cut);
    else if (plan.silentAfterReceivedBytes !== undefined)
      this.#fallSilent(upstream, client, plan.silentAfterReceivedBytes);
    else this.#pass(upstream, client, plan.cutAfterReceivedBytes, plan.delayMs ?? 0, cut);
  }

  #pass(from: Socket, to: Socket, budget: number | undefined, delayMs: number, cut: () => void): void {
    let left = budget ?? Number.POSITIVE_INFINITY;
    from.on('data', (bytes: Buffer) => {
      const passed = bytes.subarray(0, Math.min(left, bytes.length));
      left -= bytes.length;
      const send = (): void => {
        to.write(passed);
        if (left <= 0) setTimeout(cut, 5);
      };
      if (delayMs > 0) setTimeout(send, delayMs);
      else send();
    });
    from.on('end', () => setTimeout(() => to.end(), delayMs));
    from.on('close', () => setTimeout(() => to.destroy(), delayMs + 50));
  }

  #swallow(from: Socket, to: Socket, afterBytes: number, cut: () => void): void {
    let left = afterBytes;
    let quiet: NodeJS.Timeout | undefined;
    from.on('data', (bytes: Buffer) => {
      if (left > 0) to.write(bytes.subarray(0, left));
      left -= bytes.length;
      clearTimeout(quiet);
      if (left < 0) quiet = setTimeout(cut, 100);
    });
    from.on('close', cut);
  }

  #fallSilent(from: Socket, to: Socket, afterBytes: number): void {
    let left = afterBytes;
    from.on('data', (bytes: Buffer) => {
      if (left > 0) to.write(bytes.subarray(0, left));
      left -= bytes.length;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
