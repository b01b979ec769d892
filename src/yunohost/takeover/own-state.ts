// What the fallback server is before it takes over: recorded once, so that deploy can keep it reachable and close can put
// it back, and nothing that was there before is ever taken for something that the takeover brought.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import type { Port } from '../command/server-commands.ts';
import { numberOr } from '../command/shape.ts';
import { shortCall, type TakeoverHost } from './takeover-host.ts';

/** Folders whose entries belong to users or domains. */
export const watchedFolders = {
  homes: '/home',
  mail: '/var/mail',
  appData: '/home/yunohost.app',
  domains: '/etc/yunohost/domains',
  certificates: '/etc/yunohost/certs',
  dyndns: '/etc/yunohost/dyndns',
  dkim: '/etc/dkim',
  nginx: '/etc/nginx/conf.d',
} as const;

export type WatchedFolder = keyof typeof watchedFolders;
export type FolderEntries = Readonly<Record<WatchedFolder, readonly string[]>>;

/** The server before a takeover; JSON. */
export interface OwnState {
  readonly domains: readonly string[];
  readonly mainDomain: string;
  readonly apps: readonly string[];
  readonly users: readonly string[];
  readonly systemParts: readonly string[];
  readonly sshPort: number;
  /** Ports, and ranges: `7000-7010`. */
  readonly openTcp: readonly Port[];
  readonly openUdp: readonly Port[];
  /** What `/etc/yunohost/certs/DOMAIN` points to. */
  readonly certificates: Readonly<Record<string, string>>;
  /** Owners of homes, by name: numbers that the archives' names are mapped to while they are unpacked. */
  readonly homeOwners: Readonly<Record<string, { readonly userId: number; readonly groupId: number }>>;
  /** Its sshd_config, base64. */
  readonly sshdConfig: string | undefined;
  readonly entries: FolderEntries;
}

/** Names in a folder; none when it is not there. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return [];
    throw error;
  }
}

/** Entries of all watched folders. */
export async function readEntries(host: TakeoverHost): Promise<FolderEntries> {
  const { paths } = host.yunohost;
  const entries: Partial<Record<WatchedFolder, readonly string[]>> = {};
  for (const [kind, folder] of Object.entries(watchedFolders) as [WatchedFolder, string][]) {
    entries[kind] = await namesIn(paths.at(folder));
  }
  return entries as FolderEntries;
}

async function readCertificates(host: TakeoverHost, domains: readonly string[]): Promise<Record<string, string>> {
  const links: Record<string, string> = {};
  for (const domain of domains) {
    const target = await readlink(join(host.yunohost.paths.certificates, domain)).catch(() => undefined);
    if (target !== undefined) links[domain] = target;
  }
  return links;
}

async function readHomeOwners(host: TakeoverHost, users: readonly string[]): Promise<OwnState['homeOwners']> {
  const owners: Record<string, { userId: number; groupId: number }> = {};
  for (const user of users) {
    const owner = await host.ownerOf(join(host.yunohost.paths.homes, user));
    if (owner !== undefined) owners[user] = owner;
  }
  return owners;
}

/** Where sshd reads its configuration. */
export const sshdConfigPath = '/etc/ssh/sshd_config';

/** Reads the state of a server that is set up. @throws as YunohostCommand. */
export async function readOwnState(host: TakeoverHost): Promise<OwnState> {
  const { yunohost } = host;
  const call = shortCall(host);
  const { domains, main } = await yunohost.domains.list(call);
  const users = (await yunohost.apps.users(call)).map(({ username }) => username);
  const sshd = await readFile(yunohost.paths.at(sshdConfigPath)).catch(() => undefined);
  return {
    domains,
    mainDomain: main,
    apps: (await yunohost.apps.list(call)).map(({ id }) => id),
    users,
    systemParts: await yunohost.server.hooks('backup', call),
    sshPort: numberOr(Number(await yunohost.server.setting('security.ssh.ssh_port', call)), 22),
    openTcp: await yunohost.server.openPorts('tcp', call),
    openUdp: await yunohost.server.openPorts('udp', call),
    certificates: await readCertificates(host, domains),
    homeOwners: await readHomeOwners(host, users),
    sshdConfig: sshd?.toString('base64'),
    entries: await readEntries(host),
  };
}
