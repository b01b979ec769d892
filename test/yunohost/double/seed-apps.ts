// Packages for the double, in the manner of packaging v2: a manifest and scripts, and the data that an app comes to hold.
import { chmodSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { readAccounts } from './accounts.ts';
import { settingsOf, writeSettings } from './app-files.ts';
import { installApp } from './apps.ts';
import { type Engine, readDatabase, type Table, writeDatabase } from './databases.ts';
import { ownTree, removeTree, walk } from './files.ts';
import { Random } from './random.ts';
import type { Server } from './server.ts';
import { textAt } from './yaml.ts';

export interface AppShape {
  readonly id: string;
  readonly domain: string;
  /** Path under the domain; left out for an app without any URL. */
  readonly path?: string;
  readonly database?: Engine;
  readonly dataFolder?: boolean;
  /** False hides it from the portal, which saves a server from the crash of section 6 trap 3. */
  readonly showTile?: boolean;
  /** About how much an app holds, in bytes; half code, half data and rows. */
  readonly sizeBytes?: number;
  /** Further files of the package, e.g. `hooks/05-backup_method`. */
  readonly files?: Readonly<Record<string, string>>;
}

const sizeBytesDefault = 200_000;
/** Every seeded file is of this day, plus a second each, so that two servers of one seed agree to the byte. */
export const seedTimeSeconds = 1_758_209_844;

function manifestText(app: AppShape): string {
  const isWeb = app.path !== undefined;
  const title = app.id.charAt(0).toUpperCase() + app.id.slice(1);
  return [
    `packaging_format = 2\nid = "${app.id}"\nname = "${title}"\ndescription.en = "The app ${app.id} of a test"\nversion = "1.0~ynh1"\n`,
    '[upstream]\nlicense = "free"\n[integration]\nyunohost = ">= 12.1.17"\nhelpers_version = "2.1"\n',
    isWeb
      ? '[install]\n[install.domain]\ntype = "domain"\n[install.path]\ntype = "path"\n[install.init_main_permission]\ntype = "group"\n'
      : '',
    '[resources]\n[resources.system_user]\n[resources.install_dir]\n',
    app.dataFolder === false ? '' : '[resources.data_dir]\n',
    '[resources.ports]\n[resources.permissions]\n',
    isWeb ? 'main.url = "/"\n' : 'main.allowed = "all_users"\n',
    app.showTile === undefined ? '' : `main.show_tile = ${app.showTile}\n`,
    app.database === undefined ? '' : `[resources.database]\ntype = "${app.database}"\n`,
  ].join('');
}

function scriptsOf(app: AppShape): Record<string, string> {
  const head = '#!/bin/bash\nsource _common.sh\nsource /usr/share/yunohost/helpers\n';
  const nginx = '/etc/nginx/conf.d/$domain.d/$app.conf';
  const unit = '/etc/systemd/system/$app.service';
  const hasData = app.dataFolder !== false;
  const dump =
    app.database === undefined
      ? ''
      : app.database === 'mysql'
        ? 'ynh_mysql_dump_db > db.sql\n'
        : 'ynh_psql_dump_db > db.sql\n';
  const load =
    app.database === undefined
      ? ''
      : app.database === 'mysql'
        ? 'ynh_mysql_db_shell < ./db.sql\n'
        : 'ynh_psql_db_shell < ./db.sql\n';
  const reload = 'ynh_systemctl --service=nginx --action=reload';
  const web = (line: string) => (app.path === undefined ? '' : `${line}\n`);
  return {
    _common: '',
    install: `${head}write ${unit} "ExecStart=$install_dir/run"\n${web(`write ${nginx} "proxy_pass http://127.0.0.1:$port;"`)}yunohost service add $app --description=test\n`,
    remove: `${head}yunohost service remove $app\nynh_safe_rm "${unit}"\n${web(`ynh_safe_rm "${nginx}"\n${reload}`)}`,
    backup: `${head}ynh_script_progression "Declaring files to be backed up..."\nynh_backup "$install_dir"\n${hasData ? 'ynh_backup "$data_dir"\n' : ''}${web(`ynh_backup "${nginx}"`)}ynh_backup "${unit}"\n${dump}`,
    restore: `${head}ynh_restore "$install_dir"\nchown -R $app:www-data "$install_dir"\n${hasData ? 'ynh_restore "$data_dir"\nchown -R $app:$app "$data_dir"\n' : ''}${web(`ynh_restore "${nginx}"`)}ynh_restore "${unit}"\n${load}yunohost service add $app --description=test\n${web(reload)}`,
  };
}

/** Writes the package’s folder under ROOT/.double/packages and gives its real path: what `app install` takes. */
export function writePackage(server: Server, app: AppShape): string {
  const folder = `/.double/packages/${app.id}`;
  removeTree(server, server.path(folder));
  server.write(`${folder}/manifest.toml`, manifestText(app));
  server.write(`${folder}/conf/nginx.conf`, 'location __PATH__/ { proxy_pass http://127.0.0.1:__PORT__; }\n');
  for (const [name, text] of Object.entries(scriptsOf(app))) {
    server.write(`${folder}/scripts/${name === '_common' ? '_common.sh' : name}`, text, 0o755);
  }
  for (const [name, text] of Object.entries(app.files ?? {})) server.write(`${folder}/${name}`, text);
  return server.path(folder);
}

/** Gives every file of a tree a time of its own, the same for each run. */
export function fixTimes(path: string, fromSeconds: number): void {
  let offset = 0;
  for (const { path: at, stat } of walk(path)) {
    if (!stat.isSymbolicLink()) utimesSync(at, fromSeconds + offset, fromSeconds + offset);
    offset += 1;
  }
}

function fillCode(server: Server, app: AppShape, random: Random): void {
  const folder = `/var/www/${app.id}`;
  const size = (app.sizeBytes ?? sizeBytesDefault) / 2;
  for (let number = 0; number < 12; number++) {
    server.write(`${folder}/src/module-${number % 3}/file-${number}.php`, `<?php // ${random.text(size / 24)}\n`);
  }
  server.write(`${folder}/assets/logo.png`, random.bytes(size / 4));
  server.write(`${folder}/run`, '#!/bin/sh\nexec sleep 1\n', 0o755);
  chmodSync(server.path(`${folder}/run`), 0o755);
  server.makeFolder(`${folder}/cache/empty`);
  server.write(
    `${folder}/a very long folder name that makes the path longer than one hundred bytes/and one more/naïve café.txt`,
    'ü\n',
  );
  symlinkSync('src/module-0', server.path(`${folder}/current`));
  const accounts = readAccounts(server);
  const owner = { userId: accounts.userId(app.id) ?? 0, groupId: accounts.groupId('www-data') ?? 0 };
  ownTree(server, server.path(folder), owner);
  fixTimes(server.path(folder), seedTimeSeconds);
}

function fillData(server: Server, app: AppShape, random: Random): void {
  const folder = `/home/yunohost.app/${app.id}`;
  const size = (app.sizeBytes ?? sizeBytesDefault) / 4;
  for (let number = 0; number < 4; number++)
    server.write(`${folder}/uploads/${number}/file.bin`, random.bytes(size / 4));
  const accounts = readAccounts(server);
  ownTree(server, server.path(folder), {
    userId: accounts.userId(app.id) ?? 0,
    groupId: accounts.groupId(app.id) ?? 0,
  });
  fixTimes(server.path(folder), seedTimeSeconds);
}

function seedTables(app: AppShape, random: Random): Table[] {
  const rowCount = Math.max(10, Math.floor((app.sizeBytes ?? sizeBytesDefault) / 4 / 220));
  const posts = Array.from({ length: rowCount }, (_, index) => [
    index + 1,
    `It's "${random.text(20)}"`,
    random.text(180),
  ]);
  return [
    { name: 'posts', columns: ['id', 'title', 'body'], rows: posts },
    {
      name: 'options',
      columns: ['name', 'value'],
      rows: [
        ['theme', 'blue\tdark'],
        ['motto', null],
        ['path', 'C:\\temp\n'],
      ],
    },
  ];
}

/** Installs an app on a server in this process and fills it. */
export async function layApp(server: Server, app: AppShape, seed: number): Promise<void> {
  const answers = new URLSearchParams(
    app.path === undefined ? {} : { domain: app.domain, path: app.path, init_main_permission: 'visitors' },
  );
  await installApp(server, writePackage(server, app), answers.toString(), () => {});
  const settings = settingsOf(server, app.id);
  settings['install_time'] = seedTimeSeconds;
  settings['api_secret'] = new Random(seed, `secret ${app.id}`).bytes(18).toString('hex');
  writeSettings(server, app.id, settings);
  const random = new Random(seed, `app ${app.id}`);
  fillCode(server, app, random);
  if (app.dataFolder !== false) fillData(server, app, random);
  if (app.database !== undefined) writeDatabase(server, app.database, app.id, seedTables(app, random));
  fixTimes(server.path(join('/etc/yunohost/apps', app.id)), seedTimeSeconds);
}

/** A day of an app’s life: rows added and changed here and there, one upload. */
export function useApp(server: Server, app: AppShape, day: number, seed: number, rowCount: number): void {
  const random = new Random(seed, `day ${day} ${app.id}`);
  const [engine, name] = [app.database, textAt(settingsOf(server, app.id), 'db_name') ?? app.id];
  if (engine !== undefined) {
    const tables = readDatabase(server, engine, name);
    const posts = tables.find((table) => table.name === 'posts');
    for (let number = 0; posts !== undefined && number < rowCount; number++) {
      const changed = posts.rows[random.below(posts.rows.length)];
      if (changed !== undefined) changed[2] = random.text(180);
      posts.rows.push([posts.rows.length + 1, `Day ${day}`, random.text(180)]);
    }
    writeDatabase(server, engine, name, tables);
  }
  if (app.dataFolder === false) return;
  const folder = `/home/yunohost.app/${app.id}/uploads/day-${day}`;
  server.write(`${folder}/file.bin`, random.bytes(5000));
  const accounts = readAccounts(server);
  ownTree(server, server.path(folder), {
    userId: accounts.userId(app.id) ?? 0,
    groupId: accounts.groupId(app.id) ?? 0,
  });
  fixTimes(server.path(folder), seedTimeSeconds + day * 86_400);
}
