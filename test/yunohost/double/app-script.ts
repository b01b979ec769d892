// Plays an app’s scripts: the helpers that backup and restore use, one a line. An unknown line fails as bash would.
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readAccounts } from './accounts.ts';
import {
  databaseExists,
  dumpMysql,
  dumpPostgres,
  loadMysql,
  loadPostgres,
  readDatabase,
  writeDatabase,
} from './databases.ts';
import { YunohostError } from './errors.ts';
import { moveTree, ownTree, removeTree, sizeOfTree, statOrNothing } from './files.ts';
import type { Server } from './server.ts';
import { setServiceState } from './service-states.ts';
import { addService, removeService } from './services.ts';
import { textAt, type YamlMap } from './yaml.ts';

/** Largest target that `ynh_restore` puts aside rather than deletes, in bytes (section 6). */
const putAsideBytesMax = 500_000_000;

export interface ScriptRun {
  readonly app: string;
  readonly settings: YamlMap;
  /** Work folder of the backup or restore, real path; undefined in install and remove. */
  readonly workFolder?: string;
  /** Where `ynh_backup` declares its paths, real path. */
  readonly csv?: string;
}

/** The script ended with this code: what `ynh_die` and a failing line do. */
class ScriptEnd extends Error {
  readonly code: number;
  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

class ScriptPlayer {
  readonly #server: Server;
  readonly #run: ScriptRun;
  /** `$YNH_CWD`: the app’s part of the work folder. */
  readonly #folder: string;

  constructor(server: Server, run: ScriptRun) {
    this.#server = server;
    this.#run = run;
    this.#folder = join(run.workFolder ?? server.path('/tmp'), 'apps', run.app, 'backup');
  }

  #fill(text: string): string {
    const bare = text.trim().replace(/^"(.*)"$/, '$1');
    return bare.replace(/\$\{?(\w+)\}?/g, (_, name: string) =>
      name === 'app' ? this.#run.app : (textAt(this.#run.settings, name) ?? ''),
    );
  }

  #warn(text: string): void {
    this.#server.log('WARNING', text);
  }

  #backup(target: string): void {
    const { app, settings, csv, workFolder } = this.#run;
    const dataFolder = textAt(settings, 'data_dir');
    const isData = target.startsWith(`/var/log/${app}`) || (dataFolder !== undefined && target.startsWith(dataFolder));
    const isCoreOnly = process.env['BACKUP_CORE_ONLY'] === '1';
    if (isData && (isCoreOnly || textAt(settings, 'do_not_backup_data') === '1')) {
      const why = isCoreOnly ? 'BACKUP_CORE_ONLY' : 'do_not_backup_data';
      this.#server.log('INFO', `${target} will not be saved, because '${why}' is set.`);
      return;
    }
    if (!this.#server.has(target)) {
      this.#warn(`File or folder '${target}' to be backed up does not exist`);
      throw new ScriptEnd(1);
    }
    const dest = `apps/${app}/backup${target}`;
    appendFileSync(csv ?? '/dev/null', `"${this.#server.path(target)}","${dest}"\n`);
    // Its parent folders stay in the work folder and become empty members near the end of the tar (section 4).
    mkdirSync(dirname(join(workFolder ?? '', dest)), { recursive: true });
  }

  #restore(target: string): void {
    const { app, settings } = this.#run;
    const archived = join(this.#folder, target);
    if (!existsSync(archived)) {
      const dataFolder = textAt(settings, 'data_dir');
      const isData =
        target.startsWith(`/var/log/${app}`) || (dataFolder !== undefined && target.startsWith(dataFolder));
      if (!isData) throw new ScriptEnd(1);
      this.#server.log('INFO', `Skipping ${target} which doesn't exists in the archive`);
      return;
    }
    putAside(this.#server, target);
    moveTree(this.#server, archived, this.#server.path(target));
  }

  #restoreAll(): void {
    const prefix = `apps/${this.#run.app}/backup`;
    const csv = readFileSync(join(this.#run.workFolder ?? '', 'backup.csv'), 'utf8');
    for (const [, dest = ''] of csv.matchAll(/^".*","(.*)"\r?$/gm)) {
      if (dest.startsWith(`${prefix}/`)) this.#restore(dest.slice(prefix.length));
    }
  }

  #owner(names: string): { userId: number; groupId: number } {
    const [user = '', group = ''] = this.#fill(names).split(':');
    const accounts = readAccounts(this.#server);
    const userId = accounts.userId(user);
    const groupId = accounts.groupId(group === '' ? user : group);
    if (userId !== undefined && groupId !== undefined) return { userId, groupId };
    this.#warn(`chown: invalid user: '${names}'`);
    throw new ScriptEnd(1);
  }

  #dump(engine: 'mysql' | 'postgresql', file: string): void {
    const name = textAt(this.#run.settings, 'db_name') ?? this.#run.app;
    if (!databaseExists(this.#server, engine, name)) throw new ScriptEnd(2);
    const tables = readDatabase(this.#server, engine, name);
    const path = join(this.#folder, file);
    this.#server.strike('dump', { app: this.#run.app });
    writeFileSync(path, engine === 'mysql' ? dumpMysql(tables) : dumpPostgres(tables));
  }

  #load(engine: 'mysql' | 'postgresql', file: string): void {
    const name = textAt(this.#run.settings, 'db_name') ?? this.#run.app;
    const sql = readFileSync(join(this.#folder, file), 'utf8');
    writeDatabase(this.#server, engine, name, engine === 'mysql' ? loadMysql(sql) : loadPostgres(sql));
  }

  /** Packages ask first whether the service is there, so that a second removal passes. */
  #removeService(name: string): void {
    try {
      removeService(this.#server, name);
    } catch (error) {
      if (!(error instanceof YunohostError)) throw error;
    }
  }

  readonly #verbs: readonly (readonly [RegExp, (...words: string[]) => void])[] = [
    // A reload by this helper is `reload-or-restart`: it starts a service that was stopped.
    [
      /^ynh_systemctl --service=(\S+) --action=(?:start|restart|reload)$/,
      (name) => setServiceState(this.#server, this.#fill(name), 'running'),
    ],
    [/^(#.*|source .*|#!.*|ynh_systemctl .*|ynh_config_\w+.*|ynh_hide_warnings .*|true)$/, () => {}],
    [/^ynh_script_progression (.*)$/, (text) => this.#server.log('INFO', this.#fill(text))],
    [/^ynh_print_info (.*)$/, (text) => this.#server.log('INFO', this.#fill(text))],
    [/^ynh_print_warn (.*)$/, (text) => this.#warn(this.#fill(text))],
    [/^ynh_backup (.*)$/, (path) => this.#backup(this.#fill(path))],
    [/^ynh_restore_everything$/, () => this.#restoreAll()],
    [/^ynh_restore (.*)$/, (path) => this.#restore(this.#fill(path))],
    [/^ynh_mysql_dump_db > (\S+)$/, (file) => this.#dump('mysql', file)],
    [/^ynh_psql_dump_db > (\S+)$/, (file) => this.#dump('postgresql', file)],
    [/^ynh_mysql_db_shell < (?:\.\/)?(\S+)$/, (file) => this.#load('mysql', file)],
    [/^ynh_psql_db_shell < (?:\.\/)?(\S+)$/, (file) => this.#load('postgresql', file)],
    [
      /^chown -R (\S+) (.*)$/,
      (names, path) => ownTree(this.#server, this.#server.path(this.#fill(path)), this.#owner(names)),
    ],
    [
      /^chmod ([0-7]{3,4}) (.*)$/,
      (mode, path) => chmodSync(this.#server.path(this.#fill(path)), Number.parseInt(mode, 8)),
    ],
    [/^ynh_safe_rm (.*)$/, (path) => removeTree(this.#server, this.#server.path(this.#fill(path)))],
    [/^yunohost service add (\S+)/, (name) => addService(this.#server, this.#fill(name))],
    [/^yunohost service remove (\S+)/, (name) => this.#removeService(this.#fill(name))],
    [/^write (\S+) (.*)$/, (path, text) => this.#server.write(this.#fill(path), `${this.#fill(text)}\n`)],
    [
      /^exit (\d+)$/,
      (code) => {
        throw new ScriptEnd(Number(code));
      },
    ],
    [
      /^ynh_die (.*)$/,
      (text) => {
        this.#warn(this.#fill(text));
        throw new ScriptEnd(1);
      },
    ],
  ];

  play(script: string): void {
    for (const raw of script.split('\n')) {
      const line = raw.trim();
      if (line === '') continue;
      const verb = this.#verbs.find(([pattern]) => pattern.test(line));
      if (verb === undefined) {
        this.#warn(`line: ${line.split(' ')[0] ?? ''}: command not found`);
        throw new ScriptEnd(127);
      }
      verb[1](...(verb[0].exec(line)?.slice(1) ?? []));
    }
  }
}

/** What `ynh_restore` does with a target that is there: moved to /var/cache, or deleted when larger than 500 MB. */
export function putAside(server: Server, target: string): void {
  const path = server.path(target);
  if (!existsSync(path)) return;
  if (sizeOfTree(path) > putAsideBytesMax) {
    removeTree(server, path);
    return;
  }
  const stamp = server.stamp().replace('-', '.');
  const aside = server.path(`/var/cache/yunohost/appconfbackup/${target}.backup.${stamp}`);
  // `mv` into a folder that is there already, when the same second sees the same target twice.
  moveTree(server, path, statOrNothing(aside)?.isDirectory() === true ? join(aside, basename(path)) : aside);
}

/** Runs a script’s text and gives its exit code. */
export function playScript(server: Server, script: string, run: ScriptRun): number {
  try {
    new ScriptPlayer(server, run).play(script);
    return 0;
  } catch (error) {
    if (error instanceof ScriptEnd) return error.code;
    server.log('WARNING', error instanceof Error ? error.message : String(error));
    return 1;
  }
}
