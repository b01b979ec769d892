// npm run demo -- yunohost: two YunoHost servers (doubles whose state is real files), three nights, the main server dies,
// the fallback server takes over, two days pass, it gives back, and the main server takes home what was produced.
// The command, its processes, TLS and the store are real; every byte is compared. Nothing is left behind.
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chownDouble, yunohostDouble } from '../test/yunohost/double/run-yunohost.ts';
import {
  type AppShape,
  compareServers,
  liveOneDay,
  readServerState,
  seedServer,
} from '../test/yunohost/double/seed-server.ts';
import type { Server } from '../test/yunohost/double/server.ts';
import { type CommandResult, runCommand, type ServeProcess, startServe, tryCommand } from './command.ts';
import { megabytes, playDemo, say } from './play-demo.ts';

const apps: readonly AppShape[] = [
  { id: 'nextcloud', domain: 'main.test', path: '/cloud', database: 'mysql', sizeBytes: 6_000_000 },
  { id: 'wordpress', domain: 'main.test', path: '/blog', database: 'mysql', sizeBytes: 3_000_000 },
  { id: 'synapse', domain: 'main.test', path: '/matrix', database: 'postgresql', sizeBytes: 2_000_000 },
];
const ownApp: AppShape = { id: 'wiki', domain: 'fallback.test', path: '/wiki', sizeBytes: 300_000 };
const users = ['alice', 'bob'];

/** One machine: its root, its configuration, its state. */
interface Machine {
  readonly server: Server;
  readonly state: string;
  readonly config: string;
}

/** Types a command on a machine. */
async function type(
  machine: Machine,
  args: readonly string[],
  isFine: (code: number | null) => boolean = (code) => code === 0,
): Promise<CommandResult> {
  Object.assign(process.env, {
    FALLBACK_HOST_ROOT: machine.server.root,
    YUNOHOST_DOUBLE_ROOT: machine.server.root,
    FALLBACK_YUNOHOST: yunohostDouble,
    FALLBACK_CHOWN: chownDouble,
    FALLBACK_CONFIG: machine.config,
    FALLBACK_STATE: machine.state,
  });
  const result = await tryCommand(args);
  if (!isFine(result.exitCode))
    throw new Error(`fallback ${args.join(' ')} exited with ${result.exitCode}:\n${result.stderr}${result.stdout}`);
  return result;
}

/** What each machine keeps for itself: its own domain and app, certificates, ports, services. */
const ownToEach = [
  /fallback\.test|fbadmin|\/wiki|=wiki|wiki\./,
  /^\/etc\/yunohost\/(certs|services\.yml|settings\.yml|firewall\.yml|domains)/,
  /^ldap:cn=(admins|all_users)/,
  /^\/etc\/yunohost\/apps\/\w+\/settings\.yml$/,
  /^\/var\/lib\/mysql$/,
];

function compare(
  what: string,
  a: ReturnType<typeof readServerState>,
  b: ReturnType<typeof readServerState>,
  ignore: readonly RegExp[],
): void {
  const differences = compareServers(a, b, { ignore });
  if (differences.length > 0)
    throw new Error(`${what}: ${differences.length} differences:\n${differences.slice(0, 10).join('\n')}`);
  say(`      compared: ${b.size} files, folders and directory entries, every byte as it should be`);
}

async function makeMain(folder: string): Promise<Machine> {
  const server = await seedServer({
    root: join(folder, 'main-server'),
    seed: 1,
    mainDomain: 'main.test',
    users,
    userBytes: 2_000_000,
    apps,
  });
  const config = join(folder, 'main.toml');
  const state = join(folder, 'main-state');
  await writeFile(
    config,
    `[server]\nrole = "main"\n[store]\nstate = "${state}"\n[report]\nmail = "never"\n[push]\nreserve_mib = 0\n`,
  );
  return { server, state, config };
}

async function makeFallback(folder: string): Promise<Machine> {
  const server = await seedServer({
    root: join(folder, 'fallback-server'),
    seed: 2,
    mainDomain: 'fallback.test',
    users: ['fbadmin', 'bob'],
    userBytes: 100_000,
    apps: [ownApp],
  });
  const config = join(folder, 'fallback.toml');
  const state = join(folder, 'fallback-state');
  await writeFile(
    config,
    `[server]\nrole = "fallback"\nown_domain = "fallback.test"\n[store]\nstate = "${state}"\nfolder = "${join(folder, 'store')}"\n` +
      '[apps]\nfirst = ["nextcloud"]\n[report]\nmail = "never"\n[push]\nreserve_mib = 0\n',
  );
  return { server, state, config };
}

interface NightReport {
  readonly readBytes?: number;
  readonly sentBytes?: number;
  readonly snapshot?: number;
}

async function pushNight(main: Machine, name: string): Promise<void> {
  const started = performance.now();
  const { json } = await type(main, ['push', '--json']);
  const { readBytes = 0, sentBytes = 0 } = json as NightReport;
  say(
    `    ${name.padEnd(10)} ${megabytes(readBytes).padStart(9)} in archives, ${megabytes(sentBytes).padStart(9)} sent, ${((performance.now() - started) / 1000).toFixed(1)} s`,
  );
}

const day = (number: number) => ({
  day: number,
  seed: 1,
  users,
  apps: [...apps],
  photos: 2,
  photoBytes: 60_000,
  mails: 8,
  rows: 12,
});

async function takeOver(folder: string, main: Machine, fallback: Machine, secret: readonly string[]): Promise<void> {
  say('\nThe main server is down. On the fallback server:\n');
  const before = readServerState(main.server.root);
  await rename(main.server.root, join(folder, 'main-server-is-down'));
  say('    $ fallback deploy');
  const started = performance.now();
  const { stdout } = await type(fallback, ['deploy', ...secret]);
  say(stdout.trimEnd().replace(/^/gm, '      '));
  say(`      in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  compare('after deploy', before, readServerState(fallback.server.root), ownToEach);
}

async function play(folder: string, onServer: (server: ServeProcess) => void): Promise<void> {
  say(
    'Two YunoHost servers: main.test with three apps and two users, fallback.test with an app and a user of its own …',
  );
  const [main, fallback] = await Promise.all([makeMain(folder), makeFallback(folder)]);
  const own = readServerState(fallback.server.root);
  const server = await startServe(join(folder, 'store'), ['--reserve', '1MB']);
  onServer(server);
  const { code } = (
    await runCommand(['invite', '--dir', server.folder, '--name', 'main', '--address', server.address, '--json'])
  ).json as { code: string };
  await writeFile(join(folder, 'passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
  const secret = ['--passphrase-file', join(folder, 'passphrase')];
  await type(main, ['init', code, ...secret, '--sheet', join(folder, 'sheet.txt')]);

  say('\nThree nights on the main server (fallback push):\n');
  for (let night = 1; night <= 3; night++) {
    if (night > 1) liveOneDay(main.server, day(night));
    await pushNight(main, `night ${night}`);
  }
  say('\nEvery month, on the fallback server:\n\n    $ fallback deploy --rehearse');
  say((await type(fallback, ['deploy', '--rehearse', ...secret])).stdout.trimEnd().replace(/^/gm, '      '));

  await takeOver(folder, main, fallback, secret);
  say('\nTwo days pass: mail arrives, photos and database rows are added, on the fallback server.');
  for (const number of [4, 5]) liveOneDay(fallback.server, day(number));
  const produced = readServerState(fallback.server.root);

  say('\nThe main server is repaired. It cannot push over what was produced meanwhile:\n\n    $ fallback push');
  await rename(join(folder, 'main-server-is-down'), main.server.root);
  const fenced = await type(main, ['push'], (exit) => exit === 5);
  say(fenced.stderr.trimEnd().split('\n').slice(-3).join('\n').replace(/^/gm, '      '));

  say('\nOn the fallback server:\n\n    $ fallback close');
  say((await type(fallback, ['close', ...secret])).stdout.trimEnd().replace(/^/gm, '      '));
  compare('after close', own, readServerState(fallback.server.root), [/^\/var\/lib\/(mysql|postgresql)$/]);

  say('\nOn the main server:\n\n    $ fallback update --all');
  say((await type(main, ['update', '--all'])).stdout.trimEnd().replace(/^/gm, '      '));
  compare('after update', produced, readServerState(main.server.root), ownToEach);

  say('\nAnd the nights go on, sending only what is new:\n');
  await pushNight(main, 'night 4');
  liveOneDay(main.server, day(6));
  await pushNight(main, 'night 5');
}

await playDemo(play);
