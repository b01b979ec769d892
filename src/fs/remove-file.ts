// Durable removal, and durable move to a free name.
import { dirname, join } from 'node:path';
import type { FileSystem } from './file-system.ts';
import { systemErrorCode, withFsErrors } from './map-fs-error.ts';

/** Removes a file durably; returns whether it was there. @throws IO. */
export async function removeFile(fs: FileSystem, path: string): Promise<boolean> {
  return await withFsErrors('remove a file', async () => {
    const wasThere = await fs.unlink(path).then(
      () => true,
      (error: unknown) => {
        if (systemErrorCode(error) === 'ENOENT') return false;
        throw error;
      },
    );
    // Also when it was not there: an earlier removal may not be durable yet.
    await fs.syncFolder(dirname(path));
    return wasThere;
  });
}

/**
 * Moves a file durably into `folder`, under `name` or `name.1`, `name.2`, … when that is taken: nothing is overwritten.
 * The new name is durable before the old one goes. Returns the new name, or undefined when there was no file. @throws IO.
 */
export async function moveAside(
  fs: FileSystem,
  path: string,
  folder: string,
  name: string,
): Promise<string | undefined> {
  return await withFsErrors('move a file aside', async () => {
    for (let count = 0; ; count++) {
      const target = count === 0 ? name : `${name}.${count}`;
      try {
        await fs.link(path, join(folder, target));
      } catch (error) {
        const code = systemErrorCode(error);
        if (code === 'EEXIST') continue;
        if (code === 'ENOENT') return undefined;
        throw error;
      }
      await fs.syncFolder(folder);
      await fs.unlink(path);
      await fs.syncFolder(dirname(path));
      return target;
    }
  });
}
