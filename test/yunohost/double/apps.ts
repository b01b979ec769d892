// `app list`, `info`, `map`, `setting`, `install`, `remove`.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  appsFolder,
  assertInstalled,
  installedApps,
  isInstalled,
  manifestOf,
  parseManifest,
  permissionsOf,
  settingsOf,
  writeSettings,
} from './app-files.ts';
import { firstSettings, provideResources, withdrawResources } from './app-resources.ts';
import { playScript } from './app-script.ts';
import { domainSettings } from './domains.ts';
import { asPython, YunohostError } from './errors.ts';
import { closeTree, copyTree, removeTree } from './files.ts';
import { callHooks, removeHooksOf } from './hooks.ts';
import type { Value } from './output.ts';
import type { Server } from './server.ts';
import { appPermissions, syncPermissions } from './ssowat.ts';
import { mapAt, textAt, type Yaml, type YamlMap } from './yaml.ts';

/** What `app info` prints; with `full` settings, secrets included, and permissions (section 7). */
export function appInfo(server: Server, app: string, full: boolean): Record<string, Value> {
  assertInstalled(server, app);
  const manifest = manifestOf(server, app);
  const settings = settingsOf(server, app);
  const main = mapAt(permissionsOf(settings), 'main');
  const [domain, path] = [textAt(settings, 'domain'), textAt(settings, 'path')];
  const info: Record<string, Value> = {
    id: app,
    name: textAt(main, 'label') ?? textAt(settings, 'label') ?? manifest.name,
    description: manifest.description,
    version: manifest.version,
  };
  if (domain !== undefined && path !== undefined) info['domain_path'] = domain + path;
  if (!full) return info;
  if (domain !== undefined) domainSettings(server, domain);
  const scripts = ['backup', 'restore'].every((name) => server.has(`${appsFolder}/${app}/scripts/${name}`));
  const permissions = appPermissions(server, { absolute: true }).filter((permission) => permission.app === app);
  return {
    ...info,
    settings,
    upgrade: { status: 'url_required', message: 'Up to date', current_version: manifest.version, new_version: null },
    is_webapp: domain !== undefined && path !== undefined,
    supports_backup_restore: scripts,
    permissions: Object.fromEntries(permissions.map((one) => [one.name, permissionValue(one)])),
    label: info['name'] ?? app,
  };
}

/** A permission as `user permission list` prints it. */
export function permissionValue(permission: { label: string; url: string | null; allowed: readonly string[] }): Value {
  return { label: permission.label, url: permission.url, allowed: [...permission.allowed] };
}

/** `app list`: an app that cannot be read costs an ERROR line and is left out. */
export function listApps(server: Server, full: boolean): Record<string, Value>[] {
  return installedApps(server)
    .sort()
    .flatMap((app) => {
      try {
        return [appInfo(server, app, full)];
      } catch (error) {
        server.log('ERROR', `Failed to read info for ${app} : ${asPython(error).message}`);
        return [];
      }
    });
}

/** `app map`: the URL of every permission and its label. */
export function mapApps(server: Server): Record<string, string> {
  return Object.fromEntries(
    appPermissions(server, { absolute: true }).flatMap((permission) => {
      const settings = settingsOf(server, permission.app);
      const isWeb = textAt(settings, 'domain') !== undefined && textAt(settings, 'path') !== undefined;
      return isWeb && permission.url !== null ? [[permission.url, permission.label]] : [];
    }),
  );
}

/** The reading form of `app setting`: lock-free, null when there is no such key or app. */
export function getAppSetting(server: Server, app: string, key: string): Yaml {
  return settingsOf(server, app)[key] ?? null;
}

export function setAppSetting(server: Server, app: string, key: string, value: string | undefined): void {
  assertInstalled(server, app);
  const settings = settingsOf(server, app);
  if (value === undefined) delete settings[key];
  else settings[key] = value;
  writeSettings(server, app, settings);
}

/** The environment of an app’s hooks. */
export function appEnvironment(app: string): Record<string, string> {
  return {
    YNH_APP_ID: app.split('__')[0] ?? app,
    YNH_APP_INSTANCE_NAME: app,
    YNH_APP_INSTANCE_NUMBER: app.split('__')[1] ?? '1',
  };
}

/** Copies the hooks that a package ships: `hooks/05-backup_method` becomes `hooks.d/backup_method/05-APP` (section 5). */
export function addHooksOf(server: Server, app: string, folder: string): void {
  if (!existsSync(folder)) return;
  for (const file of readdirSync(folder)) {
    const [, priority = '50', action = file] = /^(\d+)-(.*)$/.exec(file) ?? [];
    server.write(`/etc/yunohost/hooks.d/${action}/${priority}-${app}`, readFileSync(join(folder, file)));
  }
}

/** `app install FOLDER -a QUERY --force`: from a local folder, with a catalogue in the cache (section 7). */
export async function installApp(server: Server, folder: string, query: string, started: () => void): Promise<void> {
  if (!server.has('/var/cache/yunohost/repo/default.json')) {
    throw new YunohostError('Unable to download the default app catalog: no network');
  }
  if (!existsSync(join(folder, 'manifest.toml'))) throw new YunohostError('Unknown app');
  const manifest = parseManifest(readFileSync(join(folder, 'manifest.toml'), 'utf8'));
  let app = manifest.id;
  for (let number = 2; isInstalled(server, app); number++) app = `${manifest.id}__${number}`;
  started();
  server.log('INFO', `Installing ${app}…`);
  copyTree(server, folder, server.path(`${appsFolder}/${app}`));
  const answers: YamlMap = {};
  for (const [key, value] of new URLSearchParams(query)) answers[key] = value;
  writeSettings(server, app, firstSettings(app, answers, server.nowMs()));
  try {
    provideResources(server, app, manifest);
    const script = server.readOr(`${appsFolder}/${app}/scripts/install`, '');
    if (playScript(server, script, { app, settings: settingsOf(server, app) }) !== 0) {
      throw new YunohostError(`Unable to install ${app}: An error occurred inside the app installation script`);
    }
  } catch (error) {
    server.log('WARNING', 'Removing the app after installation failure…');
    await removeApp(server, app, { purge: false });
    throw error;
  }
  removeHooksOf(server, app);
  addHooksOf(server, app, join(folder, 'hooks'));
  closeTree(server.path(`${appsFolder}/${app}`));
  await callHooks(server, 'post_app_install', [], { environment: appEnvironment(app) });
  server.log('SUCCESS', 'Installation completed');
}

export interface RemoveOptions {
  readonly purge: boolean;
  /** The settings to take scripts and manifest from, instead of the installed ones: after a failed restore. */
  readonly packageFolder?: string;
  readonly started?: () => void;
}

/** `app remove APP [--purge]`. */
export async function removeApp(server: Server, app: string, options: RemoveOptions): Promise<void> {
  assertInstalled(server, app);
  options.started?.();
  server.log('INFO', `Removing ${app}…`);
  const folder = options.packageFolder ?? server.path(`${appsFolder}/${app}`);
  const manifest = parseManifest(readFileSync(join(folder, 'manifest.toml'), 'utf8'));
  const file = join(folder, 'scripts', 'remove');
  const script = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const code = playScript(server, script, { app, settings: settingsOf(server, app) });
  server.strike('remove-script', { app });
  withdrawResources(server, app, manifest, options.purge);
  if (options.purge) removeTree(server, server.path(`/var/log/${app}`));
  removeTree(server, server.path(`${appsFolder}/${app}`));
  removeHooksOf(server, app);
  if (code === 0) {
    server.log('SUCCESS', `${app} uninstalled`);
    await callHooks(server, 'post_app_remove', [], { environment: appEnvironment(app) });
  } else {
    server.log('WARNING', `${app} has not been properly removed`);
  }
  syncPermissions(server);
}
