// What is covered and what is not: the configuration, compared at every run with what is installed and with the last snapshot.
import type { SnapshotArchive } from '../format/snapshot.ts';
import type { InstalledApp } from './command/app-commands.ts';
import { readAppFolders } from './command/app-folders.ts';
import type { YunohostCommand } from './command/yunohost-command.ts';
import type { CallOptions } from './command/yunohost-runner.ts';
import { type OldAppList, readAppList } from './configuration/read-app-list.ts';
import type { Configuration } from './configuration/schema.ts';
import { markedFolders, type UnsavedData, unsavedDataOf } from './left-out.ts';

/** Names of the archives that are no app's. */
export const systemArchive = 'system';
export const extraArchive = 'extra-paths';

/** Why an installed app is not covered. */
export type NotCoveredReason = 'excluded' | 'not-included' | 'own-app';

export interface LeftOut {
  /** Of apps, by their setting `do_not_backup_data`. */
  readonly data: readonly UnsavedData[];
  /** Homes and the multimedia folder, by a file `.nobackup` in them: `/home/bob`. */
  readonly folders: readonly string[];
}

export interface Coverage {
  /** System parts in alphabetical order; undefined when the system is not covered. */
  readonly systemParts: readonly string[] | undefined;
  readonly systemPartsExcluded: readonly string[];
  /** The most important first, then by id. */
  readonly apps: readonly InstalledApp[];
  /** Covered, their folders are there, and YunoHost does not list them: it cannot read them, so they cannot be saved. */
  readonly unreadable: readonly string[];
  readonly notCovered: readonly { readonly app: InstalledApp; readonly reason: NotCoveredReason }[];
  readonly extraPaths: readonly string[];
  /** Of what is covered, and yet in no archive, because YunoHost leaves it out. */
  readonly leftOut: LeftOut;
  /** Covered, and not in the last snapshot. */
  readonly newApps: readonly string[];
  /** In the last snapshot, not installed any more, and not excluded: their last archives are kept. */
  readonly vanished: readonly SnapshotArchive[];
  /** Mistakes in what shall be covered, in sentences: an app that was meant may be in no backup. */
  readonly mistakes: readonly string[];
  /** Mistakes in the configuration that leave nothing out, in sentences. */
  readonly warnings: readonly string[];
}

const partSwitches = [
  ['homes', 'data_home'],
  ['multimedia', 'data_multimedia'],
  ['mail', 'data_mail'],
] as const;

function chooseParts(all: readonly string[], { system }: Configuration): { covered: string[]; excluded: string[] } {
  const off = new Set<string>(system.exclude);
  for (const [key, part] of partSwitches) if (!system[key]) off.add(part);
  return { covered: all.filter((part) => !off.has(part)), excluded: all.filter((part) => off.has(part)) };
}

/** `fallback`, and `fallback__2`, which YunoHost makes of a second installation. */
const isOwnApp = (id: string, own: string): boolean =>
  own !== '' && (id === own || (/^__\d+$/.test(id.slice(own.length)) && id.startsWith(own)));

function reasonAgainst(
  id: string,
  configuration: Configuration,
  included: readonly string[],
): NotCoveredReason | undefined {
  if (isOwnApp(id, configuration.server.ownApp)) return 'own-app';
  if (configuration.apps.exclude.includes(id)) return 'excluded';
  return included.length > 0 && !included.includes(id) ? 'not-included' : undefined;
}

function orderApps(apps: readonly InstalledApp[], first: readonly string[]): InstalledApp[] {
  const place = (id: string): number => {
    const at = first.indexOf(id);
    return at < 0 ? first.length : at;
  };
  return [...apps].sort((a, b) => place(a.id) - place(b.id) || (a.id < b.id ? -1 : 1));
}

interface Facts {
  readonly configuration: Configuration;
  readonly installed: readonly InstalledApp[];
  /** Ids of apps that have a folder, listed or not. */
  readonly folders: readonly string[];
  /** All system parts of this machine. */
  readonly parts: readonly string[];
  readonly oldList: OldAppList | undefined;
  /** Archives of the last snapshot of this server. */
  readonly previous: readonly SnapshotArchive[];
}

function knownNames({ installed, folders, previous }: Facts): Set<string> {
  return new Set([...installed.map(({ id }) => id), ...folders, ...previous.map(({ name }) => name)]);
}

function findMistakes(facts: Facts): string[] {
  const { configuration, oldList } = facts;
  const { include, exclude, appList } = configuration.apps;
  const known = knownNames(facts);
  const isUnknown = (id: string): boolean => !known.has(id) && !exclude.includes(id);
  return [
    ...include.filter(isUnknown).map((id) => `apps.include names ${id}, and no such app is installed.`),
    ...(oldList?.saved ?? []).filter(isUnknown).map((id) => `${appList} names ${id}, and no such app is installed.`),
    ...(oldList?.unknownLines ?? []).map(
      (line) => `Line ${line} of ${appList} cannot be understood and counts for nothing.`,
    ),
  ];
}

function findWarnings(facts: Facts): string[] {
  const { configuration, parts } = facts;
  const known = knownNames(facts);
  const warnings: string[] = [];
  for (const key of ['exclude', 'first'] as const) {
    for (const id of configuration.apps[key]) {
      if (!known.has(id)) warnings.push(`apps.${key} names ${id}, and no such app is installed.`);
    }
  }
  for (const part of configuration.system.exclude) {
    if (!parts.includes(part)) warnings.push(`system.exclude names ${part}, and there is no such system part.`);
  }
  const { state, folder } = configuration.store;
  for (const place of [state, folder]) {
    const inHomes = /^\/home\/(?!yunohost\.)/.test(place) && configuration.system.homes;
    if (inHomes)
      warnings.push(`${place} lies in a home that is part of the backup. Move it to /var/lib or /home/yunohost.app.`);
  }
  return warnings;
}

/** Reconciles configuration, machine and last snapshot. */
function reconcile(facts: Facts): Omit<Coverage, 'leftOut'> {
  const { configuration, installed, folders, parts, oldList, previous } = facts;
  const included = [...configuration.apps.include, ...(oldList?.saved ?? [])];
  const against = (id: string): NotCoveredReason | undefined => reasonAgainst(id, configuration, included);
  const judged = installed.map((app) => ({ app, reason: against(app.id) }));
  const covered = judged.filter(({ reason }) => reason === undefined).map(({ app }) => app);
  const chosen = chooseParts(parts, configuration);
  const before = new Set(previous.map(({ name }) => name));
  const listed = new Set(installed.map(({ id }) => id));
  const here = new Set([...listed, ...folders]);
  return {
    systemParts: configuration.system.enabled && chosen.covered.length > 0 ? chosen.covered : undefined,
    systemPartsExcluded: configuration.system.enabled ? chosen.excluded : [...parts],
    apps: orderApps(covered, configuration.apps.first),
    unreadable: folders.filter((id) => !listed.has(id) && against(id) === undefined),
    notCovered: judged.flatMap(({ app, reason }) => (reason === undefined ? [] : [{ app, reason }])),
    extraPaths: configuration.extra.paths,
    newApps: covered.map(({ id }) => id).filter((id) => !before.has(id)),
    vanished: previous.filter(
      ({ name, attributes }) => attributes['kind'] === 'app' && !here.has(name) && against(name) === undefined,
    ),
    mistakes: findMistakes(facts),
    warnings: findWarnings(facts),
  };
}

/** Asks YunoHost what there is, and reconciles. @throws as YunohostCommand, and NOT_FOUND for apps.app_list. */
export async function readCoverage(
  yunohost: YunohostCommand,
  configuration: Configuration,
  previous: readonly SnapshotArchive[],
  options: CallOptions = {},
): Promise<Coverage> {
  const installed = await yunohost.apps.list(options);
  const folders = await readAppFolders(yunohost.paths);
  const parts = await yunohost.server.hooks('backup', options);
  const list = configuration.apps.appList;
  const oldList = list === '' ? undefined : await readAppList(yunohost.paths.at(list));
  const coverage = reconcile({ configuration, installed, folders, parts, oldList, previous });
  const covered = coverage.apps.map(({ id }) => id);
  const data = await unsavedDataOf(yunohost.paths, covered);
  const marked = await markedFolders(yunohost.paths, coverage.systemParts ?? []);
  return { ...coverage, leftOut: { data, folders: marked } };
}
