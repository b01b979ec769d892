// A recovery sheet in a file: new, readable by its owner only, durable.
import { dirname } from 'node:path';
import { FallbackError } from '../errors/fallback-error.ts';
import { withFsErrors } from '../fs/map-fs-error.ts';
import type { World } from './world.ts';

const taken = (path: string): FallbackError =>
  new FallbackError('ALREADY_EXISTS', `${path} exists already; it was not touched.`);

/** @throws ALREADY_EXISTS, NOT_FOUND (its folder): before anything is done that only the sheet can undo. */
export async function requireNoSheet(world: World, path: string): Promise<void> {
  if ((await withFsErrors('look for the sheet', () => world.fs.facts(path))) !== undefined) throw taken(path);
  const folder = await withFsErrors('look for the sheet’s folder', () => world.fs.facts(dirname(path)));
  if (folder?.type === 'folder') return;
  throw new FallbackError(
    'NOT_FOUND',
    `There is no folder ${dirname(path)} to write the sheet to. Nothing was changed.`,
  );
}

/** @throws ALREADY_EXISTS, DISK_FULL, IO. */
export async function writeSheet(world: World, path: string, lines: readonly string[]): Promise<void> {
  await withFsErrors('write the recovery sheet', async () => {
    const file = await world.fs.createFile(path).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') throw taken(path);
      throw error;
    });
    try {
      await file.append(Buffer.from(`${lines.join('\n')}\n`));
      await file.sync();
    } finally {
      await file.close();
    }
    await world.fs.syncFolder(dirname(path));
  });
}
