// What YunoHost leaves out of every backup and still calls it `Success`: data of an app by a setting, homes by a file in them.
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, isAbsolute, join, normalize } from 'node:path';
import { withFsErrors } from '../fs/map-fs-error.ts';
import { readAppSettings, settingIn } from './command/app-settings.ts';
import type { HostPaths } from './command/host-paths.ts';

/** Data of an app that no backup holds; JSON. */
export interface UnsavedData {
  readonly app: string;
  /** As the machine names it: `/home/yunohost.app/wiki`. */
  readonly folder: string;
}

/** Whether an app with this settings.yml has its data folder left out by YunoHost's helper `ynh_backup`. */
export const leavesDataOut = (yaml: string): boolean => settingIn(yaml, 'do_not_backup_data') === '1';

/** Where YunoHost lays an app's data when nothing else is said. */
export const usualDataFolder = (app: string): string => `/home/yunohost.app/${app}`;

/** Where an app with this settings.yml has its data: what is no absolute path was never one that YunoHost made. */
export function dataFolderIn(yaml: string, app: string): string {
  const folder = settingIn(yaml, 'data_dir')?.replace(/\/+$/, '') ?? '';
  return isAbsolute(folder) && normalize(folder) === folder ? folder : usualDataFolder(app);
}

/** Where an installed app's data lies that no backup holds; undefined for all other apps. @throws IO. */
export async function unsavedData(paths: HostPaths, app: string): Promise<string | undefined> {
  const yaml = await readAppSettings(paths, app);
  return leavesDataOut(yaml) ? dataFolderIn(yaml, app) : undefined;
}

/** As `unsavedData`, of several apps. @throws IO. */
export async function unsavedDataOf(paths: HostPaths, apps: readonly string[]): Promise<UnsavedData[]> {
  const unsaved: UnsavedData[] = [];
  for (const app of apps) {
    const folder = await unsavedData(paths, app);
    if (folder !== undefined) unsaved.push({ app, folder });
  }
  return unsaved;
}

const multimedia = 'yunohost.multimedia';

/** The part of the system that a home or the multimedia folder belongs to. */
export const partOfFolder = (folder: string): string =>
  basename(folder) === multimedia ? 'data_multimedia' : 'data_home';

/** Folders that a file `.nobackup` in them leaves out of these system parts: `/home/bob`. @throws IO. */
export async function markedFolders(paths: HostPaths, parts: readonly string[]): Promise<string[]> {
  const entries = await withFsErrors('read /home', () => readdir(paths.homes, { withFileTypes: true }));
  const isOfPart = (name: string): boolean =>
    parts.includes(partOfFolder(name)) && (name === multimedia || !/^yunohost/.test(name));
  return entries
    .filter((entry) => entry.isDirectory() && isOfPart(entry.name))
    .filter(({ name }) => existsSync(join(paths.homes, name, '.nobackup')))
    .map(({ name }) => `/home/${name}`)
    .sort();
}
