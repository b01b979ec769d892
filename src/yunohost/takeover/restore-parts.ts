// Restores of a placed archive, judged by what YunoHost says of each part and app, never by its exit code alone.
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import { withFsErrors } from '../../fs/map-fs-error.ts';
import { readAppSettings } from '../command/app-settings.ts';
import { isGoodResult } from '../command/backup-commands.ts';
import { yunohostFailure } from '../command/yunohost-runner.ts';
import { unsavedData, usualDataFolder } from '../left-out.ts';
import { lookAt, moveFolderAside } from './move-aside.ts';
import type { AppFacts } from './stored-archive.ts';
import { longCall, type TakeoverHost, tell, warn } from './takeover-host.ts';

/** A part that did not come back. */
export interface LostPart {
  readonly name: string;
  readonly reason: string;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Failures that no second try in this run can cure. */
export function throwIfHopeless(host: TakeoverHost, error: unknown): void {
  host.signal?.throwIfAborted();
  if (error instanceof FallbackError && (error.code === 'YUNOHOST_MISSING' || error.code === 'YUNOHOST_BUSY'))
    throw error;
}

/**
 * Restores system parts from a placed archive.
 * @returns the parts that YunoHost does not call good. @throws YUNOHOST_FAILED, DISK_FULL … when there is no result at all.
 */
export async function restoreParts(host: TakeoverHost, name: string, parts: readonly string[]): Promise<LostPart[]> {
  const { yunohost } = host;
  const force = await yunohost.isInstalled();
  const { results, errors } = await yunohost.backups.restore({ name, system: parts, force }, longCall(host));
  const said = errors.map(({ text }) => text).join(' ');
  return parts
    .filter((part) => !isGoodResult(results.system.get(part)))
    .map((part) => ({
      name: part,
      reason: `${results.system.get(part) ?? 'no result'}${said === '' ? '' : `: ${said.slice(0, 300)}`}`,
    }));
}

/**
 * Restores what did not come back once more. YunoHost ends with an error when none of it comes: here that is an answer like any other.
 * @returns what is still missing.
 */
export async function retryParts(
  host: TakeoverHost,
  name: string,
  missing: readonly LostPart[],
): Promise<readonly LostPart[]> {
  if (missing.length === 0) return missing;
  const parts = missing.map((part) => part.name);
  tell(host, `restoring once more: ${parts.join(', ')}`);
  try {
    return await restoreParts(host, name, parts);
  } catch (error) {
    throwIfHopeless(host, error);
    warn(host, messageOf(error));
    return missing;
  }
}

/**
 * A post-install that was cut off leaves its domain behind, and YunoHost then refuses both to begin again and to go on. All that
 * it would do is part of the restore that follows; so the server is marked as installed, and the restore replaces everything.
 */
export async function leavePostInstall(host: TakeoverHost, error: unknown): Promise<boolean> {
  const failure = yunohostFailure(error);
  const isStuck = failure?.errors.some((line) => /already exists|already working previously/i.test(line)) === true;
  if (!isStuck || (await host.yunohost.isInstalled())) return false;
  warn(host, 'YunoHost’s own first set-up was interrupted: the restore goes on without it.');
  await withFsErrors('mark YunoHost as installed', () => writeFile(host.yunohost.paths.installedMark, ''));
  return true;
}

/** How the last try to bring an app ended: `begun`: it was cut off; `left`: something of it could not be removed; `gone`: nothing is left of it. */
export type TryEnd = 'begun' | 'left' | 'gone';

/** How a try that failed ended. */
export const endOfTry = (host: TakeoverHost, id: string): TryEnd => (hasApp(host, id) ? 'left' : 'gone');

/** Why what stands there after such a try is not tried again. */
export const leftover = (id: string, command: 'deploy' | 'close'): string =>
  `Something of it is here, from a try that failed or by hand, and is not touched. If it does not work: yunohost app remove ${id}, then fallback ${command}.`;

/** Whether YunoHost has this app, a half-restored one too: `app list` may leave such a one out. */
export const hasApp = (host: TakeoverHost, id: string): boolean => existsSync(join(host.yunohost.paths.apps, id));

/** What an app's restore lays down data by. */
type DataFacts = Pick<AppFacts, 'id' | 'isDataLeftOut' | 'dataFolder'>;

/**
 * The folder of data that a restore of this app would replace although it is not installed: an earlier close or
 * `yunohost app remove` kept them. @param app what is to be restored. @returns the folder, and where its data can be set aside.
 */
export async function findLeftData(
  host: TakeoverHost,
  { id, isDataLeftOut, dataFolder = usualDataFolder(id) }: DataFacts,
): Promise<{ readonly folder: string; readonly aside: string } | undefined> {
  const { paths } = host.yunohost;
  if (isDataLeftOut || hasApp(host, id) || (await lookAt(paths, dataFolder)) !== 'full') return undefined;
  const first = join(dirname(dataFolder), 'fallback-kept', basename(dataFolder));
  let aside = first;
  for (let number = 1; (await lookAt(paths, aside)) !== 'missing'; number++) aside = `${first}.${number}`;
  return { folder: dataFolder, aside };
}

/** Sets such data aside: they are in no backup, and would go with the app when that is removed. @throws IO. */
export async function setLeftDataAside(host: TakeoverHost, app: DataFacts): Promise<void> {
  const left = await findLeftData(host, app);
  if (left === undefined) return;
  await moveFolderAside(host.yunohost.paths, left.folder, left.aside, 'run the same command again');
  warn(host, `${app.id} was not installed, but ${left.folder} was not empty: what lay there is in ${left.aside} now.`);
}

/**
 * A restore replaces an app's data by those of its archive. Data of an app that is not installed are set aside.
 * @param inside what is to be restored.
 * @throws BACKUP_FAILED when the data that are here are in no backup, and so would be lost; IO.
 */
export async function requireSavedData(host: TakeoverHost, inside: AppFacts): Promise<void> {
  const { id, isDataLeftOut } = inside;
  await setLeftDataAside(host, inside);
  const folder = isDataLeftOut ? undefined : await unsavedData(host.yunohost.paths, id);
  if (folder === undefined) return;
  throw new FallbackError(
    'BACKUP_FAILED',
    `The safety backup of ${id} would not hold its data in ${folder} (its setting do_not_backup_data is 1), and this version would replace them. Nothing was changed.`,
    {
      hint: `To have them backed up and replaced: yunohost app setting ${id} do_not_backup_data -v 0. Then run the same command again.`,
    },
  );
}

/**
 * Removes an app, and its data unless its setting says that no backup holds them. An app without settings, as a removal that was
 * cut off leaves it, says nothing: its data stay.
 * @param mayPurge false: its data stay, whatever its setting is today.
 * @throws YUNOHOST_FAILED when it is still there afterwards.
 */
export async function removeApp(host: TakeoverHost, id: string, { mayPurge = true } = {}): Promise<void> {
  if (!hasApp(host, id)) return;
  const { paths } = host.yunohost;
  let purge = false;
  let failure: unknown;
  try {
    const kept = await unsavedData(paths, id);
    purge = mayPurge && kept === undefined && (await readAppSettings(paths, id)).trim() !== '';
    tell(host, purge ? `removing ${id}` : `removing ${id}; its data stays in ${kept ?? 'its folder'}`);
    await host.yunohost.apps.remove(id, { purge }, longCall(host));
  } catch (error) {
    throwIfHopeless(host, error);
    failure = error;
  }
  if (!hasApp(host, id)) return;
  throw new FallbackError(
    'YUNOHOST_FAILED',
    `The app ${id} could not be removed: ${failure === undefined ? 'YunoHost gave no reason' : messageOf(failure)}`,
    {
      cause: failure,
      hint: `Look at it yourself: yunohost app remove ${id}${purge ? ' --purge' : ''}. Then run the same command again.`,
    },
  );
}

/**
 * Restores one app from a placed archive in a command of its own; an app that fails is removed again, not left as a zombie.
 * @returns why it failed, or undefined.
 */
export async function restoreApp(host: TakeoverHost, name: string, id: string): Promise<string | undefined> {
  let reason: string;
  try {
    const { results, errors } = await host.yunohost.backups.restore({ name, apps: [id] }, longCall(host));
    const result = results.apps.get(id);
    // A `Warning` is also said of an app that has no restore script, and then it is not there.
    if (isGoodResult(result) && hasApp(host, id)) return undefined;
    const said = errors.filter(({ level }) => level === 'ERROR' || level === 'WARNING').map(({ text }) => text);
    reason = said.slice(-3).join(' ') || `YunoHost says “${result ?? 'nothing'}” of it`;
  } catch (error) {
    throwIfHopeless(host, error);
    reason = messageOf(error);
  }
  try {
    await removeApp(host, id);
  } catch (error) {
    throwIfHopeless(host, error);
    return `${reason} What is left of it could not be removed: ${messageOf(error)}`;
  }
  return reason;
}

/** Two tries: the first may have met a lock, a domain that was just added, or what an earlier one left. */
export async function restoreAppTwice(host: TakeoverHost, name: string, id: string): Promise<string | undefined> {
  const first = await restoreApp(host, name, id);
  if (first === undefined || hasApp(host, id)) return first;
  tell(host, `restoring ${id} once more`);
  return await restoreApp(host, name, id);
}
