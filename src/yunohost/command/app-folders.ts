// The folders of installed apps. An app that `app list` cannot read costs it a line on stderr, and is left out; its folder stays.
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode, withFsErrors } from '../../fs/map-fs-error.ts';
import type { HostPaths } from './host-paths.ts';

/** What makes a folder an app's: one of these is left when the others are damaged. */
const marks = ['settings.yml', 'manifest.toml', 'manifest.json'];

/** Ids of all apps that have a folder, in alphabetical order, whether YunoHost can read it or not. @throws IO. */
export async function readAppFolders(paths: HostPaths): Promise<string[]> {
  return await withFsErrors('list the folders of the apps', async () => {
    const names = await readdir(paths.apps).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return [];
      throw error;
    });
    return names.filter((name) => marks.some((mark) => existsSync(join(paths.apps, name, mark)))).sort();
  });
}
