// `backup restore`, with every trap of section 6: whole LDAP replaced, zombies, StopIteration, nested folders, wrong owners.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { appsFolder, isInstalled, parseManifest, settingsOf } from './app-files.ts';
import { provideResources } from './app-resources.ts';
import { playScript } from './app-script.ts';
import { addHooksOf, appEnvironment, listApps, removeApp } from './apps.ts';
import { type ArchiveInfo, loadInfo } from './backup-archives.ts';
import { BackupTargets, type Results } from './backup-targets.ts';
import { asPython, PythonCrash, YunohostError } from './errors.ts';
import { closeTree, copyTree, makeWorkFolder, removeTree } from './files.ts';
import { freeSpace } from './free-space.ts';
import { callHooks, listHooks, removeHooksOf } from './hooks.ts';
import { postInstall } from './post-install.ts';
import { regenConf } from './regen-conf.ts';
import type { Server } from './server.ts';
import { syncPermissions, writePortalConf } from './ssowat.ts';
import { playRestoreHook } from './system-parts.ts';
import { extractMembers } from './tar-file.ts';
import { type ReadMember, readArchive } from './tar-read.ts';

const megabyte = 1024 * 1024;

export interface RestoreOptions {
  readonly name: string;
  readonly system?: readonly string[] | undefined;
  readonly apps?: readonly string[] | undefined;
  readonly force: boolean;
}

/** The whole command; its results decide nothing but the JSON, one success is exit 0. */
export async function restoreBackup(server: Server, options: RestoreOptions, started: () => void): Promise<Results> {
  const isEverything = options.system === undefined && options.apps === undefined;
  const restore = new Restore(server, options.name);
  restore.choose(isEverything ? [] : options.system, isEverything ? [] : options.apps);
  restore.assertSpace();
  if (restore.wantsSystem && server.installed) {
    server.log('WARNING', 'YunoHost is already installed');
    if (!options.force) throw new YunohostError("Not a tty, can't do interactive prompts");
  }
  started();
  server.log('INFO', 'Preparing archive for restoration…');
  restore.extract();
  await restore.run();
  if (!restore.targets.anySuccess) throw new YunohostError('Nothing was restored');
  server.log('SUCCESS', 'Restoration completed');
  return restore.targets.results;
}

class Restore {
  readonly targets = new BackupTargets();
  readonly #server: Server;
  readonly #path: string;
  readonly #work: string;
  #info: ArchiveInfo;

  constructor(server: Server, given: string) {
    this.#server = server;
    const { path, info } = loadInfo(server, given);
    const version = (info.from_yunohost_version ?? '').replace(/~\w+/g, '');
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (version === '' || major < 4 || (major === 4 && minor < 2)) {
      throw new YunohostError(
        'This backup archive can not be restored because it comes from a too-old YunoHost version.',
      );
    }
    this.#path = path;
    this.#info = info;
    // An absolute name swallows the folder before it, as os.path.join does: the work folder is then the archive itself.
    this.#work = given.startsWith('/') ? path : server.path(`/home/yunohost.backup/tmp/${given}`);
  }

  get wantsSystem(): boolean {
    return Object.keys(this.#info.system).length > 0 && this.targets.wanted.system.length > 0;
  }

  choose(system: readonly string[] | undefined, apps: readonly string[] | undefined): void {
    const { log } = this.#server;
    const parts = this.targets.choose('system', system, Object.keys(this.#info.system), (part) =>
      log('ERROR', `System part '${part}' unavailable in this backup`),
    );
    const here = listHooks(this.#server, 'restore').map((hook) => hook.name);
    const folder = '/etc/yunohost/hooks.d/restore';
    // `mkdir(folder, force=True)` sets the umask to 0, and sets it back only when it made the folder (backup.py:1010,
    // file_utils.py:298): every restore but a server's first one makes files and folders that anybody may write to.
    if (this.#server.has(folder)) process.umask(0);
    else this.#server.makeFolder(folder);
    for (const part of parts) {
      if (here.includes(part)) continue;
      const paths = this.#info.system[part] ?? [];
      if (paths.length === 0) {
        log('ERROR', `Restoration script for '${part}' not available on your system and not in the archive either`);
        this.targets.set('system', part, 'Skipped');
      } else this.#adoptHooks(paths);
    }
    const going = this.targets.choose('apps', apps, Object.keys(this.#info.apps), (app) =>
      log('ERROR', `Could not find ${app} in the backup archive`),
    );
    const installed = going.filter((app) => isInstalled(this.#server, app));
    if (installed.length === 0) return;
    const message = `The following apps can't be restored because they are already installed: ${installed.join(', ')}`;
    if (installed.length === going.length) throw new YunohostError(message);
    log('WARNING', message);
  }

  /** Takes a restore hook that this server lacks out of the archive. */
  #adoptHooks(paths: readonly string[]): void {
    const members = readArchive(this.#path, this.#server.shown(this.#path));
    for (const path of paths) {
      const member = members.find((one) => one.name === `hooks/restore/${basename(path)}`);
      if (member === undefined)
        throw new PythonCrash('KeyError', `"filename 'hooks/restore/${basename(path)}' not found"`);
      const file = { ...member, name: basename(path) };
      extractMembers(this.#server, [file], this.#server.path('/etc/yunohost/hooks.d/restore'));
    }
  }

  assertSpace(): void {
    const server = this.#server;
    const sizes = this.#info.size_details;
    let needed = 0;
    let margin = 10 * megabyte;
    if (sizes === undefined) {
      needed = this.#info.size ?? 0;
      margin = 100 * megabyte;
    } else {
      for (const part of this.targets.going('system')) needed += keyed(sizes.system, part);
      for (const app of this.targets.going('apps')) {
        needed += keyed(sizes.apps, app);
        margin = 100 * megabyte;
      }
    }
    if (!server.installed) needed += 5 * megabyte;
    const free = freeSpace(server);
    if (free >= needed + margin) return;
    const numbers = `${free} B, needed space: ${needed} B, security margin: ${margin} B)`;
    throw new YunohostError(
      free > needed
        ? `Your system does not seem to have enough space (free: ${numbers}`
        : `Not enough space (space: ${numbers}`,
    );
  }

  /** Extracts everything wanted into the work folder; `apps/foo` also brings `apps/foobar`, as a mere prefix does. */
  extract(): void {
    const work = this.#work;
    if (existsSync(work) && readdirSafe(work) === undefined) {
      throw new PythonCrash('FileExistsError', `Folder ${this.#server.shown(work)} already exists`);
    }
    removeTree(this.#server, work);
    makeWorkFolder(this.#server, work, 0o755);
    const members = readArchive(this.#path, this.#server.shown(this.#path));
    const dot = members.some((member) => member.name === 'info.json') ? '' : './';
    if (!members.some((member) => member.name === `${dot}info.json`)) {
      throw new YunohostError(
        `Could not load info for archive '${this.#server.shown(this.#path)}'… The info.json file cannot be retrieved (or is not a valid json).`,
      );
    }
    const take = (wanted: (name: string) => boolean) =>
      extractMembers(this.#server, members.filter((member) => wanted(member.name)).map(plainName), work);
    take((name) => name === `${dot}info.json` || name === `${dot}backup.csv`);
    const folders = this.targets
      .going('system')
      .map((part) => (part.startsWith('conf_') ? 'conf/' : `${part.replaceAll('_', '/')}/`));
    const beginnings = [
      ...new Set(folders),
      'hooks/restore/',
      ...this.targets.going('apps').map((app) => `apps/${app}`),
    ];
    for (const beginning of beginnings) {
      take((name) => name.startsWith(dot + beginning));
      this.#server.strike('extracted-part');
    }
    this.#info = JSON.parse(readFileSync(join(work, 'info.json'), 'utf8')) as ArchiveInfo;
    this.#server.strike('extracted');
  }

  async run(): Promise<void> {
    try {
      await this.#postInstallIfNeeded();
      await this.#restoreSystem();
      for (const app of this.targets.going('apps')) await this.#restoreApp(app);
    } catch (error) {
      const message = asPython(error).message;
      // clean() runs first; when it crashes too, its traceback is what is seen (section 6 trap 3).
      this.#clean();
      throw new YunohostError(`The following critical error happened during restoration: ${message}`);
    }
    this.#clean();
  }

  #clean(): void {
    syncPermissions(this.#server);
    writePortalConf(this.#server);
    removeTree(this.#server, this.#work);
  }

  async #postInstallIfNeeded(): Promise<void> {
    if (this.#server.installed) return;
    const file = join(this.#work, 'conf/ynh/current_host');
    if (!existsSync(file)) {
      throw new YunohostError(
        'The main domain name cannot be retrieved from inside the archive, and is needed to perform the postinstall',
      );
    }
    const domain = readFileSync(file, 'utf8').trim();
    await postInstall(this.#server, { domain, userName: 'tmpadmin', fullName: 'Tmp Admin' }, () => {});
  }

  async #restoreSystem(): Promise<void> {
    const parts = this.targets.going('system');
    if (parts.length === 0) return;
    const server = this.#server;
    const results = await callHooks(server, 'restore', parts, {
      args: [this.#work],
      folder: this.#work,
      environment: { YNH_BACKUP_DIR: this.#work, YNH_BACKUP_CSV: join(this.#work, 'backup.csv') },
      play: (hook) => playRestoreHook(server, this.#work, hook),
    });
    for (const { name, succeeded } of results) {
      if (!succeeded) server.log('ERROR', `Could not restore the '${name}' system part`);
      this.targets.set('system', name, succeeded ? 'Success' : 'Error');
    }
    server.strike('system-hooks-done');
    regenConf(server);
    // A migration after each system restore reads all apps in full: one on a lost domain costs an ERROR line.
    listApps(server, true);
    syncPermissions(server);
    writePortalConf(server);
    server.strike('system-restored');
  }

  async #restoreApp(app: string): Promise<void> {
    const server = this.#server;
    if (isInstalled(server, app)) {
      server.log('ERROR', `An app with the ID '${app}' is already installed`);
      this.targets.set('apps', app, 'Error');
      return;
    }
    server.log('INFO', `Restoring ${app}…`);
    const archived = join(this.#work, 'apps', app);
    const script = join(archived, 'settings', 'scripts', 'restore');
    rmSync(join(archived, 'backup', '_common.sh'), { force: true });
    if (!existsSync(script)) {
      server.log('WARNING', `${app} will not be restored`);
      this.targets.set('apps', app, 'Warning');
      return;
    }
    const text = readFileSync(script, 'utf8');
    copyTree(server, join(archived, 'settings'), server.path(`${appsFolder}/${app}`));
    closeTree(server.path(`${appsFolder}/${app}`));
    server.strike('app-settings-restored', { app });
    // What this throws leaves the loop: the app stays as a zombie, and no further app is tried (section 6 trap 1).
    provideResources(server, app, parseManifest(readFileSync(join(archived, 'settings', 'manifest.toml'), 'utf8')));
    const code = this.#playRestore(app, text);
    if (code !== 0) {
      server.log('ERROR', `Could not restore ${app}: An error occured inside the app restore script`);
      this.targets.set('apps', app, 'Error');
      await removeApp(server, app, { purge: false, packageFolder: join(archived, 'settings') });
      return;
    }
    this.targets.set('apps', app, 'Success');
    removeHooksOf(server, app);
    addHooksOf(server, app, join(archived, 'settings', 'hooks'));
    await callHooks(server, 'post_app_restore', [], { environment: appEnvironment(app) });
    server.strike('app-restored', { app });
  }

  #playRestore(app: string, text: string): number {
    const server = this.#server;
    try {
      server.strike('restore-script', { app });
    } catch (error) {
      server.log('WARNING', asPython(error).message);
      return 1;
    }
    return playScript(server, text, { app, settings: settingsOf(server, app), workFolder: this.#work });
  }
}

function keyed(sizes: Record<string, number>, name: string): number {
  const size = sizes[name];
  if (size === undefined) throw new PythonCrash('KeyError', `'${name}'`);
  return size;
}

/** Members of a GNU tar begin with `./`, which the extraction drops. */
function plainName(member: ReadMember): ReadMember {
  return { ...member, name: member.name.replace(/^\.\//, '') };
}

function readdirSafe(path: string): string[] | undefined {
  try {
    return readdirSync(path);
  } catch {
    return undefined;
  }
}
