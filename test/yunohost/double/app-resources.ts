// Resources of packaging v2: what the core provides before an app’s script runs, and takes back after (section 6, section 8).
import { chmodSync } from 'node:fs';
import { addSystemUser, readAccounts, removeSystemUser } from './accounts.ts';
import { installedApps, type Manifest, permissionsOf, settingsOf, writeSettings } from './app-files.ts';
import { databaseExists, dropDatabase, type Engine, writeDatabase } from './databases.ts';
import { assertDomain } from './domains.ts';
import { YunohostError } from './errors.ts';
import { removeTree } from './files.ts';
import type { Server } from './server.ts';
import { appPermissions, syncPermissions, writePortalConf } from './ssowat.ts';
import { mapAt, textAt, type Yaml, type YamlMap } from './yaml.ts';

type Settings = { readonly [key: string]: unknown };

function setSettings(server: Server, app: string, changes: Record<string, Yaml | undefined>): void {
  const settings = settingsOf(server, app);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) delete settings[key];
    else settings[key] = value;
  }
  writeSettings(server, app, settings);
}

function ownFolder(server: Server, app: string, folder: string): void {
  server.makeFolder(folder, 0o750);
  const accounts = readAccounts(server);
  const path = server.path(folder);
  chmodSync(path, 0o750);
  server.owners.set(path, { userId: accounts.userId(app) ?? 0, groupId: accounts.groupId(app) ?? 0 });
}

/** The port of the settings when no other app has it, else the next free one from 8095 on. */
function choosePort(server: Server, app: string): number {
  const others = installedApps(server).filter((other) => other !== app);
  const taken = new Set(others.map((other) => textAt(settingsOf(server, other), 'port')));
  let port = Number(textAt(settingsOf(server, app), 'port') ?? 8095);
  while (taken.has(String(port))) port++;
  return port;
}

function assertNoConflict(server: Server, app: string, domain: string, path: string): void {
  const url = (domain + path).replace(/\/$/, '');
  for (const other of appPermissions(server, { absolute: true })) {
    if (other.app === app || other.url === null) continue;
    const taken = other.url.replace(/\/$/, '');
    if (taken !== url && !taken.startsWith(`${url}/`) && !url.startsWith(`${taken}/`)) continue;
    const line = `\n * ${taken} → ${other.label} (${other.app})`;
    throw new YunohostError(`This URL is either unavailable, or conflicts with the already installed app(s):${line}`);
  }
}

/** @throws `Domain 'D' unknown` when the app’s domain is not on this server: the zombie of section 6 trap 1. */
function provisionPermissions(server: Server, app: string, wanted: Settings): void {
  const settings = settingsOf(server, app);
  const permissions = permissionsOf(settings);
  for (const [name, raw] of Object.entries(wanted)) {
    const info: Settings = typeof raw === 'object' && raw !== null ? { ...raw } : {};
    const url = typeof info['url'] === 'string' ? info['url'] : null;
    const known = mapAt(permissions, name);
    const initial = textAt(settings, `init_${name}_permission`);
    const allowed = initial === 'visitors' ? ['visitors', 'all_users'] : initial === undefined ? [] : [initial];
    if (url !== null) {
      const domain = textAt(settings, 'domain') ?? '';
      assertDomain(server, domain);
      assertNoConflict(
        server,
        app,
        domain,
        (textAt(settings, 'path') ?? '/').replace(/\/$/, '') + url.replace(/\/$/, ''),
      );
    }
    permissions[name] = {
      additional_urls: [],
      allowed: known['allowed'] ?? allowed,
      auth_header: info['auth_header'] !== false,
      ...(known['label'] === undefined ? {} : { label: known['label'] }),
      protected: info['protected'] === true,
      show_tile: typeof info['show_tile'] === 'boolean' ? info['show_tile'] : url !== null,
      url,
    };
    delete settings[`init_${name}_permission`];
  }
  settings['_permissions'] = permissions;
  writeSettings(server, app, settings);
  syncPermissions(server);
  writePortalConf(server);
}

const engineOf = (wanted: Settings): Engine => (wanted['type'] === 'postgresql' ? 'postgresql' : 'mysql');

interface Resource {
  readonly provide: (server: Server, app: string, wanted: Settings) => void;
  readonly withdraw: (server: Server, app: string, wanted: Settings, purge: boolean) => void;
}

const codeFolder = (app: string) => `/var/www/${app}`;
const dataFolder = (app: string) => `/home/yunohost.app/${app}`;

/** What the double provides; sources, apt and nodejs are none of its business. */
const resources: Readonly<Record<string, Resource>> = {
  system_user: {
    provide: (server, app) => addSystemUser(server, app),
    withdraw: (server, app) => removeSystemUser(server, app),
  },
  install_dir: {
    provide: (server, app) => {
      ownFolder(server, app, codeFolder(app));
      setSettings(server, app, { install_dir: codeFolder(app) });
    },
    withdraw: (server, app) => {
      removeTree(server, server.path(codeFolder(app)));
      setSettings(server, app, { install_dir: undefined });
    },
  },
  data_dir: {
    provide: (server, app) => {
      ownFolder(server, app, dataFolder(app));
      setSettings(server, app, { data_dir: dataFolder(app) });
    },
    withdraw: (server, app, _, purge) => {
      // Without --purge the data stays, its owner a mere number from now on (section 7).
      if (purge && server.has(dataFolder(app))) removeTree(server, server.path(dataFolder(app)));
      setSettings(server, app, { data_dir: undefined });
    },
  },
  ports: {
    provide: (server, app) => setSettings(server, app, { port: choosePort(server, app) }),
    withdraw: (server, app) => setSettings(server, app, { port: undefined }),
  },
  permissions: {
    provide: provisionPermissions,
    withdraw: (server, app) => {
      setSettings(server, app, { _permissions: {} });
      syncPermissions(server);
      writePortalConf(server);
    },
  },
  database: {
    provide: (server, app, wanted) => {
      const engine = engineOf(wanted);
      if (!databaseExists(server, engine, app)) writeDatabase(server, engine, app, []);
      const fresh = Buffer.from(`${app} ${server.root}`).toString('base64url').slice(0, 24);
      const password = textAt(settingsOf(server, app), 'db_pwd') ?? fresh;
      setSettings(server, app, { db_name: app, db_user: app, db_pwd: password });
    },
    withdraw: (server, app, wanted) => {
      dropDatabase(server, engineOf(wanted), app);
      setSettings(server, app, { db_name: undefined, db_user: undefined, db_pwd: undefined });
    },
  },
};

const words = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Gives an app all that its manifest asks for; on failure takes it back and throws (install and restore). */
export function provideResources(server: Server, app: string, manifest: Manifest): void {
  const done: [string, Settings][] = [];
  for (const [name, wanted] of manifest.resources) {
    server.log('INFO', `Provisioning ${name}...`);
    done.push([name, wanted]);
    try {
      server.strike('resource', { app });
      resources[name]?.provide(server, app, wanted);
    } catch (error) {
      server.log('WARNING', `Failed to provision ${name} : ${words(error)}`);
      rollBack(server, app, done);
      server.log('ERROR', `Provisioning, deprovisioning, or updating resources for ${app} failed: ${words(error)}`);
      throw new YunohostError(words(error));
    }
  }
}

function rollBack(server: Server, app: string, done: readonly [string, Settings][]): void {
  for (const [name, wanted] of done) {
    server.log('INFO', `Deprovisioning ${name}...`);
    try {
      resources[name]?.withdraw(server, app, wanted, false);
    } catch (error) {
      server.log('ERROR', `Failed to rollback ${name} : ${words(error)}`);
    }
  }
}

/** Takes everything back in reverse order; what fails is said and passed over (remove). */
export function withdrawResources(server: Server, app: string, manifest: Manifest, purge: boolean): void {
  for (const [name, wanted] of [...manifest.resources].reverse()) {
    server.log('INFO', `Deprovisioning ${name}...`);
    try {
      resources[name]?.withdraw(server, app, wanted, purge);
    } catch (error) {
      server.log('WARNING', `Failed to deprovision ${name} : ${words(error)}`);
      server.log('ERROR', words(error));
    }
  }
}

/** The settings an app begins with: the answers to its questions. */
export function firstSettings(app: string, answers: YamlMap, nowMs: number): YamlMap {
  return { id: app, install_time: Math.floor(nowMs / 1000), ...answers };
}
