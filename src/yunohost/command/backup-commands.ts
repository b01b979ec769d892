// `yunohost backup …`, judged by the results that it prints, never by its exit code alone.
import type { LogLine } from './read-answer.ts';
import { isObject, type JsonObject, numberOr, objectOf, textOr, textsOf, unexpectedAnswer } from './shape.ts';
import { withRestoreUmask } from './with-restore-umask.ts';
import type { CallOptions, YunohostAnswer, YunohostRunner } from './yunohost-runner.ts';

const targetResults = ['Success', 'Warning', 'Error', 'Skipped', 'Unknown'] as const;
/** How it went for one app or system part; what YunoHost says beyond its own words counts as `Unknown`. */
export type TargetResult = (typeof targetResults)[number];

/** Results by name. */
export interface BackupResults {
  readonly system: ReadonlyMap<string, TargetResult>;
  readonly apps: ReadonlyMap<string, TargetResult>;
}

export const isGoodResult = (result: TargetResult | undefined): boolean => result === 'Success' || result === 'Warning';

export interface CreateRequest {
  readonly name: string;
  readonly description?: string;
  /** Parts by name; undefined for no system. An empty list is refused: YunoHost would take it for all. */
  readonly system?: readonly string[];
  /** App ids; undefined for no app. An empty list is refused: YunoHost would take it for all. */
  readonly apps?: readonly string[];
  /** A custom method; the default makes a tar. */
  readonly method?: string;
}

export interface Created {
  readonly name: string;
  /** Sum of the sources, in bytes; the tar is larger. */
  readonly sizeBytes: number;
  readonly results: BackupResults;
  readonly log: readonly LogLine[];
  readonly errors: readonly LogLine[];
}

export interface Restored {
  readonly results: BackupResults;
  readonly log: readonly LogLine[];
  readonly errors: readonly LogLine[];
}

export interface RestoreRequest {
  readonly name: string;
  /** `all`, or parts by name; undefined for no system. */
  readonly system?: readonly string[] | 'all';
  /** `all`, or app ids; undefined for no app. */
  readonly apps?: readonly string[] | 'all';
  /** Needed for system parts on a server that is installed. */
  readonly force?: boolean;
}

export interface ArchiveInfo {
  readonly path: string;
  readonly createdAt: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly fromYunohostVersion: string | undefined;
  readonly apps: ReadonlyMap<string, { readonly version: string; readonly name: string; readonly sizeBytes: number }>;
  readonly systemParts: readonly string[];
}

/** The results of an answer. @throws YUNOHOST_FAILED when there are none. */
function readResults(value: unknown, command: string): BackupResults {
  const results = objectOf(value, command, 'its results');
  if (!isObject(results['system']) && !isObject(results['apps'])) throw unexpectedAnswer(command, 'its results');
  const read = (part: unknown): Map<string, TargetResult> =>
    new Map(
      Object.entries(isObject(part) ? part : {}).map(([name, result]) => [
        name,
        targetResults.find((known) => known === result) ?? 'Unknown',
      ]),
    );
  return { system: read(results['system']), apps: read(results['apps']) };
}

function answerOf(answer: YunohostAnswer, command: string): JsonObject {
  if (!answer.hasJson) throw unexpectedAnswer(command, 'a result');
  return objectOf(answer.json, command, 'a result');
}

const targets = (option: string, names: readonly string[] | 'all' | undefined): string[] => {
  if (names === undefined) return [];
  if (names === 'all') return [option];
  // D11: an empty list after --apps means all of them to YunoHost.
  if (names.length === 0) throw new RangeError(`an empty list for ${option}`);
  return [option, ...names];
};

export class BackupCommands {
  readonly #runner: YunohostRunner;

  constructor(runner: YunohostRunner) {
    this.#runner = runner;
  }

  /**
   * Makes an archive, or runs a custom method. That it returns says nothing about single apps: look at `results`.
   * @throws YUNOHOST_FAILED when nothing could be collected, the name is taken or the answer is junk; DISK_FULL.
   */
  async create(request: CreateRequest, options: CallOptions = {}): Promise<Created> {
    const { name, description, system, apps, method } = request;
    if (system === undefined && apps === undefined) throw new RangeError('nothing to back up');
    const words = ['backup', 'create', '--name', name];
    if (description !== undefined) words.push('--description', description);
    if (method !== undefined) words.push('--methods', method);
    words.push(...targets('--system', system), ...targets('--apps', apps));
    const answer = await this.#runner.run(words, options);
    const json = answerOf(answer, 'backup create');
    const { log, errors } = answer;
    return {
      name: textOr(json['name'], name),
      sizeBytes: numberOr(json['size'], 0),
      results: readResults(json['results'], 'backup create'),
      log,
      errors,
    };
  }

  /** Restores an archive that lies in archives/ under its bare name. Look at `results`. @throws YUNOHOST_FAILED, DISK_FULL. */
  async restore(request: RestoreRequest, options: CallOptions = {}): Promise<Restored> {
    const { name, system, apps, force } = request;
    const words = ['backup', 'restore', name, ...targets('--system', system), ...targets('--apps', apps)];
    if (force === true) words.push('--force');
    const answer = await withRestoreUmask(this.#runner.paths, () => this.#runner.run(words, options));
    const { log, errors } = answer;
    return { results: readResults(answerOf(answer, 'backup restore'), 'backup restore'), log, errors };
  }

  /** Names of all archives, oldest first. Works before the post-install too. */
  async list(options: CallOptions = {}): Promise<string[]> {
    const json = answerOf(await this.#runner.run(['backup', 'list'], options), 'backup list');
    const names = textsOf(json['archives']);
    if (names === undefined) throw unexpectedAnswer('backup list', 'a list of archives');
    return names;
  }

  /** What an archive says of itself. @throws YUNOHOST_FAILED when it is unknown or damaged. */
  async info(name: string, options: CallOptions = {}): Promise<ArchiveInfo> {
    const json = answerOf(await this.#runner.run(['backup', 'info', name, '--with-details'], options), 'backup info');
    const apps = isObject(json['apps']) ? json['apps'] : {};
    return {
      path: textOr(json['path'], ''),
      createdAt: textOr(json['created_at'], ''),
      description: textOr(json['description'], ''),
      sizeBytes: numberOr(json['size'], 0),
      fromYunohostVersion:
        typeof json['from_yunohost_version'] === 'string' ? json['from_yunohost_version'] : undefined,
      apps: new Map(
        Object.entries(apps).map(([id, value]) => {
          const app = isObject(value) ? value : {};
          return [
            id,
            { version: textOr(app['version'], ''), name: textOr(app['name'], id), sizeBytes: numberOr(app['size'], 0) },
          ];
        }),
      ),
      systemParts: Object.keys(isObject(json['system']) ? json['system'] : {}),
    };
  }

  /** Removes an archive: tar, link and info file. @throws YUNOHOST_FAILED when it is unknown. */
  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.#runner.run(['backup', 'delete', name], options);
  }
}
