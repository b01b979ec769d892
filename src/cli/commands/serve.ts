// fallback serve: the server over one store's folder, with its own retention and scrub.
import { toHex } from '../../bytes/hex.ts';
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import { withFsErrors } from '../../fs/map-fs-error.ts';
import type { MaintenanceTask } from '../../server/maintenance.ts';
import { describeError, formatEvent, type LogLine } from '../../server/request-log.ts';
import type { ListeningServer, RunningServer, ServerTransport } from '../../server/start-server.ts';
import type { Store } from '../../store/store.ts';
import { type CommandBody, flagOption, type Invocation, textOption, valueOption } from '../command-spec.ts';
import { maintenanceTasks } from '../maintenance-tasks.ts';
import { storeFolder } from '../open-repository.ts';
import { type HostPort, parseDurationMs, parseHostPort, parseSizeBytes, showHostPort } from '../parse-values.ts';
import { guessHost, type NotedAddress, noteAddress } from '../server-address.ts';
import { absolutePath, storeOption } from '../shared-options.ts';
import { showFingerprint } from '../show.ts';
import type { World } from '../world.ts';

const portDefault = 7443;
const day = 24 * 3_600_000;
/** With a store that takes nothing any more there is nothing to finish, but answers that are under way. */
const invalidGraceMs = 1_000;

const listenOption = valueOption('--listen <host:port>', 'where to listen', parseHostPort(portDefault), {
  absent: 'all addresses, port 7443',
  completion: 'none',
});
const publicOption = valueOption(
  '--public <host[:port]>',
  'how main servers reach this machine: goes into pairing codes',
  parseHostPort(0),
  { absent: 'this machine’s domain name', completion: 'none' },
);
const certificateOption = textOption(
  '--certificate <file>',
  'a web certificate (PEM) instead of the store’s own; needs --key',
  {
    completion: 'file',
  },
);
const keyOption = textOption('--key <file>', 'the key of --certificate (PEM), readable by its owner only', {
  completion: 'file',
});
const proxyOption = flagOption(
  '--behind-proxy',
  'plain HTTP on a loopback address, for a reverse proxy; needs --public',
);
const logOption = flagOption('--log-requests', 'log every request, not only refused ones');
const retentionOption = valueOption('--retention-every <time>', 'how often retention runs', parseDurationMs, {
  absent: '1d',
  completion: 'none',
});
const scrubOption = valueOption(
  '--scrub-every <time>',
  'how often everything is read again and verified',
  parseDurationMs,
  {
    absent: '30d',
    completion: 'none',
  },
);
const noMaintenanceOption = flagOption('--no-maintenance', 'neither retention nor scrub: timers of your own run them');
const reserveOption = valueOption('--reserve <size>', 'leave so much of the disk free', parseSizeBytes, {
  absent: '268MB',
  completion: 'none',
});

async function transportOf(invocation: Invocation): Promise<ServerTransport> {
  const { world } = invocation;
  const [certificate, key] = [invocation.get(certificateOption), invocation.get(keyOption)];
  const isProxied = invocation.get(proxyOption) !== undefined;
  if ((certificate === undefined) !== (key === undefined) || (isProxied && certificate !== undefined)) {
    throw new FallbackError('USAGE', '--certificate and --key go together, and not with --behind-proxy.');
  }
  if (isProxied) return { kind: 'behind-proxy' };
  if (certificate === undefined || key === undefined) return { kind: 'self-signed' };
  const [{ readSecretFile }, { readFile }] = await Promise.all([
    import('../../fs/read-secret-file.ts'),
    import('node:fs/promises'),
  ]);
  const keyPem = Buffer.from(await readSecretFile(absolutePath(world, key))).toString('latin1');
  const certificatePem = await withFsErrors('read the certificate', () =>
    readFile(absolutePath(world, certificate), 'latin1'),
  );
  return { kind: 'certificate', keyPem, certificatePem };
}

/** Lines for people and journals: every event, and of the requests those that were refused, unless all are wanted. */
function logLines({ stdout }: World, withRequests: boolean): LogLine {
  return (line) => {
    const isRequest = line.includes('"event":"request"');
    if (isRequest && !withRequests && !/"status":[45]/.test(line)) return;
    if (stdout.writable) stdout.write(`${line}\n`);
  };
}

/** The host for pairing codes: as told, else as guessed. */
const publicHost = (invocation: Invocation): string | undefined =>
  invocation.get(publicOption)?.host ?? guessHost(invocation.world);

/** The port for pairing codes: as told, else the server's own, or that of the proxy before it. */
function publicPort(invocation: Invocation, transport: ServerTransport, { address }: ListeningServer): number {
  const told = invocation.get(publicOption)?.port ?? 0;
  if (told !== 0) return told;
  return transport.kind === 'behind-proxy' ? 443 : address.port;
}

/** A disk that is full or read-only must not keep the server from giving back what it holds. */
async function noteAddressIfPossible(
  { world, output }: Invocation,
  folder: string,
  address: NotedAddress,
): Promise<void> {
  try {
    await noteAddress(world, folder, address);
  } catch (error) {
    const isReadOnly = isFallbackError(error, 'IO') && error.details['system'] === 'EROFS';
    if (!isReadOnly && !isFallbackError(error, 'DISK_FULL')) throw error;
    output.warn(`The server’s address was not noted for fallback invite (${error.message}) It serves all the same.`);
  }
}

/** Rejects, with its reason, when the store can be used no more: whoever started the server starts it again, and it is opened anew. */
class StoreWatch {
  readonly invalid: Promise<never>;
  #reject: (error: FallbackError) => void = () => undefined;

  constructor() {
    this.invalid = new Promise((_, reject) => {
      this.#reject = reject;
    });
    // It may come before anybody waits for it.
    this.invalid.catch(() => undefined);
  }

  readonly onInvalid = (error: FallbackError): void => this.#reject(error);
}

async function openStoreHere(
  invocation: Invocation,
  folder: string,
  onInvalid: (error: FallbackError) => void,
): Promise<Store> {
  const { world, output } = invocation;
  const { createStore } = await import('../../store/open-store.ts');
  const reserve = invocation.get(reserveOption);
  return await createStore({
    folder,
    environment: world,
    fileSystem: world.fs,
    options: reserve === undefined ? {} : { reserveFreeBytes: reserve },
    onInvalid,
    onRebuild: ({ packs }) => output.note(`fallback: rebuilding the store’s records: ${packs} packs so far`),
  });
}

async function run(invocation: Invocation): Promise<undefined> {
  const { world, output } = invocation;
  const folder = await storeFolder(invocation);
  const transport = await transportOf(invocation);
  const listen = invocation.get(listenOption) ?? listenDefault(transport);
  if (transport.kind === 'behind-proxy' && invocation.get(publicOption) === undefined) {
    throw new FallbackError('USAGE', 'Behind a reverse proxy the public address must be told.', {
      hint: 'Add --public HOST[:PORT], as main servers reach the proxy.',
    });
  }
  const watch = new StoreWatch();
  const store = await openStoreHere(invocation, folder, watch.onInvalid);
  try {
    const lock = await store.lock('serve', 'fallback serve');
    try {
      const host = publicHost(invocation);
      const pinnedOf = ({ certificateSha256 }: ListeningServer): Uint8Array | undefined =>
        transport.kind === 'self-signed' ? certificateSha256 : undefined;
      // Noted before it says that it has started: whoever waits for that may make a pairing code at once.
      const server = await start(invocation, store, transport, listen, async (listening) => {
        const port = publicPort(invocation, transport, listening);
        await noteAddressIfPossible(invocation, folder, { host, port, certificateSha256: pinnedOf(listening) });
      });
      const certificateSha256 = pinnedOf(server);
      output.note(`fallback: serving ${folder} on ${showHostPort(server.address)}`);
      if (certificateSha256 !== undefined) {
        output.note(`fallback: certificate ${showFingerprint(toHex(certificateSha256))}`);
      }
      if (host === undefined) {
        output.note('fallback: pairing codes need to know this machine’s name: fallback invite --address HOST[:PORT]');
      }
      const { stopOnSignals } = await import('../../server/stop-on-signals.ts');
      try {
        await Promise.race([stopOnSignals(server, world.signals), watch.invalid]);
      } catch (error) {
        const log = logLines(world, false);
        log(formatEvent(world.nowMs(), 'error', { error: describeError(error), stopping: true }));
        await server.stop(invalidGraceMs);
        throw error;
      }
    } finally {
      lock.release();
    }
  } finally {
    await store.close();
  }
  return undefined;
}

const listenDefault = (transport: ServerTransport): HostPort =>
  transport.kind === 'behind-proxy' ? { host: '127.0.0.1', port: portDefault } : { host: '::', port: portDefault };

async function start(
  invocation: Invocation,
  store: Store,
  transport: ServerTransport,
  listen: HostPort,
  onListening: (server: ListeningServer) => Promise<void>,
): Promise<RunningServer> {
  const { world } = invocation;
  const [{ startServer }, { StoreHost }] = await Promise.all([
    import('../../server/start-server.ts'),
    import('../../server/store-host.ts'),
  ]);
  const log = logLines(world, invocation.get(logOption) !== undefined);
  const tasks: readonly MaintenanceTask[] =
    invocation.get(noMaintenanceOption) !== undefined
      ? []
      : maintenanceTasks(store, world, log, {
          retentionEveryMs: invocation.get(retentionOption) ?? day,
          scrubEveryMs: invocation.get(scrubOption) ?? 30 * day,
        });
  const begin = (at: HostPort): Promise<RunningServer> =>
    startServer({
      host: new StoreHost(store),
      folder: store.folder,
      listen: at,
      transport,
      fs: world.fs,
      environment: world,
      monotonicMs: () => world.monotonicMs(),
      log,
      maintenance: tasks,
      onListening,
    });
  try {
    return await begin(listen);
  } catch (error) {
    // A machine without IPv6 has no `::`.
    const isDefault = invocation.get(listenOption) === undefined && listen.host === '::';
    if (!isDefault || !isFallbackError(error, 'CONFIG_INVALID') || !error.message.includes('EAFNOSUPPORT')) throw error;
    return await begin({ ...listen, host: '0.0.0.0' });
  }
}

export const serveCommand: CommandBody = {
  description: [
    'Makes the store when the folder is missing or empty. The server holds no key: it cannot read what it keeps. TLS 1.3 with a certificate ' +
      'of its own, made on first start and pinned by pairing codes; or with a web certificate; or plain HTTP behind a reverse proxy on the same machine.',
    'Retention and scrub run by themselves. The log is one line of JSON for each event, on stdout. SIGTERM and Ctrl-C let running uploads ' +
      'finish for 30 seconds; a second one cuts them.',
  ],
  options: [
    storeOption,
    listenOption,
    publicOption,
    certificateOption,
    keyOption,
    proxyOption,
    reserveOption,
    retentionOption,
    scrubOption,
    noMaintenanceOption,
    logOption,
  ],
  examples: [
    ['fallback serve --dir /srv/fallback --public backup.example.org', 'on port 7443, with its own certificate'],
    ['fallback serve --dir /srv/fallback --behind-proxy --public backup.example.org:443', 'behind nginx'],
  ],
  json: [
    'Always JSON lines: `at`, `event` (`started`, `request`, `refused`, `maintenance`, `error`, `stopped`) and what belongs to it.',
  ],
  ownSignals: true,
  run,
};
