// restic, encrypted and compressed: into a folder, or over HTTPS through `rclone serve restic`.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../measure/ports.ts';
import { Relay } from '../measure/relay.ts';
import { runProcess, ServerProcess } from '../measure/run-process.ts';
import { firstLine } from '../report/machine.ts';
import { folderBytes, measureStep, type Repository, type StepFigures, type Tool } from './tool.ts';

const version = (): string | undefined => firstLine('restic', ['version'])?.match(/restic (\S+)/)?.[1];

/** Everything that restic does, with the environment that says where. */
function makeRepository(
  environment: Readonly<Record<string, string>>,
  storeFolder: string,
  server: ServerProcess | undefined,
  relay: Relay | undefined,
): Repository {
  const step = (...args: string[]): Promise<StepFigures> => measureStep('restic', args, { environment }, server, relay);
  return {
    push: (archives) => step('backup', '--quiet', archives),
    restore: (into) => step('restore', 'latest', '--target', into),
    list: () => step('snapshots'),
    check: () => step('check', '--read-data'),
    storedBytes: () => folderBytes(storeFolder),
    stop: async () => {
      await relay?.stop();
      await server?.stop();
    },
  };
}

async function prepare(folder: string): Promise<{ environment: Record<string, string>; storeFolder: string }> {
  const storeFolder = join(folder, 'store');
  await mkdir(storeFolder);
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, 'bench', { mode: 0o600 });
  const environment = { RESTIC_PASSWORD_FILE: passwordFile, RESTIC_CACHE_DIR: join(folder, 'cache') };
  return { environment, storeFolder };
}

export function resticInFolder(): Tool {
  return {
    name: 'restic, folder',
    version: version(),
    missing: 'restic',
    async open(folder) {
      const { environment, storeFolder } = await prepare(folder);
      const settings = { ...environment, RESTIC_REPOSITORY: storeFolder };
      await runProcess('restic', ['init'], { environment: settings });
      return makeRepository(settings, storeFolder, undefined, undefined);
    },
  };
}

/** A certificate for 127.0.0.1 that only this bench trusts. */
async function makeCertificate(folder: string): Promise<{ key: string; certificate: string }> {
  const key = join(folder, 'tls.key');
  const certificate = join(folder, 'tls.crt');
  const names = ['-subj', '/CN=bench', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-days', '2'];
  await runProcess('openssl', ['req', ...kind, '-keyout', key, '-out', certificate, ...names]);
  return { key, certificate };
}

export function resticOverHttps(): Tool {
  const rclone = firstLine('rclone', ['version'])?.match(/rclone v?(\S+)/)?.[1];
  const restic = version();
  return {
    name: 'restic, HTTPS',
    version: restic === undefined || rclone === undefined ? undefined : `${restic}, rclone ${rclone}`,
    missing: 'restic or rclone',
    async open(folder, isCounted) {
      const { environment, storeFolder } = await prepare(folder);
      const { key, certificate } = await makeCertificate(folder);
      const port = await freePort();
      const args = ['serve', 'restic', '--addr', `127.0.0.1:${port}`, '--key', key, '--cert', certificate, storeFolder];
      const config = join(folder, 'rclone.conf');
      await writeFile(config, '');
      const server = await ServerProcess.start('rclone', args, port, join(folder, 'rclone.log'), {
        RCLONE_CONFIG: config,
      });
      const relayPort = await freePort();
      const relay = isCounted ? await Relay.start(relayPort, () => port) : undefined;
      const settings = {
        ...environment,
        RESTIC_REPOSITORY: `rest:https://127.0.0.1:${isCounted ? relayPort : port}/`,
        // restic 0.14 has no variable for the certificate: Go reads this one.
        SSL_CERT_FILE: certificate,
      };
      await runProcess('restic', ['init'], { environment: settings });
      return makeRepository(settings, storeFolder, server, relay);
    },
  };
}
