// Folders that survive a power cut.
import { dirname } from 'node:path';
import { FallbackError } from '../errors/fallback-error.ts';
import type { FileSystem } from './file-system.ts';
import { systemErrorCode, withFsErrors } from './map-fs-error.ts';

/** Makes a folder (mode 0700) and its parents where they are missing, durably. @throws ALREADY_EXISTS (a file is in its place), IO. */
export async function ensureFolder(fs: FileSystem, path: string): Promise<void> {
  await withFsErrors('make a folder', async () => {
    const facts = await fs.facts(path);
    if (facts?.type === 'folder') return;
    if (facts !== undefined) throw new FallbackError('ALREADY_EXISTS', `There is a file in the place of ${path}.`);
    const parent = dirname(path);
    if (parent !== path) await ensureFolder(fs, parent);
    try {
      await fs.createFolder(path);
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    }
    // Also when another process made it just now: it may not have synced it yet.
    await fs.syncFolder(parent);
  });
}
