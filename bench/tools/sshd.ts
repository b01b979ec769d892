// An ssh server of the bench's own: loopback, own keys, own port, own configuration in the bench's folder.
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../measure/ports.ts';
import { runProcess, ServerProcess } from '../measure/run-process.ts';

/** sshd refuses to start as root without this empty folder, which its service makes. */
const separationFolder = '/run/sshd';
export const sshdPath = '/usr/sbin/sshd';

export interface Sshd {
  readonly server: ServerProcess;
  readonly port: number;
  /** The ssh command for a client that goes to `port`. */
  command(port: number): string;
  stop(): Promise<void>;
}

/** Makes the folder that sshd wants; returns what undoes it. */
function ensureSeparationFolder(): () => void {
  if (process.geteuid?.() !== 0 || existsSync(separationFolder)) return () => undefined;
  mkdirSync(separationFolder, { mode: 0o755 });
  return () => rmdirSync(separationFolder);
}

export async function startSshd(folder: string): Promise<Sshd> {
  const hostKey = join(folder, 'host_key');
  const userKey = join(folder, 'user_key');
  for (const path of [hostKey, userKey])
    await runProcess('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'bench', '-f', path]);
  await copyFile(`${userKey}.pub`, join(folder, 'authorized_keys'));
  const port = await freePort();
  const configuration = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${hostKey}`,
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    `PidFile ${join(folder, 'sshd.pid')}`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
    'AllowTcpForwarding no',
    'X11Forwarding no',
    `AllowUsers ${userInfo().username}`,
  ];
  const path = join(folder, 'sshd_config');
  await writeFile(path, `${configuration.join('\n')}\n`);
  const knownHosts = join(folder, 'known_hosts');
  const { stdout } = await runProcess('cat', [`${hostKey}.pub`]);
  await writeFile(knownHosts, `bench ${stdout}`);
  const undo = ensureSeparationFolder();
  try {
    const server = await ServerProcess.start(sshdPath, ['-D', '-e', '-f', path], port, join(folder, 'sshd.log'));
    return {
      server,
      port,
      command: (clientPort) =>
        `ssh -F /dev/null -p ${clientPort} -i ${userKey} -o IdentitiesOnly=yes -o BatchMode=yes -o HostKeyAlias=bench -o UserKnownHostsFile=${knownHosts} -o StrictHostKeyChecking=yes -o LogLevel=ERROR`,
      stop: async () => {
        await server.stop();
        undo();
      },
    };
  } catch (error) {
    undo();
    throw error;
  }
}
