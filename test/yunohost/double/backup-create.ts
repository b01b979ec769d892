// `backup create`: collects what hooks and scripts declare, then hands it to the methods (sections 2 and 5).
import { randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { appsFolder, installedApps, settingsOf } from './app-files.ts';
import { playScript } from './app-script.ts';
import { appEnvironment, appInfo } from './apps.ts';
import { archivesFolder, listArchives, makeArchivesFolder } from './backup-archives.ts';
import { type BackupJob, runMethod } from './backup-methods.ts';
import { BackupTargets } from './backup-targets.ts';
import { errnoOf, PythonCrash, YunohostError } from './errors.ts';
import { copyTree, makeWorkFolder, removeTree, sizeOfTree, statOrNothing } from './files.ts';
import { callHooks, listHooks } from './hooks.ts';
import { pythonJson, type Value } from './output.ts';
import type { Server } from './server.ts';
import { playBackupHook } from './system-parts.ts';
import type { Row } from './tar-file.ts';
import { yunohostVersion } from './versions.ts';

export interface CreateOptions {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly output?: string | undefined;
  readonly methods?: readonly string[] | undefined;
  readonly system?: readonly string[] | undefined;
  readonly apps?: readonly string[] | undefined;
  readonly dryRun: boolean;
}

const forbidden = /^\/(|(bin|boot|dev|etc|lib|root|run|sbin|sys|usr|var)(|\/.*))$/;

function checkOutput(server: Server, options: CreateOptions): string | undefined {
  const isCopy = options.methods?.includes('copy') === true;
  if (options.output === undefined) {
    if (isCopy) throw new YunohostError('You must provide an output directory for the backup');
    return undefined;
  }
  const folder = resolve(options.output);
  if (folder.startsWith(server.path(archivesFolder)) || forbidden.test(server.shown(folder))) {
    throw new YunohostError(
      'Pick a different output directory. Backups cannot be created in /bin, /boot, /dev, /etc, /lib, /root, /run, /sbin, /sys, /usr, /var or /home/yunohost.backup/archives sub-folders',
    );
  }
  return folder;
}

/** The whole command. @param started called once the arguments are accepted, with what it concerns. */
export async function createBackup(server: Server, options: CreateOptions, started: () => void): Promise<Value> {
  if (options.name !== undefined && listArchives(server).includes(options.name)) {
    throw new YunohostError(`A backup archive with the name '${options.name}' already exists.`);
  }
  const output = checkOutput(server, options);
  started();
  makeArchivesFolder(server);
  const backup = new Backup(server, options.name ?? server.stamp(), options.description ?? '', output);
  const isEverything = options.system === undefined && options.apps === undefined;
  backup.choose(isEverything ? [] : options.system, isEverything ? [] : options.apps);
  await backup.collect();
  if (options.dryRun) return { size: backup.sizeBytes, size_details: backup.sizes };
  server.log('INFO', 'Creating a backup archive from the collected files…');
  server.log('INFO', `The archive will contain about ${humanSize(backup.sizeBytes)}B of data.`);
  const methods = options.methods === undefined || options.methods.length === 0 ? ['tar'] : options.methods;
  for (const method of methods) await runMethod(server, method, backup.job(output));
  server.log('SUCCESS', `Backup created: ${backup.name}`);
  return { name: backup.name, size: backup.sizeBytes, results: backup.targets.results };
}

/** `binary_to_human`: `189K`, `1.2M`. */
export function humanSize(bytes: number): string {
  const units = 'KMGTPEZY';
  for (let at = units.length - 1; at >= 0; at--) {
    const unit = 1024 ** (at + 1);
    if (bytes >= unit)
      return `${bytes / unit < 10 ? (bytes / unit).toFixed(1) : Math.round(bytes / unit)}${units[at] ?? ''}`;
  }
  return String(bytes);
}

/** A CSV of two quoted columns; line ends of either kind. */
export function parseRows(text: string): Row[] {
  return [...text.matchAll(/^"((?:[^"]|"")*)","((?:[^"]|"")*)"\r?$/gm)].map(([, source = '', dest = '']) => ({
    source: source.replaceAll('""', '"'),
    dest: dest.replaceAll('""', '"'),
  }));
}

class Backup {
  readonly targets = new BackupTargets();
  readonly name: string;
  readonly work: string;
  readonly sizes: { system: Record<string, number>; apps: Record<string, number> } = { system: {}, apps: {} };
  sizeBytes = 0;
  readonly #server: Server;
  readonly #description: string;
  readonly #createdAt: number;
  readonly #isOwnFolder: boolean;
  readonly #rows: Row[] = [];
  readonly #apps: Record<string, Value> = {};
  readonly #system: Record<string, Value> = {};

  constructor(server: Server, name: string, description: string, output: string | undefined) {
    this.#server = server;
    this.name = name;
    this.#description = description;
    this.#createdAt = Math.floor(server.nowMs() / 1000);
    this.work = output ?? server.path(`/home/yunohost.backup/tmp/${name}`);
    this.#isOwnFolder = output === undefined;
    if (this.#isOwnFolder) removeTree(server, this.work);
    makeWorkFolder(server, this.work, 0o750);
  }

  job(output: string | undefined): BackupJob {
    const { name, work, sizeBytes } = this;
    const repository = output ?? this.#server.path(archivesFolder);
    return {
      name,
      work,
      sizeBytes,
      repository,
      description: this.#description,
      rows: this.#rows,
      isOwnFolder: this.#isOwnFolder,
    };
  }

  choose(system: readonly string[] | undefined, apps: readonly string[] | undefined): void {
    const parts = [...new Set(listHooks(this.#server, 'backup').map((hook) => hook.name))];
    this.targets.choose('system', system, parts, (part) =>
      this.#server.log('ERROR', `The backup hook '${part}' is unknown`),
    );
    const going = this.targets.choose('apps', apps, installedApps(this.#server), (app) =>
      this.#server.log('ERROR', `${app} will not be saved`),
    );
    for (const app of going) {
      if (!this.#server.has(`${appsFolder}/${app}/scripts/backup`)) {
        this.#server.log('WARNING', `The app '${app}' has no backup script. Ignoring.`);
        this.targets.set('apps', app, 'Skipped');
      } else if (!this.#server.has(`${appsFolder}/${app}/scripts/restore`)) {
        this.#server.log(
          'WARNING',
          `${app} has no restoration script, you will not be able to automatically restore the backup of this app.`,
        );
        this.targets.set('apps', app, 'Warning');
      }
    }
  }

  async collect(): Promise<void> {
    await this.#collectSystem();
    for (const app of this.targets.going('apps')) this.#collectApp(app);
    if (!this.targets.anySuccess) {
      removeTree(this.#server, this.work);
      throw new YunohostError('Failed to collect files to be backed up');
    }
    this.#server.strike('collected');
    const own = (dest: string) => this.#rows.push({ source: join(this.work, dest), dest });
    for (const dest of ['backup.csv', 'info.json', ...Object.keys(this.#apps).map((app) => `apps/${app}`)]) own(dest);
    for (const folder of ['conf', 'data']) if (existsSync(join(this.work, folder))) own(folder);
    const cell = (text: string) => `"${text.replaceAll('"', '""')}"`;
    const csv = this.#rows.map((row) => `${cell(row.source)},${cell(row.dest)}\r\n`).join('');
    appendFileSync(join(this.work, 'backup.csv'), csv);
    this.#measure();
    writeFileSync(join(this.work, 'info.json'), pythonJson(this.#info()));
  }

  #info(): Value {
    return {
      description: this.#description,
      created_at: this.#createdAt,
      size: this.sizeBytes,
      size_details: this.sizes,
      apps: this.#apps,
      system: this.#system,
      from_yunohost_version: yunohostVersion(this.#server),
    };
  }

  #import(csv: string): void {
    for (const row of parseRows(readFileSync(csv, 'utf8'))) {
      const dest = row.dest.endsWith('/') ? row.dest + basename(row.source) : row.dest;
      this.#rows.push({ source: row.source, dest });
    }
  }

  async #collectSystem(): Promise<void> {
    const parts = this.targets.going('system');
    if (parts.length === 0) return;
    const csv = newCsv();
    const results = await callHooks(this.#server, 'backup', parts, {
      args: [this.work],
      folder: this.work,
      environment: { YNH_BACKUP_DIR: this.work, YNH_BACKUP_CSV: csv },
      play: (hook) => playBackupHook(this.#server, this.work, csv, hook),
    });
    this.#import(csv);
    rmSync(csv, { force: true });
    mkdirSync(join(this.work, 'hooks', 'restore'), { recursive: true, mode: 0o700 });
    const restoring = listHooks(this.#server, 'restore');
    for (const result of results) {
      if (!result.succeeded) {
        this.#server.log('ERROR', `Could not backup the '${result.name}' system part`);
        this.targets.set('system', result.name, 'Error');
        continue;
      }
      this.#system[result.name] = [result.path];
      const hooks = restoring.filter((hook) => hook.name === result.name);
      for (const hook of hooks) this.#rows.push({ source: hook.path, dest: `hooks/restore/${basename(hook.path)}` });
      if (hooks.length === 0) {
        this.#server.log(
          'WARNING',
          `Restoration script for '${result.name}' not available on your system and not in the archive either`,
        );
      }
      this.targets.set('system', result.name, hooks.length === 0 ? 'Warning' : 'Success');
    }
  }

  #collectApp(app: string): void {
    this.#server.log('INFO', `Collecting files to be backed up for ${app}…`);
    const folder = join(this.work, 'apps', app);
    const csv = newCsv();
    try {
      this.#server.strike('collect-app', { app });
      mkdirSync(join(folder, 'backup'), { recursive: true, mode: 0o700 });
      copyTree(this.#server, this.#server.path(`${appsFolder}/${app}`), join(folder, 'settings'));
      const script = readFileSync(join(folder, 'settings', 'scripts', 'backup'), 'utf8');
      const run = { app, settings: settingsOf(this.#server, app), workFolder: this.work, csv };
      const code = playScript(this.#server, script, run);
      if (code !== 0) throw new YunohostError(`exit ${code}`);
      this.#import(csv);
      const info = appInfo(this.#server, app, false);
      this.#apps[app] = {
        version: info['version'] ?? '-',
        name: info['name'] ?? app,
        description: info['description'] ?? '',
      };
      this.targets.set('apps', app, 'Success');
    } catch (error) {
      if (error instanceof PythonCrash) throw error;
      this.#server.log('DEBUG', `${appEnvironment(app)['YNH_APP_ID'] ?? app}: ${String(error)}`);
      removeTree(this.#server, folder);
      this.#server.log('ERROR', `Failed to collect files to backed up for ${app}.`);
      this.targets.set('apps', app, 'Error');
    } finally {
      rmSync(csv, { force: true });
    }
  }

  /** Sizes as `du -sb` of each source, shared out by the beginning of the path, quirks included. */
  #measure(): void {
    for (const part of Object.keys(this.#system)) this.sizes.system[part] = 0;
    for (const app of Object.keys(this.#apps)) this.sizes.apps[app] = 0;
    for (const { source, dest } of this.#rows) {
      if (dest === 'info.json') continue;
      const size = statOrNothing(source) === undefined ? 0 : this.#sizeOf(source);
      const parts = Object.keys(this.#system).filter((name) => dest.startsWith(name.replaceAll('_', '/')));
      const apps = Object.keys(this.#apps).filter((name) => dest.startsWith(`apps/${name}`));
      if (dest.startsWith('apps/') && apps[0] !== undefined)
        this.sizes.apps[apps[0]] = (this.sizes.apps[apps[0]] ?? 0) + size;
      else if (/^(data|conf)(\/|$)/.test(dest) && parts[0] !== undefined) {
        this.sizes.system[parts[0]] = (this.sizes.system[parts[0]] ?? 0) + size;
      }
      this.sizeBytes += size;
    }
  }

  #sizeOf(source: string): number {
    try {
      return sizeOfTree(source);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return 0;
      throw error;
    }
  }
}

function newCsv(): string {
  const path = join(tmpdir(), `backupcsv_${randomUUID()}`);
  writeFileSync(path, '');
  return path;
}
