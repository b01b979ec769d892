// An app's settings as they lie in its settings.yml: plain values, asked of the file, since `app setting` takes a second each.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode, withFsErrors } from '../../fs/map-fs-error.ts';
import type { HostPaths } from './host-paths.ts';

/** A plain value of a settings.yml: `domain: main.test`. Undefined when it is not there. */
export const settingIn = (yaml: string, key: string): string | undefined =>
  new RegExp(`^${key}:\\s*['"]?([^'"\\n]+?)['"]?\\s*$`, 'm').exec(yaml)?.[1];

/** The text of an installed app's settings.yml; empty when there is none. @throws IO. */
export async function readAppSettings(paths: HostPaths, app: string): Promise<string> {
  return await withFsErrors(`read the settings of ${app}`, async () => {
    try {
      return await readFile(join(paths.apps, app, 'settings.yml'), 'utf8');
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return '';
      throw error;
    }
  });
}
