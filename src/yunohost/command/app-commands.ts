// `yunohost app …`, `user …` and `user permission …`.
import { isObject, objectOf, textOr, textsOf, unexpectedAnswer } from './shape.ts';
import type { CallOptions, YunohostRunner } from './yunohost-runner.ts';

/** An installed app. */
export interface InstalledApp {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  /** `main.test/sql`; undefined for an app without a URL. */
  readonly domainPath: string | undefined;
}

export interface User {
  readonly username: string;
  readonly fullName: string;
  readonly mail: string;
}

/** One permission: its name is `APP.main`. */
export interface Permission {
  readonly name: string;
  readonly label: string;
  readonly url: string | undefined;
  readonly allowed: readonly string[];
}

const appOf = (value: unknown): InstalledApp | undefined => {
  if (!isObject(value) || typeof value['id'] !== 'string') return undefined;
  const path = value['domain_path'];
  return {
    id: value['id'],
    name: textOr(value['name'], value['id']),
    version: textOr(value['version'], ''),
    domainPath: typeof path === 'string' && path !== '' ? path : undefined,
  };
};

export class AppCommands {
  readonly #runner: YunohostRunner;

  constructor(runner: YunohostRunner) {
    this.#runner = runner;
  }

  /** All installed apps, by id. @throws YUNOHOST_FAILED. */
  async list(options: CallOptions = {}): Promise<InstalledApp[]> {
    const json = objectOf((await this.#runner.run(['app', 'list'], options)).json, 'app list', 'a list of apps');
    if (!Array.isArray(json['apps'])) throw unexpectedAnswer('app list', 'a list of apps');
    const apps = json['apps'].map(appOf).filter((app) => app !== undefined);
    if (apps.length !== json['apps'].length) throw unexpectedAnswer('app list', 'the id of each app');
    return apps.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Everything YunoHost tells of one app, as it tells it; with `full`, its secrets too. @throws YUNOHOST_FAILED (unknown app). */
  async info(app: string, full = false, options: CallOptions = {}): Promise<Readonly<Record<string, unknown>>> {
    const words = ['app', 'info', app, ...(full ? ['--full'] : [])];
    return objectOf((await this.#runner.run(words, options)).json, 'app info', 'a result');
  }

  /** `DOMAIN/PATH` to the label of what is there. */
  async map(options: CallOptions = {}): Promise<ReadonlyMap<string, string>> {
    const json = (await this.#runner.run(['app', 'map'], options)).json ?? {};
    const entries = Object.entries(objectOf(json, 'app map', 'a result'));
    return new Map(entries.map(([url, label]) => [url, textOr(label, '')]));
  }

  /** A setting of an app, as text; undefined when it has none. */
  async setting(app: string, key: string, options: CallOptions = {}): Promise<string | undefined> {
    const { json, hasJson } = await this.#runner.run(['app', 'setting', app, key], options);
    return !hasJson || json === null ? undefined : typeof json === 'string' ? json : JSON.stringify(json);
  }

  /** Sets a setting, or removes it with undefined. */
  async setSetting(app: string, key: string, value: string | undefined, options: CallOptions = {}): Promise<void> {
    const change = value === undefined ? ['--delete'] : [`--value=${value}`];
    await this.#runner.run(['app', 'setting', app, key, ...change], options);
  }

  /** Removes an app; its data too with `purge`. @throws YUNOHOST_FAILED. */
  async remove(app: string, { purge = false } = {}, options: CallOptions = {}): Promise<void> {
    await this.#runner.run(['app', 'remove', app, ...(purge ? ['--purge'] : [])], options);
  }

  async users(options: CallOptions = {}): Promise<User[]> {
    const json = objectOf((await this.#runner.run(['user', 'list'], options)).json, 'user list', 'a list of users');
    const users = objectOf(json['users'], 'user list', 'a list of users');
    return Object.entries(users).map(([username, value]) => {
      const user = isObject(value) ? value : {};
      return { username, fullName: textOr(user['fullname'], ''), mail: textOr(user['mail'], '') };
    });
  }

  async permissions(options: CallOptions = {}): Promise<Permission[]> {
    const command = 'user permission list';
    const json = objectOf((await this.#runner.run(command.split(' '), options)).json, command, 'permissions');
    return Object.entries(objectOf(json['permissions'], command, 'permissions')).map(([name, value]) => {
      const permission = isObject(value) ? value : {};
      const url = permission['url'];
      return {
        name,
        label: textOr(permission['label'], ''),
        url: typeof url === 'string' ? url : undefined,
        allowed: textsOf(permission['allowed']) ?? [],
      };
    });
  }

  /** Shows or hides an app's tile in the portal. @param permission `APP.main`. */
  async setTile(permission: string, isShown: boolean, options: CallOptions = {}): Promise<void> {
    const value = isShown ? 'True' : 'False';
    await this.#runner.run(['user', 'permission', 'update', permission, '--show_tile', value], options);
  }
}
