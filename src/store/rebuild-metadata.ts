// metadata.sqlite from the files: when it is missing, damaged or of another version. The damaged one is kept beside it.
import { join } from 'node:path';
import fse from 'fs-extra';
import type { FileSystem } from '../fs/file-system.ts';
import { withFsErrors } from '../fs/map-fs-error.ts';
import { randomName } from './environment.ts';
import { importRepository } from './import-repository.ts';
import { documentKey, parseRepositoryFolder, repositoriesPrefix } from './object-keys.ts';
import { RepositoryContext, type StoreParts } from './repository-context.ts';
import { SqliteMetadataStore, suspectSuffix } from './sqlite-metadata-store.ts';

export const databaseName = 'metadata.sqlite';
const databaseFiles = ['', '-wal', '-shm', '-journal', suspectSuffix].map((suffix) => databaseName + suffix);

export interface RebuildProgress {
  readonly repositoryId: string;
  readonly packs: number;
}

const newPrefix = `${databaseName}.new-`;

/** What a rebuild that was killed left: nobody else builds one while the caller holds the lock. */
async function removeUnfinished(fs: FileSystem, folder: string): Promise<void> {
  for (const { name } of await fs.list(folder)) if (name.startsWith(newPrefix)) await fse.remove(join(folder, name));
}

/** An old log beside a new database would be played into it: everything of the old one goes aside first. */
async function moveOldAside(fs: FileSystem, folder: string, mark: string): Promise<void> {
  for (const name of databaseFiles) {
    const path = join(folder, name);
    if (await fse.pathExists(path)) await fse.move(path, join(folder, `${name}.damaged-${mark}`));
  }
  await fs.syncFolder(folder);
}

async function importAll(parts: StoreParts, onProgress: (progress: RebuildProgress) => void): Promise<void> {
  for (const prefix of await parts.objects.list(repositoriesPrefix)) {
    const id = parseRepositoryFolder(prefix);
    // A folder without its document was never finished, and nobody was told of it.
    if (id === undefined || (await parts.objects.stat(documentKey(id))) === undefined) continue;
    const context = new RepositoryContext(parts, id);
    await parts.metadata.write(async (change) => {
      const entry = { atMs: parts.environment.nowMs(), repositoryId: id };
      const imported = await importRepository(change, context, (packs) => onProgress({ repositoryId: id, packs }));
      if (!imported) return;
      await change.addAudit({ ...entry, event: 'records rebuilt', text: 'from the files of the repository' });
    });
  }
}

/**
 * Builds a new database beside the old one and puts it in its place. The caller holds the store's lock.
 * @param parts everything but the records. @throws DISK_FULL, IO.
 */
export async function rebuildMetadata(
  fs: FileSystem,
  folder: string,
  parts: Omit<StoreParts, 'metadata'>,
  onProgress: (progress: RebuildProgress) => void,
): Promise<void> {
  const mark = randomName(parts.environment).slice(0, 8);
  const path = join(folder, newPrefix + mark);
  await withFsErrors('remove what an earlier rebuild left', () => removeUnfinished(fs, folder));
  SqliteMetadataStore.create(path);
  try {
    const metadata = await SqliteMetadataStore.open(path);
    try {
      await importAll({ ...parts, metadata }, onProgress);
    } finally {
      // Closing the last connection writes the log into the file and removes it.
      await metadata.close();
    }
    await withFsErrors('put the new database in place', async () => {
      await moveOldAside(fs, folder, mark);
      await fs.rename(path, join(folder, databaseName));
      await fs.syncFolder(folder);
    });
  } finally {
    for (const suffix of ['', '-wal', '-shm']) await fse.remove(path + suffix);
  }
}
