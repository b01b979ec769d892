// Permissions of all apps as the portal sees them, and `app_ssowatconf`, which crashes on a visible tile of a lost domain.
import { readdirSync, rmSync } from 'node:fs';
import { installedApps, manifestOf, permissionsOf, settingsOf } from './app-files.ts';
import { domainNames, domainSettings, topDomains } from './domains.ts';
import { PythonCrash } from './errors.ts';
import { entriesUnder, entryOf, firstValue, readLdap, writeLdap } from './ldap.ts';
import type { Server } from './server.ts';
import { listAt, mapAt, textAt } from './yaml.ts';

export interface Permission {
  readonly name: string;
  readonly app: string;
  readonly label: string;
  /** As stored, or with domain and path in front of it when asked for absolute ones. */
  readonly url: string | null;
  readonly allowed: readonly string[];
  readonly showTile: boolean;
}

function absoluteUrl(url: string, basePath: string): string {
  if (!url.startsWith('/')) return url;
  return basePath.replace(/\/$/, '') + url.replace(/\/$/, '');
}

/** `user permission list` for apps, sorted by app; every app has a `main` permission, declared or not. */
export function appPermissions(server: Server, options: { readonly absolute: boolean }): Permission[] {
  return installedApps(server)
    .sort()
    .flatMap((app) => {
      const settings = settingsOf(server, app);
      const permissions = permissionsOf(settings);
      const main = mapAt(permissions, 'main');
      const label = textAt(main, 'label') ?? textAt(settings, 'label') ?? app.charAt(0).toUpperCase() + app.slice(1);
      const names = Object.keys(permissions).includes('main')
        ? Object.keys(permissions)
        : ['main', ...Object.keys(permissions)];
      const basePath = `${textAt(settings, 'domain') ?? ''}${textAt(settings, 'path') ?? ''}`;
      return names.map((name): Permission => {
        const info = mapAt(permissions, name);
        const url = textAt(info, 'url') ?? null;
        const shown = info['show_tile'];
        return {
          name: `${app}.${name}`,
          app,
          label: name === 'main' ? label : `${label} (${textAt(info, 'label') ?? name})`,
          url: url !== null && options.absolute ? absoluteUrl(url, basePath) : url,
          allowed: listAt(info, 'allowed'),
          showTile: typeof shown === 'boolean' ? shown : url !== null,
        };
      });
    });
}

/** `_sync_permissions_with_ldap`: one entry for each permission of the apps that are there. */
export function syncPermissions(server: Server): void {
  const suffix = ',ou=permission,';
  const groups = new Map(
    entriesUnder(server, 'ou=groups').map((entry) => [
      firstValue(entry, 'cn'),
      entry.attributes.get('memberUid') ?? [],
    ]),
  );
  const users = entriesUnder(server, 'ou=users').map((entry) => firstValue(entry, 'uid'));
  const system = { mail: ['all_users'], ssh: ['admins'], sftp: [] };
  const wanted = [
    ...Object.entries(system).map(([name, allowed]) => ({ name: `${name}.main`, allowed })),
    ...appPermissions(server, { absolute: false }),
  ];
  const entries = wanted.map(({ name, allowed }) => {
    const members = allowed.flatMap((group) => (group === 'all_users' ? users : (groups.get(group) ?? [])));
    return entryOf(`cn=${name},ou=permission`, {
      objectClass: ['top', 'posixGroup', 'permissionYnh'],
      cn: name,
      groupPermission: [...allowed],
      inheritPermission: [...new Set(members)].sort(),
    });
  });
  writeLdap(server, [...readLdap(server).filter((entry) => !entry.dn.includes(suffix)), ...entries]);
}

/**
 * `app_ssowatconf`: the portal’s files.
 * @throws PythonCrash StopIteration when an app with a visible tile is on a domain that LDAP does not know (section 6 trap 3).
 */
export function writePortalConf(server: Server): void {
  const domains = domainNames(server);
  const portals = new Map(topDomains(domains).map((domain): [string, Record<string, unknown>] => [domain, {}]));
  const permissions: Record<string, unknown> = {};
  for (const domain of domains) domainSettings(server, domain);
  for (const permission of appPermissions(server, { absolute: true })) {
    if (permission.url === null) continue;
    permissions[permission.name] = { public: permission.allowed.includes('visitors'), uris: [permission.url] };
    if (!permission.showTile) continue;
    const appDomain = permission.url.split('/')[0] ?? '';
    const portal = [...portals].find(([domain]) => appDomain.includes(domain));
    if (portal === undefined) throw new PythonCrash('StopIteration');
    portal[1][permission.name] = {
      label: permission.label,
      url: permission.url,
      description: manifestOf(server, permission.app).description,
    };
  }
  server.write('/etc/ssowat/conf.json', `${JSON.stringify({ permissions }, null, 4)}\n`);
  server.makeFolder('/etc/yunohost/portal');
  for (const [domain, apps] of portals) {
    const file = `/etc/yunohost/portal/${domain}.json`;
    const known = JSON.parse(server.readOr(file, '{}')) as Record<string, unknown>;
    server.write(file, `${JSON.stringify({ ...known, apps }, null, 4)}\n`);
  }
  for (const file of readdirSync(server.path('/etc/yunohost/portal'))) {
    if (file.endsWith('.json') && !portals.has(file.slice(0, -5))) rmSync(server.path(`/etc/yunohost/portal/${file}`));
  }
}
