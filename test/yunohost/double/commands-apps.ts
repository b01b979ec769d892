// `yunohost app …`, `user …`, `user permission …`.
import { assertInstalled, permissionsOf, settingsOf, writeSettings } from './app-files.ts';
import {
  appInfo,
  getAppSetting,
  installApp,
  listApps,
  mapApps,
  permissionValue,
  removeApp,
  setAppSetting,
} from './apps.ts';
import { type Command, flag, inOperation, value } from './command.ts';
import { domainNames, mainDomain } from './domains.ts';
import { YunohostError } from './errors.ts';
import type { Value } from './output.ts';
import type { Server } from './server.ts';
import { appPermissions, syncPermissions, writePortalConf } from './ssowat.ts';
import { createUser, deleteUser, listUsers } from './users.ts';
import { mapAt } from './yaml.ts';

const systemPermissions: Record<string, Value> = {
  'mail.main': { label: 'Email', url: null, allowed: ['all_users'] },
  'sftp.main': { label: 'SFTP', url: null, allowed: [] },
  'ssh.main': { label: 'SSH', url: null, allowed: ['admins'] },
};

function listPermissions(server: Server, apps: readonly string[]): Record<string, Value> {
  const all = appPermissions(server, { absolute: false }).filter((one) => apps.length === 0 || apps.includes(one.app));
  const rows = Object.fromEntries(all.map((one) => [one.name, permissionValue(one)]));
  return apps.length === 0 ? { ...rows, ...systemPermissions } : rows;
}

function updatePermission(server: Server, given: string, label: string | undefined, tile: string | undefined): Value {
  const name = given.includes('.') ? given : `${given}.main`;
  const [app = '', part = 'main'] = name.split('.');
  if (!(name in listPermissions(server, []))) throw new YunohostError(`Permission '${name}' not found`);
  const settings = settingsOf(server, app);
  const permissions = permissionsOf(settings);
  const info = mapAt(permissions, part);
  if (label !== undefined) info['label'] = label;
  if (tile !== undefined) info['show_tile'] = tile === 'True';
  permissions[part] = info;
  settings['_permissions'] = permissions;
  writeSettings(server, app, settings);
  syncPermissions(server);
  writePortalConf(server);
  server.log('SUCCESS', `Permission '${name}' updated`);
  return listPermissions(server, [app])[name] ?? null;
}

const apps: readonly Command[] = [
  {
    words: 'app list',
    locks: false,
    options: [flag('-f', '--full')],
    run: (server, given) => ({ apps: listApps(server, given.has('full')) }),
  },
  {
    words: 'app info',
    locks: false,
    options: [flag('-f', '--full')],
    positional: ['app'],
    run: (server, given) => appInfo(server, given.required('app'), given.has('full')),
  },
  { words: 'app map', locks: false, run: mapApps },
  {
    words: 'app setting',
    // Its only API verb is GET, so that even the writing form takes no lock.
    locks: false,
    options: [value('-v', '--value'), flag('-d', '--delete')],
    positional: ['app', 'key'],
    run: (server, given) => {
      const [app, key] = [given.required('app'), given.required('key')];
      if (given.has('value') || given.has('delete')) {
        setAppSetting(server, app, key, given.has('delete') ? undefined : given.one('value'));
        return undefined;
      }
      return getAppSetting(server, app, key) ?? undefined;
    },
  },
  {
    words: 'app install',
    locks: true,
    options: [
      value('-l', '--label'),
      value('-a', '--args'),
      flag('-n', '--no-remove-on-failure'),
      flag('-f', '--force'),
    ],
    positional: ['app'],
    run: (server, given) =>
      inOperation(server, 'app_install', async (inner, started) => {
        await installApp(inner, given.required('app'), given.one('args') ?? '', started);
        return undefined;
      }),
  },
  {
    words: 'app remove',
    locks: true,
    options: [flag('-p', '--purge')],
    positional: ['app+'],
    run: async (server, given) => {
      for (const app of given.many('app') ?? []) {
        assertInstalled(server, app);
        await inOperation(server, 'app_remove', (inner, started) =>
          removeApp(inner, app, { purge: given.has('purge'), started }),
        );
      }
      return undefined;
    },
  },
];

const users: readonly Command[] = [
  { words: 'user list', locks: false, run: (server) => ({ users: listUsers(server) }) },
  {
    words: 'user create',
    locks: true,
    options: [value('-F', '--fullname'), value('-p', '--password'), value('-d', '--domain')],
    positional: ['username'],
    run: async (server, given) => {
      const domain = given.one('domain') ?? mainDomain(server);
      if (!domainNames(server).includes(domain)) throw new YunohostError(`Domain '${domain}' unknown`);
      const name = given.required('username');
      await createUser(server, { name, fullName: given.one('fullname') ?? name, domain });
      return { fullname: given.one('fullname') ?? name, username: name, mail: `${name}@${domain}` };
    },
  },
  {
    words: 'user delete',
    locks: true,
    options: [flag('--purge')],
    positional: ['username'],
    run: (server, given) => {
      deleteUser(server, given.required('username'), given.has('purge'));
      return undefined;
    },
  },
  {
    words: 'user permission list',
    locks: false,
    options: [flag('-f', '--full')],
    positional: ['apps*'],
    run: (server, given) => ({ permissions: listPermissions(server, given.many('apps') ?? []) }),
  },
  {
    words: 'user permission info',
    locks: false,
    positional: ['permission'],
    run: (server, given) => {
      const found = listPermissions(server, [])[given.required('permission')];
      if (found === undefined) throw new YunohostError(`Permission '${given.required('permission')}' not found`);
      return found;
    },
  },
  {
    words: 'user permission update',
    locks: true,
    options: [value('-l', '--label'), value('-s', '--show_tile')],
    positional: ['permission'],
    run: (server, given) =>
      updatePermission(server, given.required('permission'), given.one('label'), given.one('show_tile')),
  },
];

export const appCommands: readonly Command[] = [...apps, ...users];
