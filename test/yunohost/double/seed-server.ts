// Lays down whole servers for tests, lets days pass on them, all from a seed. Reading and comparing is in server-state.ts.
import { chmodSync, linkSync, symlinkSync } from 'node:fs';
import { readAccounts } from './accounts.ts';
import { installedApps } from './app-files.ts';
import { addDomain, writeDomainSettings } from './domains.ts';
import { ownTree } from './files.ts';
import { layBareMachine, postInstall } from './post-install.ts';
import { Random } from './random.ts';
import { type AppShape, fixTimes, layApp, seedTimeSeconds, useApp } from './seed-apps.ts';
import { Server } from './server.ts';
import { createUser } from './users.ts';

export type { AppShape } from './seed-apps.ts';
export { compareServers, readServerState, type ServerState } from './server-state.ts';

export interface ServerShape {
  /** An empty or missing folder. */
  readonly root: string;
  readonly seed: number;
  readonly mainDomain: string;
  readonly moreDomains?: readonly string[];
  /** Names of users with a home and mail; the first one is the admin. */
  readonly users?: readonly string[];
  /** Numbers for some users, to make two servers agree or differ on purpose. */
  readonly userIds?: Readonly<Record<string, number>>;
  readonly apps?: readonly AppShape[];
  /** About how much homes and mail hold for each user, in bytes. */
  readonly userBytes?: number;
}

const userBytesDefault = 200_000;

/** A machine before its post-install: only `tools postinstall`, `backup list`, `backup restore` work on it. */
export function seedBareServer(root: string): Server {
  const server = new Server({ root });
  layBareMachine(server);
  return server;
}

/** A post-installed server with domains, users and apps. */
export async function seedServer(shape: ServerShape): Promise<Server> {
  const server = seedBareServer(shape.root);
  const [admin = 'admin', ...others] = shape.users ?? ['alice', 'bob'];
  await postInstall(server, { domain: shape.mainDomain, userName: admin, fullName: `${admin} Admin` }, () => {});
  for (const domain of shape.moreDomains ?? []) await addDomain(server, domain);
  writeDomainSettings(server, shape.mainDomain, { registrar: 'gandi', auth_token: 'secret-token', mail_in: true });
  for (const name of others) {
    const userId = shape.userIds?.[name];
    await createUser(server, {
      name,
      fullName: `${name} Test`,
      domain: shape.mainDomain,
      ...(userId === undefined ? {} : { userId }),
    });
  }
  const random = new Random(shape.seed, 'dkim');
  server.write(`/etc/dkim/${shape.mainDomain}.mail.key`, random.bytes(60).toString('base64'), 0o600);
  for (const name of [admin, ...others]) fillUser(server, name, shape);
  for (const app of shape.apps ?? []) await layApp(server, app, shape.seed);
  return server;
}

function ownHome(server: Server, name: string): void {
  const accounts = readAccounts(server);
  ownTree(server, server.path(`/home/${name}`), {
    userId: accounts.userId(name) ?? 0,
    groupId: accounts.groupId(name) ?? 0,
  });
}

function ownMail(server: Server): void {
  const accounts = readAccounts(server);
  ownTree(server, server.path('/var/mail'), {
    userId: accounts.userId('vmail') ?? 0,
    groupId: accounts.groupId('mail') ?? 0,
  });
}

function mailText(random: Random, name: string, number: number): string {
  return `From: someone@example.org\r\nTo: ${name}\r\nSubject: ${random.text(30)} ${number}\r\n\r\n${random.text(800)}\r\n`;
}

function fillUser(server: Server, name: string, shape: ServerShape): void {
  const random = new Random(shape.seed, `user ${name}`);
  const size = shape.userBytes ?? userBytesDefault;
  const home = `/home/${name}`;
  for (let number = 0; number < 3; number++)
    server.write(`${home}/photos/2025/photo-${number}.jpg`, random.bytes(size / 4));
  for (let number = 0; number < 5; number++)
    server.write(`${home}/documents/letter-${number}.txt`, `${random.text(size / 50)}\n`);
  server.write(`${home}/.bashrc`, 'umask 077\n');
  server.write(`${home}/documents/été à la mer — 夏.txt`, 'plage\n');
  server.write(`${home}/private/key`, 'secret\n', 0o600);
  chmodSync(server.path(`${home}/private`), 0o700);
  server.makeFolder(`${home}/empty`);
  symlinkSync('documents/letter-0.txt', server.path(`${home}/latest`));
  symlinkSync('nowhere', server.path(`${home}/dangling`));
  linkSync(server.path(`${home}/documents/letter-1.txt`), server.path(`${home}/documents/letter-1-again.txt`));
  ownHome(server, name);
  fixTimes(server.path(home), seedTimeSeconds);
  const mails = Math.max(3, Math.floor(size / 40_000));
  for (let number = 0; number < mails; number++) {
    server.write(
      `/var/mail/${name}/cur/${seedTimeSeconds + number}.M${number}.host:2,S`,
      mailText(random, name, number),
    );
  }
  for (const folder of ['new', 'tmp']) server.makeFolder(`/var/mail/${name}/${folder}`);
  ownMail(server);
  fixTimes(server.path('/var/mail'), seedTimeSeconds);
}

export interface Day {
  /** Number of the day, from 1: the same number on the same server always brings the same. */
  readonly day: number;
  readonly seed: number;
  readonly photos?: number;
  readonly photoBytes?: number;
  readonly mails?: number;
  /** Rows added, and as many changed, in each database. */
  readonly rows?: number;
  /** What the day happens to: all users with a home and these apps. */
  readonly users: readonly string[];
  readonly apps?: readonly AppShape[];
}

/** A day of use: photos, mails, an edited letter, rows, uploads. Apps that are not installed are passed over. */
export function liveOneDay(server: Server, day: Day): void {
  const { photos = 1, photoBytes = 20_000, mails = 2, rows = 5 } = day;
  for (const name of day.users) {
    const random = new Random(day.seed, `day ${day.day} ${name}`);
    const from = seedTimeSeconds + day.day * 86_400;
    for (let number = 0; number < photos; number++) {
      server.write(`/home/${name}/photos/day-${day.day}/photo-${number}.jpg`, random.bytes(photoBytes));
    }
    server.write(`/home/${name}/documents/letter-0.txt`, `${random.text(2000)}\n`);
    for (let number = 0; number < mails; number++) {
      server.write(`/var/mail/${name}/new/${from + number}.M${number}.host`, mailText(random, name, number));
    }
    ownHome(server, name);
    if (photos > 0) fixTimes(server.path(`/home/${name}/photos/day-${day.day}`), from);
    fixTimes(server.path(`/home/${name}/documents/letter-0.txt`), from);
    if (mails > 0) fixTimes(server.path(`/var/mail/${name}/new`), from);
  }
  ownMail(server);
  const installed = installedApps(server);
  for (const app of day.apps ?? []) {
    if (installed.includes(app.id)) useApp(server, app, day.day, day.seed, rows);
  }
}
