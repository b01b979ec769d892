// Ports of loopback: one for a server that must come back on it, and whether anybody listens.
import { randomInt } from 'node:crypto';
import { connect, createServer } from 'node:net';

// Linux gives ports from 32768 on to whoever asks for none, outgoing connections among them (ip_local_port_range); services
// of a machine live below 10000. In between, a port that was free stays free while its server is down.
const lowest = 10_000;
const beyond = 32_768;

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return await new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/** A TCP port of loopback that nobody listens on, and that the system gives to nobody who does not ask for it by number. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(lowest, beyond);
    if (await isFree(port)) return port;
  }
  throw new Error(`No free port from ${lowest} to ${beyond - 1} was found.`);
}

/** Whether somebody listens on a port of loopback. */
export async function isListening(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
