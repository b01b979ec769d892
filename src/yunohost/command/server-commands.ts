// `yunohost tools …`, `settings …`, `hook …`, `service …`, `firewall …`.
import { isObject, objectOf, textOr, textsOf, unexpectedAnswer } from './shape.ts';
import type { CallOptions, YunohostRunner } from './yunohost-runner.ts';

export type Protocol = 'tcp' | 'udp';
/** A port, or a range of ports: `7000-7010`. */
export type Port = number | string;

function portOf(value: unknown): Port | undefined {
  if (/^\d+$/.test(String(value))) return Number(value);
  return typeof value === 'string' && /^\d+[-:]\d+$/.test(value) ? value.replace(':', '-') : undefined;
}

/** A range is listed with a dash, and taken with a colon only. */
const portWord = (port: Port): string => String(port).replace('-', ':');

export class ServerCommands {
  readonly #runner: YunohostRunner;

  constructor(runner: YunohostRunner) {
    this.#runner = runner;
  }

  /** Versions of YunoHost's packages, `yunohost` first of all. Works before the post-install. */
  async versions(options: CallOptions = {}): Promise<ReadonlyMap<string, string>> {
    const json = objectOf((await this.#runner.run(['tools', 'versions'], options)).json, 'tools versions', 'versions');
    const versions = Object.entries(json).map(([name, value]): [string, string] => [
      name,
      textOr(isObject(value) ? value['version'] : value, ''),
    ]);
    if (!versions.some(([name, version]) => name === 'yunohost' && version !== '')) {
      throw unexpectedAnswer('tools versions', 'its own version');
    }
    return new Map(versions);
  }

  /** Writes the configuration of services anew; all of them when none is named. */
  async regenConf(
    categories: readonly string[] = [],
    { force = false } = {},
    options: CallOptions = {},
  ): Promise<void> {
    await this.#runner.run(['tools', 'regen-conf', ...categories, ...(force ? ['--force'] : [])], options);
  }

  /** A global setting: text, number, or 0 and 1 for a switch. */
  async setting(key: string, options: CallOptions = {}): Promise<unknown> {
    const { json, hasJson } = await this.#runner.run(['settings', 'get', key], options);
    if (!hasJson) throw unexpectedAnswer('settings get', 'a value');
    return json;
  }

  async setSetting(key: string, value: string, options: CallOptions = {}): Promise<void> {
    await this.#runner.run(['settings', 'set', key, `--value=${value}`], options);
  }

  /** Names of the hooks of an action, sorted: `backup` gives the system parts. */
  async hooks(action: string, options: CallOptions = {}): Promise<string[]> {
    const json = objectOf((await this.#runner.run(['hook', 'list', action], options)).json, 'hook list', 'hooks');
    const names = textsOf(json['hooks']);
    if (names === undefined) throw unexpectedAnswer('hook list', 'hooks');
    return names.sort();
  }

  /** `running`, `dead` … @throws YUNOHOST_FAILED when it is unknown. */
  async serviceStatus(name: string, options: CallOptions = {}): Promise<string> {
    const { json } = await this.#runner.run(['service', 'status', name], options);
    const status = objectOf(json, 'service status', 'a status')['status'];
    if (typeof status === 'string') return status;
    throw unexpectedAnswer('service status', 'a status');
  }

  async addService(name: string, description: string, options: CallOptions = {}): Promise<void> {
    await this.#runner.run(['service', 'add', name, '--description', description], options);
  }

  async removeService(name: string, options: CallOptions = {}): Promise<void> {
    await this.#runner.run(['service', 'remove', name], options);
  }

  /** @throws YUNOHOST_FAILED for an unknown service, and for the reload of one that does not run. */
  async driveService(
    action: 'start' | 'stop' | 'restart' | 'reload',
    names: string | readonly string[],
    options: CallOptions = {},
  ): Promise<void> {
    await this.#runner.run(['service', action, ...(typeof names === 'string' ? [names] : names)], options);
  }

  /** Open ports, and ranges of ports as YunoHost lists them: `7000-7010`. */
  async openPorts(protocol: Protocol, options: CallOptions = {}): Promise<Port[]> {
    const { json } = await this.#runner.run(['firewall', 'list', '--protocol', protocol], options);
    const ports = objectOf(json, 'firewall list', 'ports')[protocol];
    if (!Array.isArray(ports)) throw unexpectedAnswer('firewall list', 'ports');
    return ports.map(portOf).filter((port) => port !== undefined);
  }

  async openPort(protocol: Protocol, port: Port, comment: string, options: CallOptions = {}): Promise<void> {
    await this.#runner.run(['firewall', 'open', portWord(port), comment, '--protocol', protocol], options);
  }

  async closePort(protocol: Protocol, port: Port, options: CallOptions = {}): Promise<void> {
    await this.#runner.run(['firewall', 'close', portWord(port), '--protocol', protocol], options);
  }
}
