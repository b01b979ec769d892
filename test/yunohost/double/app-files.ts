// An installed app’s files: its manifest and its settings. What is in /etc/yunohost/apps/APP.
import { readdirSync } from 'node:fs';
import { parse } from 'smol-toml';
import { YunohostError } from './errors.ts';
import type { Server } from './server.ts';
import { formatYaml, mapAt, parseYaml, type YamlMap } from './yaml.ts';

export const appsFolder = '/etc/yunohost/apps';

type Toml = { [key: string]: unknown };

export interface Manifest {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly version: string;
  readonly questions: readonly string[];
  /** Resources in order of their priority (section 8). */
  readonly resources: ReadonlyMap<string, Toml>;
}

const priorities = [
  'sources',
  'system_user',
  'install_dir',
  'data_dir',
  'apt',
  'ports',
  'permissions',
  'database',
  'nodejs',
];

function table(value: unknown): Toml {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** Reads the text of a manifest.toml. */
export function parseManifest(text: string): Manifest {
  const toml: Toml = parse(text);
  const resources = Object.entries(table(toml['resources'])).map(([name, value]): [string, Toml] => [
    name,
    table(value),
  ]);
  return {
    id: String(toml['id']),
    name: String(toml['name']),
    description: String(table(toml['description'])['en'] ?? ''),
    version: String(toml['version'] ?? '-'),
    questions: Object.keys(table(toml['install'])),
    resources: new Map(resources.sort(([a], [b]) => priorities.indexOf(a) - priorities.indexOf(b))),
  };
}

/** Apps in the order of the folder, as `os.listdir` gives it. */
export function installedApps(server: Server): string[] {
  return server.has(appsFolder) ? readdirSync(server.path(appsFolder)) : [];
}

export function isInstalled(server: Server, app: string): boolean {
  return app !== '' && server.has(`${appsFolder}/${app}`);
}

export function assertInstalled(server: Server, app: string): void {
  if (isInstalled(server, app)) return;
  const all = installedApps(server)
    .sort()
    .map((known) => `\n * ${known}`)
    .join('');
  throw new YunohostError(
    `Could not find ${app} in the list of installed apps: ${all === '' ? 'There is no installed app' : all}`,
  );
}

export function manifestOf(server: Server, app: string): Manifest {
  return parseManifest(server.read(`${appsFolder}/${app}/manifest.toml`));
}

export function settingsOf(server: Server, app: string): YamlMap {
  return parseYaml(server.readOr(`${appsFolder}/${app}/settings.yml`, '{}'));
}

export function writeSettings(server: Server, app: string, settings: YamlMap): void {
  const sorted = Object.fromEntries(Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1)));
  server.write(`${appsFolder}/${app}/settings.yml`, formatYaml(sorted), 0o400);
}

/** An app’s own permissions, by name (`main`, `admin`). */
export function permissionsOf(settings: YamlMap): YamlMap {
  return mapAt(settings, '_permissions');
}
