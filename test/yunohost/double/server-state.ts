// A comparable picture of everything on a server that a person would miss, and the differences of two, named.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readAccounts } from './accounts.ts';
import { statOrNothing, walk } from './files.ts';
import { readLdap } from './ldap.ts';
import { Server } from './server.ts';

/** What is known of one path; owners by name, `#number` when the number has no name. */
export interface PathState {
  readonly type: 'file' | 'directory' | 'symlink' | 'entry' | 'other';
  readonly mode: string;
  readonly owner: string;
  /** SHA-256 of a file’s bytes or of an LDAP entry. */
  readonly sha256?: string;
  readonly target?: string;
}

/** Paths as the server names them; LDAP entries as `ldap:DN`. */
export type ServerState = ReadonlyMap<string, PathState>;

export type Area = 'homes' | 'mail' | 'apps' | 'databases' | 'ldap' | 'domains' | 'settings';
export const allAreas: readonly Area[] = ['homes', 'mail', 'apps', 'databases', 'ldap', 'domains', 'settings'];

/** Folders of each area; `*` stands for every name but YunoHost’s own. */
const places: Record<Exclude<Area, 'ldap'>, readonly string[]> = {
  homes: ['/home/*', '/home/yunohost.multimedia'],
  mail: ['/var/mail'],
  apps: ['/etc/yunohost/apps', '/var/www', '/home/yunohost.app', '/etc/systemd/system'],
  databases: ['/var/lib/mysql', '/var/lib/postgresql'],
  domains: [
    '/etc/yunohost/domains',
    '/etc/yunohost/certs',
    '/etc/yunohost/current_host',
    '/etc/dkim',
    '/etc/nginx/conf.d',
  ],
  settings: [
    '/etc/yunohost/settings.yml',
    '/etc/yunohost/firewall.yml',
    '/etc/yunohost/dyndns',
    '/etc/yunohost/services.yml',
  ],
};

const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex');

function expand(server: Server, place: string): string[] {
  if (!place.endsWith('/*')) return [server.path(place)];
  const folder = server.path(place.slice(0, -2));
  if (statOrNothing(folder) === undefined) return [];
  return readdirSync(folder)
    .filter((name) => !name.startsWith('yunohost.'))
    .map((name) => `${folder}/${name}`);
}

/** Reads the picture of a server. */
export function readServerState(root: string, areas: readonly Area[] = allAreas): ServerState {
  const server = new Server({ root });
  const accounts = readAccounts(server);
  const ownerOf = server.owners.reader();
  const state = new Map<string, PathState>();
  const home = statOrNothing(server.path('/home'));
  if (home !== undefined && areas.includes('homes')) {
    state.set('/home', { type: 'directory', mode: (home.mode & 0o7777).toString(8), owner: '' });
  }
  for (const area of areas) {
    if (area === 'ldap') {
      for (const { dn, attributes } of readLdap(server)) {
        const text = JSON.stringify([...attributes]);
        state.set(`ldap:${dn}`, { type: 'entry', mode: '', owner: '', sha256: sha256(text) });
      }
      continue;
    }
    for (const top of places[area].flatMap((place) => expand(server, place))) {
      if (statOrNothing(top) === undefined) continue;
      for (const { path, stat } of walk(top)) {
        const { userId, groupId } = ownerOf(path);
        const owner = `${accounts.userName(userId) ?? `#${userId}`}:${accounts.groupName(groupId) ?? `#${groupId}`}`;
        const mode = stat.isSymbolicLink() ? '' : (stat.mode & 0o7777).toString(8);
        const type = stat.isFile()
          ? 'file'
          : stat.isDirectory()
            ? 'directory'
            : stat.isSymbolicLink()
              ? 'symlink'
              : 'other';
        state.set(server.shown(path), {
          type,
          mode,
          owner,
          ...(type === 'file' ? { sha256: sha256(readFileSync(path)) } : {}),
          ...(type === 'symlink' ? { target: readlinkSync(path) } : {}),
        });
      }
    }
  }
  return state;
}

function difference(path: string, first: PathState, second: PathState): string | undefined {
  if (first.type !== second.type) return `${path}: ${first.type} became ${second.type}`;
  if (first.sha256 !== second.sha256) return `${path}: content differs`;
  if (first.target !== second.target) return `${path}: points to ${first.target ?? ''}, then to ${second.target ?? ''}`;
  if (first.owner !== second.owner) return `${path}: owner ${first.owner}, then ${second.owner}`;
  return first.mode === second.mode ? undefined : `${path}: mode ${first.mode}, then ${second.mode}`;
}

export interface CompareOptions {
  /** Paths to leave out of the comparison. */
  readonly ignore?: readonly RegExp[];
}

/** All differences, one line each, in order of their paths; none when both servers hold the same. */
export function compareServers(first: ServerState, second: ServerState, options: CompareOptions = {}): string[] {
  const paths = [...new Set([...first.keys(), ...second.keys()])].sort();
  return paths
    .filter((path) => options.ignore?.some((pattern) => pattern.test(path)) !== true)
    .flatMap((path) => {
      const [a, b] = [first.get(path), second.get(path)];
      if (a === undefined) return [`${path}: only in the second`];
      if (b === undefined) return [`${path}: only in the first`];
      return difference(path, a, b) ?? [];
    });
}
