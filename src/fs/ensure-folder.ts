// Folders that survive a power cut.
import { dirname } from 'node:path';
import { FallbackError } from '../errors/fallback-error.ts';
import type { FileSystem } from './file-system.ts';
import { systemErrorCode, withFsErrors } from './map-fs-error.ts';

/**
 * Makes a folder (mode 0700) whose parent is there, and syncs the parent in any case: whoever made the folder, this process or another,
 * may not have done so yet. @throws ALREADY_EXISTS (a file is in its place), IO.
 */
export async function makeFolder(fs: FileSystem, path: string): Promise<void> {
  await withFsErrors('make a folder', async () => {
    const facts = await fs.facts(path);
    if (facts !== undefined && facts.type !== 'folder') {
      throw new FallbackError('ALREADY_EXISTS', `There is a file in the place of ${path}.`);
    }
    if (facts === undefined) {
      try {
        await fs.createFolder(path);
      } catch (error) {
        if (systemErrorCode(error) !== 'EEXIST') throw error;
      }
    }
    await fs.syncFolder(dirname(path));
  });
}

/** Makes a folder (mode 0700) and its parents where they are missing, durably. @throws ALREADY_EXISTS (a file is in its place), IO. */
export async function ensureFolder(fs: FileSystem, path: string): Promise<void> {
  const facts = await withFsErrors('make a folder', () => fs.facts(path));
  if (facts?.type === 'folder') return;
  const parent = dirname(path);
  if (parent !== path) await ensureFolder(fs, parent);
  await makeFolder(fs, path);
}
