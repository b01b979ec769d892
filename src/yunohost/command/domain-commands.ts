// `yunohost domain …` and `dyndns …`.
import { isObject, objectOf, textOr, textsOf, unexpectedAnswer } from './shape.ts';
import type { CallOptions, YunohostAnswer, YunohostRunner } from './yunohost-runner.ts';

export interface Domains {
  readonly domains: readonly string[];
  readonly main: string;
}

/** What a push to a registrar changed, or would change; each entry as YunoHost shows it. */
export interface DnsPush {
  readonly create: readonly unknown[];
  readonly update: readonly unknown[];
  readonly delete: readonly unknown[];
  readonly unchanged: readonly unknown[];
  readonly warnings: readonly string[];
  readonly errors: readonly string[];
}

export class DomainCommands {
  readonly #runner: YunohostRunner;

  constructor(runner: YunohostRunner) {
    this.#runner = runner;
  }

  async list(options: CallOptions = {}): Promise<Domains> {
    const json = objectOf((await this.#runner.run(['domain', 'list'], options)).json, 'domain list', 'domains');
    const domains = textsOf(json['domains']);
    if (domains === undefined || typeof json['main'] !== 'string') throw unexpectedAnswer('domain list', 'domains');
    return { domains, main: json['main'] };
  }

  /**
   * Adds a domain with a self-signed certificate. One of YunoHost's own dynamic names is not subscribed to: the restore brings
   * its key, and a second subscription is refused. @throws YUNOHOST_FAILED when it is there already.
   */
  async add(domain: string, options: CallOptions = {}): Promise<void> {
    await this.#runner.run(['domain', 'add', domain, '--ignore-dyndns'], options);
  }

  /** Removes a domain from this machine alone: without the option, YunoHost also gives a dynamic name back to its provider. */
  async remove(domain: string, options: CallOptions = {}): Promise<void> {
    await this.#runner.run(['domain', 'remove', domain, '--force', '--ignore-dyndns'], options);
  }

  /** Makes a domain the main one. */
  async setMain(domain: string, options: CallOptions = {}): Promise<void> {
    await this.#runner.run(['domain', 'main-domain', '--new-main-domain', domain], options);
  }

  /** Gets a Let's Encrypt certificate, or makes a self-signed one. */
  async installCertificate(domain: string, { selfSigned = false } = {}, options: CallOptions = {}): Promise<void> {
    const kind = selfSigned ? ['--self-signed', '--force'] : [];
    await this.#runner.run(['domain', 'cert', 'install', domain, ...kind], options);
  }

  /** The certificates, as YunoHost shows them: by domain. */
  async certificates(options: CallOptions = {}): Promise<Readonly<Record<string, unknown>>> {
    const json = (await this.#runner.run(['domain', 'cert', 'status'], options)).json;
    return objectOf(objectOf(json, 'domain cert status', 'a result')['certificates'], 'domain cert status', 'a result');
  }

  /** The zone that a domain should have, as text. */
  async suggestDns(domain: string, options: CallOptions = {}): Promise<string> {
    const { json } = await this.#runner.run(['domain', 'dns', 'suggest', domain], options);
    if (typeof json === 'string') return json;
    throw unexpectedAnswer('domain dns suggest', 'a zone');
  }

  /** Pushes a domain's records to its registrar. @throws YUNOHOST_FAILED when there is none, or for a special domain (.test, .local). */
  async pushDns(domain: string, { dryRun = false, force = false } = {}, options: CallOptions = {}): Promise<DnsPush> {
    const words = ['domain', 'dns', 'push', domain, ...(dryRun ? ['--dry-run'] : []), ...(force ? ['--force'] : [])];
    return readDnsPush(await this.#runner.run(words, options));
  }

  /** Tells the DynDNS server this machine's address. @throws YUNOHOST_FAILED when no domain of this machine is there. */
  async updateDyndns(
    { domain, force = false, dryRun = false }: { domain?: string; force?: boolean; dryRun?: boolean } = {},
    options: CallOptions = {},
  ): Promise<YunohostAnswer> {
    const words = ['dyndns', 'update', ...(domain === undefined ? [] : ['--domain', domain])];
    if (force) words.push('--force');
    if (dryRun) words.push('--dry-run');
    return await this.#runner.run(words, options);
  }
}

function readDnsPush({ json }: YunohostAnswer): DnsPush {
  const result = isObject(json) ? json : {};
  const list = (key: string): readonly unknown[] => (Array.isArray(result[key]) ? result[key] : []);
  const texts = (key: string): string[] => list(key).map((item) => textOr(item, JSON.stringify(item)));
  return {
    create: list('create'),
    update: list('update'),
    delete: list('delete'),
    unchanged: list('unchanged'),
    warnings: texts('warnings'),
    errors: texts('errors'),
  };
}
