// The core’s own backup and restore hooks, played: what each system part saves and what its restore does to a server.
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readAccounts } from './accounts.ts';
import { putAside } from './app-script.ts';
import { copyTree, moveTree, ownTree, shellCopy } from './files.ts';
import type { Hook } from './hooks.ts';
import { configFile, databaseFile, formatLdif, parseLdif } from './ldap.ts';
import { manuallyModified } from './regen-conf.ts';
import type { Server } from './server.ts';

/** The system parts in order of their hooks (section 2). */
export const systemHooks = [
  '05-conf_ldap',
  '17-data_home',
  '18-data_multimedia',
  '20-conf_ynh_settings',
  '21-conf_ynh_certs',
  '23-data_mail',
  '50-conf_manually_modified_files',
] as const;

/** Lays down the core’s hook files, which travel in every system archive as `hooks/restore/NN-name`. */
export function writeSystemHooks(server: Server): void {
  for (const kind of ['backup', 'restore']) {
    for (const name of systemHooks) {
      const text = `#!/usr/bin/env bash\n# ${kind} of ${name.slice(3)}, from the core\nset -eu\nsource /usr/share/yunohost/helpers\n`;
      server.write(`/usr/share/yunohost/hooks/${kind}/${name}`, text, 0o755);
    }
  }
}

interface Part {
  readonly server: Server;
  /** Work folder, real path. */
  readonly work: string;
  readonly csv: string;
}

/** `ynh_backup SOURCE DEST` of a hook: a row, and the parent folders of its place. */
function declare(part: Part, source: string, dest: string): void {
  if (!part.server.has(source)) throw new Error(`Source path '${source}' does not exist`);
  declareReal(part, part.server.path(source), dest);
}

function declareReal(part: Part, source: string, dest: string): void {
  appendFileSync(part.csv, `"${source}","${dest}"\n`);
  mkdirSync(dirname(join(part.work, dest)), { recursive: true });
}

function saveLdap(part: Part): void {
  declare(part, '/etc/ldap/ldap.conf', 'conf/ldap/ldap.conf');
  const folder = join(part.work, 'conf/ldap');
  writeFileSync(join(folder, 'cn=config.master.ldif'), part.server.read(configFile));
  writeFileSync(join(folder, 'dc=yunohost-dc=org.ldif'), part.server.read(databaseFile));
}

function saveHomes(part: Part): void {
  const home = part.server.path('/home');
  for (const entry of readdirSync(home, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!entry.isDirectory() || /^yunohost|lost\+found/.test(entry.name)) continue;
    if (existsSync(join(home, entry.name, '.nobackup'))) continue;
    declare(part, `/home/${entry.name}`, `data/home/${entry.name}`);
  }
}

function saveSettings(part: Part): void {
  for (const name of ['firewall.yml', 'permissions.yml', 'current_host'])
    declare(part, `/etc/yunohost/${name}`, `conf/ynh/${name}`);
  for (const name of ['portal', 'domains', 'settings.yml', 'dyndns']) {
    if (part.server.has(`/etc/yunohost/${name}`)) declare(part, `/etc/yunohost/${name}`, `conf/ynh/${name}`);
  }
  if (part.server.has('/etc/dkim')) declare(part, '/etc/dkim', 'conf/ynh/dkim');
}

function saveModified(part: Part): void {
  const own = 'conf/manually_modified_files';
  mkdirSync(join(part.work, own), { recursive: true });
  const list = join(part.work, own, 'manually_modified_files_list');
  const files = manuallyModified(part.server);
  writeFileSync(list, `${files.join('\n')}\n`);
  // The list is declared by its own absolute path, so the archive’s name is part of three paths each night (section 4).
  declareReal(part, list, `${own}${part.server.shown(list)}`);
  for (const file of files) declare(part, file, `${own}${file}`);
  declare(part, '/etc/ssowat/conf.json.persistent', `${own}/etc/ssowat/conf.json.persistent`);
}

const savers: Record<string, (part: Part) => void> = {
  conf_ldap: saveLdap,
  data_home: saveHomes,
  data_multimedia: (part) => {
    const folder = '/home/yunohost.multimedia';
    if (part.server.has(folder) && !part.server.has(`${folder}/.nobackup`)) declare(part, folder, 'data/multimedia');
  },
  conf_ynh_settings: saveSettings,
  conf_ynh_certs: (part) => declare(part, '/etc/yunohost/certs', 'conf/ynh/certs'),
  data_mail: (part) => declare(part, '/var/mail', 'data/mail'),
  conf_manually_modified_files: saveModified,
};

/** Replaces the whole directory: users, groups and domains that the archive does not hold are gone (section 6 trap 2). */
function loadLdap({ server, work }: Part): void {
  const folder = join(work, 'conf/ldap');
  copyTree(server, join(folder, 'ldap.conf'), server.path('/etc/ldap/ldap.conf'));
  server.write(configFile, readFileSync(join(folder, 'cn=config.master.ldif')), 0o600);
  const entries = parseLdif(readFileSync(join(folder, 'dc=yunohost-dc=org.ldif'), 'utf8'));
  rmSync(server.path(databaseFile), { force: true });
  server.strike('ldap-emptied');
  server.write(databaseFile, formatLdif(entries), 0o600);
}

function loadSettings({ server, work }: Part): void {
  const folder = join(work, 'conf/ynh');
  for (const name of ['current_host', 'firewall.yml', 'permissions.yml']) {
    copyTree(server, join(folder, name), server.path(`/etc/yunohost/${name}`));
  }
  // `cp -a domains /etc/yunohost/domains` into a folder that is there: domains/domains (section 6 trap 4).
  for (const name of ['portal', 'domains']) {
    if (existsSync(join(folder, name))) shellCopy(server, join(folder, name), server.path(`/etc/yunohost/${name}`));
  }
  const settings = join(folder, 'settings.yml');
  if (existsSync(settings)) copyTree(server, settings, server.path('/etc/yunohost/settings.yml'));
  if (existsSync(join(folder, 'dyndns'))) copyTree(server, join(folder, 'dyndns'), server.path('/etc/yunohost/dyndns'));
  if (existsSync(join(folder, 'dkim'))) copyTree(server, join(folder, 'dkim'), server.path('/etc/dkim'));
}

function loadMail({ server, work }: Part): void {
  const folder = join(work, 'data/mail');
  if (existsSync(folder)) copyTree(server, folder, server.path('/var/mail'));
  const accounts = readAccounts(server);
  ownTree(server, server.path('/var/mail'), {
    userId: accounts.userId('vmail') ?? 0,
    groupId: accounts.groupId('mail') ?? 0,
  });
}

function restoreOne(server: Server, from: string, target: string): void {
  if (!existsSync(from)) return;
  putAside(server, target);
  moveTree(server, from, server.path(target));
}

function loadModified({ server, work }: Part): void {
  const folder = join(work, 'conf/manually_modified_files');
  for (const file of readFileSync(join(folder, 'manually_modified_files_list'), 'utf8').split('\n')) {
    if (file !== '') restoreOne(server, join(folder, file), file);
  }
  restoreOne(server, join(folder, '/etc/ssowat/conf.json.persistent'), '/etc/ssowat/conf.json.persistent');
}

const loaders: Record<string, (part: Part) => void> = {
  conf_ldap: loadLdap,
  data_home: ({ server, work }) => copyTree(server, join(work, 'data/home'), server.path('/home')),
  data_multimedia: ({ server, work }) => restoreOne(server, join(work, 'data/multimedia'), '/home/yunohost.multimedia'),
  conf_ynh_settings: loadSettings,
  conf_ynh_certs: ({ server, work }) =>
    copyTree(server, join(work, 'conf/ynh/certs'), server.path('/etc/yunohost/certs')),
  data_mail: loadMail,
  conf_manually_modified_files: loadModified,
};

function player(table: Record<string, (part: Part) => void>, part: Part, hook: Hook): (() => void) | undefined {
  const isCore = dirname(dirname(hook.path)) === part.server.path('/usr/share/yunohost/hooks');
  const play =
    isCore && (systemHooks as readonly string[]).includes(basename(hook.path)) ? table[hook.name] : undefined;
  return play === undefined ? undefined : () => play(part);
}

/** Plays the core’s backup hooks; undefined for a hook that someone added, which bash runs. */
export function playBackupHook(server: Server, work: string, csv: string, hook: Hook): (() => void) | undefined {
  return player(savers, { server, work, csv }, hook);
}

/** Plays the core’s restore hooks. */
export function playRestoreHook(server: Server, work: string, hook: Hook): (() => void) | undefined {
  return player(loaders, { server, work, csv: join(work, 'backup.csv') }, hook);
}
