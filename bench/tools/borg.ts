// borg, encrypted, zstd 3: into a folder, or over ssh to the bench's own sshd.
import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../measure/ports.ts';
import { Relay } from '../measure/relay.ts';
import { runProcess, type ServerProcess } from '../measure/run-process.ts';
import { firstLine } from '../report/machine.ts';
import { sshdPath, startSshd } from './sshd.ts';
import { folderBytes, measureStep, type Repository, type StepFigures, type Tool } from './tool.ts';

const version = (): string | undefined => firstLine('borg', ['--version'])?.replace('borg ', '');

/** @param chunker borg's own default when undefined. */
function makeRepository(
  environment: Readonly<Record<string, string>>,
  storeFolder: string,
  chunker: string | undefined,
  server: ServerProcess | undefined,
  relay: Relay | undefined,
): Repository {
  let night = 0;
  const step = (args: string[], folder?: string): Promise<StepFigures> =>
    measureStep('borg', args, { environment, ...(folder === undefined ? {} : { folder }) }, server, relay);
  const cut = chunker === undefined ? [] : ['--chunker-params', chunker];
  return {
    push: (archives) => step(['create', '--compression', 'zstd,3', ...cut, `::night-${++night}`, archives]),
    restore: (into) => step(['extract', `::night-${night}`], into),
    list: () => step(['list']),
    check: () => step(['check', '--verify-data']),
    storedBytes: () => folderBytes(storeFolder),
    stop: async () => {
      await relay?.stop();
    },
  };
}

const baseEnvironment = (folder: string): Record<string, string> => ({
  BORG_BASE_DIR: join(folder, 'base'),
  BORG_PASSPHRASE: 'bench',
  BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes',
});

export function borgInFolder(chunker?: string): Tool {
  return {
    name: chunker === undefined ? 'borg, folder' : 'borg 64 KiB, folder',
    version: version(),
    missing: 'borgbackup',
    async open(folder) {
      const storeFolder = join(folder, 'store');
      const environment = { ...baseEnvironment(folder), BORG_REPO: storeFolder };
      await runProcess('borg', ['init', '--encryption', 'repokey'], { environment });
      return makeRepository(environment, storeFolder, chunker, undefined, undefined);
    },
  };
}

export function borgOverSsh(chunker?: string): Tool {
  const borg = version();
  return {
    name: chunker === undefined ? 'borg, ssh' : 'borg 64 KiB, ssh',
    version: existsSync(sshdPath) ? borg : undefined,
    missing: 'borgbackup or openssh-server',
    async open(folder, isCounted) {
      const sshd = await startSshd(folder);
      const relayPort = await freePort();
      const relay = isCounted ? await Relay.start(relayPort, () => sshd.port) : undefined;
      const storeFolder = join(folder, 'store');
      const environment = {
        ...baseEnvironment(folder),
        BORG_RSH: sshd.command(isCounted ? relayPort : sshd.port),
        BORG_REPO: `ssh://${userInfo().username}@127.0.0.1${storeFolder}`,
      };
      await runProcess('borg', ['init', '--encryption', 'repokey'], { environment });
      const repository = makeRepository(environment, storeFolder, chunker, sshd.server, relay);
      return {
        ...repository,
        stop: async () => {
          await repository.stop();
          await sshd.stop();
        },
      };
    },
  };
}
