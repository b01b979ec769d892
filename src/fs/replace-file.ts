// Durable replace of a small file: readers see the old contents or the new, after a power cut too.
import { dirname, join } from 'node:path';
import type { FileSystem } from './file-system.ts';
import { withFsErrors } from './map-fs-error.ts';
import { temporaryName } from './temporary-file.ts';

/**
 * Puts `bytes` in the place of the file at `path`, durably: temporary file, fsync, rename, fsync of the folder.
 * @param temporaryFolder on the same file system. @param random hexadecimal, new for each call. @throws DISK_FULL, IO.
 */
export async function replaceFile(
  fs: FileSystem,
  path: string,
  bytes: Uint8Array,
  temporaryFolder: string,
  random: string,
): Promise<void> {
  const temporary = join(temporaryFolder, temporaryName(random));
  await withFsErrors('replace a file', async () => {
    const file = await fs.createFile(temporary);
    try {
      try {
        await file.append(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await fs.rename(temporary, path);
    } catch (error) {
      // A leftover matters less than the error that brought us here.
      await fs.unlink(temporary).catch(() => undefined);
      throw error;
    }
    await fs.syncFolder(dirname(path));
  });
}
