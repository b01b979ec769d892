// A server in a process of its own, for tests that measure or kill it: prints one line of JSON and serves until it is ended.
import { randomBytes } from 'node:crypto';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { startServer } from '../../src/server/start-server.ts';
import { stopOnSignals } from '../../src/server/stop-on-signals.ts';
import { StoreHost } from '../../src/server/store-host.ts';
import { createStore } from '../../src/store/open-store.ts';
import { pair } from '../support/temporary-store.ts';

const [folder = '', tenants = '1', port = '0'] = process.argv.slice(2);
const environment = { nowMs: () => Date.now(), randomBytes: (count: number) => new Uint8Array(randomBytes(count)) };
const store = await createStore({ folder, environment, options: { reserveFreeBytes: 0 } });
const paired = [];
for (let count = 0; count < Number(tenants); count++) paired.push(await pair(store, `tenant-${count}`));
const server = await startServer({
  host: new StoreHost(store),
  folder,
  listen: { host: '127.0.0.1', port: Number(port) },
  transport: { kind: 'self-signed' },
  fs: nodeFileSystem,
  environment,
  monotonicMs: () => performance.now(),
  log: () => {},
});
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');
const clients = paired.map(({ id, pushToken }) => ({ id, pushToken: hex(pushToken) }));
process.stdout.write(
  `${JSON.stringify({ port: server.address.port, certificateSha256: hex(server.certificateSha256), clients })}\n`,
);
await stopOnSignals(server, process);
await store.close();
