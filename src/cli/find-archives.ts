// From the files and folders of a command line to archives with names.
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import { isArchiveName } from '../format/snapshot.ts';
import { withFsErrors } from '../fs/map-fs-error.ts';
import { showText } from './show.ts';

/** A file to push. */
export interface FoundArchive {
  readonly name: string;
  readonly path: string;
  /** As it lies there: a gzipped one holds more. */
  readonly fileBytes: number;
  readonly isGzipped: boolean;
}

const endings = /\.(tar|tar\.gz|tgz)$/;
const gzipEndings = /\.(tar\.gz|tgz)$/;

/** `app.tar` and `app.tar.gz` as `app`; any other file under its whole name. */
export const archiveName = (path: string): string => basename(path).replace(endings, '');

async function listFolder(folder: string): Promise<string[]> {
  const entries = await withFsErrors(`read the folder ${folder}`, () => readdir(folder));
  const names = entries.filter((name) => endings.test(name) && !name.startsWith('.')).sort();
  if (names.length === 0) {
    throw new FallbackError('USAGE', `There is no .tar, .tar.gz or .tgz in ${folder}. Nothing was pushed.`, {
      hint: 'Name the files one by one if they are called otherwise.',
    });
  }
  return names.map((name) => join(folder, name));
}

async function lookAt(path: string): Promise<FoundArchive | 'folder'> {
  const facts = await withFsErrors(`find ${showText(path)}`, () => stat(path)).catch((error: unknown) => {
    if (!isFallbackError(error, 'NOT_FOUND')) throw error;
    throw new FallbackError('NOT_FOUND', `There is no file or folder ${showText(path)}. Nothing was pushed.`, {
      cause: error,
      hint: 'Check the path.',
    });
  });
  if (facts.isDirectory()) return 'folder';
  if (!facts.isFile()) throw new FallbackError('USAGE', `${path} is neither a file nor a folder. Nothing was pushed.`);
  const name = archiveName(path);
  if (!isArchiveName(name)) {
    throw new FallbackError('USAGE', `An archive cannot be called ${JSON.stringify(name)}. Nothing was pushed.`, {
      hint: 'Give the file a name without a leading dot and without control characters.',
    });
  }
  return { name, path, fileBytes: facts.size, isGzipped: gzipEndings.test(path) };
}

/**
 * The archives that `paths` (absolute) name: files as they are, folders as all archives in them, sorted by name.
 * @throws USAGE (no archive, two of one name), NOT_FOUND, IO.
 */
export async function findArchives(paths: readonly string[]): Promise<FoundArchive[]> {
  const found: FoundArchive[] = [];
  for (const path of paths) {
    const first = await lookAt(path);
    if (first !== 'folder') {
      found.push(first);
      continue;
    }
    for (const inside of await listFolder(path)) {
      const archive = await lookAt(inside);
      if (archive !== 'folder') found.push(archive);
    }
  }
  return await withoutLinks(found);
}

/** YunoHost keeps `app.tar` as a link to `app.tar.gz`: the same file is pushed once. */
async function withoutLinks(found: readonly FoundArchive[]): Promise<FoundArchive[]> {
  const kept = new Map<string, { archive: FoundArchive; real: string }>();
  for (const archive of found) {
    const real = await withFsErrors(`find ${showText(archive.path)}`, () => realpath(archive.path));
    const other = kept.get(archive.name);
    if (other !== undefined && other.real !== real) {
      throw new FallbackError(
        'USAGE',
        `Two archives are called ${archive.name}: ${other.archive.path} and ${archive.path}.`,
        {
          hint: 'Rename one, or push only one of them. Nothing was pushed.',
        },
      );
    }
    if (other === undefined) kept.set(archive.name, { archive, real });
  }
  return [...kept.values()].map(({ archive }) => archive);
}
