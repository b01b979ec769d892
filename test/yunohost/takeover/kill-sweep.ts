// Every step of an operation killed once, at both its moments and inside its longest calls, and resumed: nothing lost.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Fault, setFaults } from '../double/faults.ts';
import { copyTree } from '../double/files.ts';
import { compareServers, liveOneDay, readServerState, type ServerState } from '../double/seed-server.ts';
import { Server } from '../double/server.ts';
import { demoPg, demoSql, newRoot } from '../double/testing.ts';
import { close, deploy, leftovers, openJournal, type Two, twoServers, update, type World } from './takeover-fixture.ts';

const script = join(import.meta.dirname, 'killed-run.ts');

export type Operation = 'deploy' | 'close' | 'update';
export type KillPoint =
  | { readonly step: string; readonly moment: 'begun' | 'ended' }
  /** The double kills itself inside a call, and the process at the same step's failure or end goes on. */
  | { readonly fault: Fault };

/** A scene before an operation, kept as folders that each point begins from. */
export interface Scene {
  readonly two: Two;
  readonly operation: Operation;
  readonly expected: ServerState;
  readonly ignore: readonly RegExp[];
}

const day = { day: 5, seed: 5, users: ['alice', 'bob'], apps: [demoSql, demoPg] };
const machineOwn = [
  /^\/etc\/yunohost\/certs/,
  /^\/var\/lib\/mysql$/,
  /^\/etc\/nginx\/conf\.d\/main\.test\.d$/,
  /^\/etc\/yunohost\/apps\/\w+\/settings\.yml$/,
  /^\/etc\/yunohost\/services\.yml$/,
];

/** Plays the story up to the operation, then the operation on a copy, for what is expected. */
export async function makeScene(operation: Operation): Promise<Scene> {
  const two = await twoServers();
  if (operation !== 'deploy') {
    await deploy(two.world, two.host);
    liveOneDay(two.fallback, day);
  }
  if (operation === 'update') await close(two.world, two.host);
  const copy = copyOf(two);
  await run(copy, operation);
  const target = operation === 'update' ? copy.main : copy.fallback;
  return { two, operation, expected: readServerState(target.root), ignore: machineOwn };
}

function copyServer(server: Server): Server {
  const copy = new Server({ root: newRoot() });
  copyTree(server, server.root, copy.root);
  return copy;
}

interface Copied {
  readonly world: World;
  readonly main: Server;
  readonly fallback: Server;
}

/** The whole scene once more: servers, store and journals. */
export function copyOf({ world, main, fallback }: Two): Copied {
  const folder = newRoot();
  cpSync(world.folder, folder, { recursive: true });
  return {
    world: { ...world, folder, store: join(folder, 'store') },
    main: copyServer(main),
    fallback: copyServer(fallback),
  };
}

const stateOf = ({ world }: Copied, operation: Operation): string =>
  join(world.folder, operation === 'update' ? 'main-state' : 'fallback-state');
const serverOf = (copied: Copied, operation: Operation): Server =>
  operation === 'update' ? copied.main : copied.fallback;

/** Runs an operation in a process of its own. @returns the steps that it told, and whether it came to its end. */
export async function run(
  copied: Copied,
  operation: Operation,
  step = '',
  moment = '',
): Promise<{ steps: string[]; isDone: boolean; said: string }> {
  const { world } = copied;
  const worldFile = join(world.folder, 'world.json');
  mkdirSync(world.folder, { recursive: true });
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  writeFileSync(worldFile, JSON.stringify({ ...world, secret: hex(world.secret), pushToken: hex(world.pushToken) }));
  const args = [
    '--disable-warning=ExperimentalWarning',
    script,
    operation,
    serverOf(copied, operation).root,
    stateOf(copied, operation),
    worldFile,
    step,
    moment,
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const lines = stdout.trim().split('\n');
  return { steps: lines.filter((line) => line !== 'DONE'), isDone: lines.includes('DONE'), said: stderr };
}

/** All moments of an operation's steps, in order. */
export async function listPoints({ two, operation }: Scene): Promise<{ step: string; moment: 'begun' | 'ended' }[]> {
  const { steps, isDone, said } = await run(copyOf(two), operation);
  assert.ok(isDone, said);
  return steps.map((line) => {
    const [step = '', moment = ''] = line.split(' ');
    return { step, moment: moment as 'begun' | 'ended' };
  });
}

/** Kills at a point, resumes, and looks that nothing is lost. */
export async function killAndResume(scene: Scene, point: KillPoint): Promise<void> {
  const { two, operation, expected, ignore } = scene;
  const copied = copyOf(two);
  const server = serverOf(copied, operation);
  const name = JSON.stringify(point);
  if ('step' in point) {
    const first = await run(copied, operation, point.step, point.moment);
    assert.equal(first.isDone, false, `${name} did not kill`);
  } else {
    setFaults(server.root, [point.fault]);
    await run(copied, operation);
    setFaults(server.root, []);
  }
  // One more may be needed where the first found a single app missing.
  let last = await run(copied, operation);
  if ((await openJournal(stateOf(copied, operation))).state === 'deployed' && operation === 'deploy')
    last = await run(copied, operation);
  const isOver = last.isDone || /WRONG_STATE|does not fit/.test(last.said);
  assert.ok(isOver, `${name}: ${last.said}`);
  const differences = compareServers(expected, readServerState(server.root), { ignore });
  assert.deepEqual(differences, [], name);
  assert.deepEqual(leftovers(server.root), [], name);
  assert.ok(
    readdirSync(stateOf(copied, operation)).every((file) => !file.endsWith('.tmp')),
    name,
  );
}

/** The kill points of the double inside the calls that matter most. */
export const insideCalls: Readonly<Record<Operation, readonly Fault[]>> = {
  deploy: [
    { match: '^backup create', kind: 'kill', at: 'archive-content', nth: 1 },
    { match: '^backup restore fallback-take-system', kind: 'kill', at: 'ldap-emptied', nth: 1 },
    { match: '^backup restore fallback-take-system', kind: 'kill', at: 'system-hooks-done', nth: 1 },
    { match: '^backup restore fallback-take-demosql', kind: 'kill', at: 'resource', nth: 1 },
    { match: '^backup restore fallback-take-demosql', kind: 'kill', at: 'restore-script', nth: 1 },
    { match: '^app remove demopg', kind: 'kill', at: 'remove-script', nth: 1 },
    { match: '^domain add fb.test', kind: 'kill', at: 'domain-certificate', nth: 1 },
  ],
  close: [
    { match: '^backup create', kind: 'kill', at: 'tar-closed', nth: 1 },
    { match: '^app remove demosql', kind: 'kill', at: 'remove-script', nth: 1 },
    { match: '^backup restore fallback-take-own-system', kind: 'kill', at: 'ldap-emptied', nth: 1 },
    { match: '^backup restore fallback-take-own-demopg', kind: 'kill', at: 'app-settings-restored', nth: 1 },
  ],
  update: [
    { match: '^backup create .*fallback-safe-demosql', kind: 'kill', at: 'archive-content', nth: 1 },
    { match: '^app remove demosql', kind: 'kill', at: 'remove-script', nth: 1 },
    { match: '^backup restore fallback-take-demosql', kind: 'kill', at: 'restore-script', nth: 1 },
    { match: '^backup restore fallback-take-system', kind: 'kill', at: 'ldap-emptied', nth: 1 },
  ],
};

export { update };
