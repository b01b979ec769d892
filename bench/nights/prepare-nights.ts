// Nights for a bench: generated ones, or folders that the user names.
import { readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ServerModel } from './server-model.ts';
import { writeNight } from './write-night.ts';

/** One night's archives. */
export interface Night {
  readonly name: string;
  readonly files: readonly NightFile[];
}

export interface NightFile {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
}

const projectRoot = resolve(import.meta.dirname, '..', '..');
const codeFolders = ['/usr/share', '/usr/lib', join(projectRoot, 'node_modules')];

/** Bytes of a night's archives together. */
export const nightBytes = (night: Night): number => night.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

async function filesOf(folder: string): Promise<NightFile[]> {
  const files: NightFile[] = [];
  for (const entry of (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!entry.isFile()) continue;
    const path = join(folder, entry.name);
    files.push({ name: entry.name, path, sizeBytes: (await stat(path)).size });
  }
  return files;
}

/** Writes `count` generated nights of about 820 MB x `scale` below `folder`. */
export async function generateNights(folder: string, count: number, scale: number): Promise<Night[]> {
  const model = new ServerModel({ scale, codeFolders });
  const nights: Night[] = [];
  for (let number = 1; number <= count; number++) {
    const path = join(folder, `night-${String(number).padStart(3, '0')}`);
    await writeNight(model.archives(), path);
    nights.push({ name: String(number), files: await filesOf(path) });
    model.change();
  }
  return nights;
}

/** Generated nights one after the other; each is gone when the next is asked for. Things also go away in them, unlike in `generateNights`. */
export async function* passingNights(folder: string, count: number, scale: number): AsyncGenerator<Night> {
  const model = new ServerModel({ scale, codeFolders, turnover: true });
  for (let number = 1; number <= count; number++) {
    const path = join(folder, 'tonight');
    await writeNight(model.archives(), path);
    yield { name: String(number), files: await filesOf(path) };
    await rm(path, { recursive: true });
    model.change();
  }
}

/**
 * The nights of folders that a user names: a folder with files is one night; a folder of folders gives one night for each,
 * by name; several folders are nights in the order in which they were named.
 * @throws when there is nothing to read.
 */
export async function namedNights(folders: readonly string[]): Promise<Night[]> {
  const nights: Night[] = [];
  for (const folder of folders) {
    const files = await filesOf(folder);
    if (files.length > 0) {
      nights.push({ name: String(nights.length + 1), files });
      continue;
    }
    const entries = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    for (const { name } of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const inner = await filesOf(join(folder, name));
      if (inner.length > 0) nights.push({ name: String(nights.length + 1), files: inner });
    }
  }
  if (nights.length === 0) throw new Error(`No archive was found in: ${folders.join(', ')}`);
  return nights;
}
