// Real files of this machine to build archives from: documentation, libraries, the project's own dependencies.
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A file of this machine. */
export interface RealFile {
  readonly path: string;
  /** Relative to the folder that was walked. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly modifiedSeconds: number;
}

/** Regular files below `folder`, in name order, up to `bytesMax` together. */
export function collectFiles(folder: string, bytesMax: number): RealFile[] {
  const files: RealFile[] = [];
  let total = 0;
  const walk = (path: string, name: string): void => {
    if (total >= bytesMax) return;
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return;
    if (stats.isDirectory()) {
      for (const entry of readdirSync(path).sort()) walk(join(path, entry), name === '' ? entry : `${name}/${entry}`);
    } else if (stats.isFile() && stats.size > 0 && stats.size < 16 * 1024 * 1024 && total + stats.size <= bytesMax) {
      files.push({ path, name, sizeBytes: stats.size, modifiedSeconds: stats.mtimeMs / 1000 });
      total += stats.size;
    }
  };
  if (existsSync(folder)) walk(folder, '');
  return files;
}

/** Words of real text, for mails and rows that compress as such things do. */
export function collectWords(files: readonly RealFile[], bytesMax: number): string[] {
  const words: string[] = [];
  let bytes = 0;
  for (const file of files) {
    if (bytes >= bytesMax) break;
    if (!/\.(md|txt|html|js|ts)$|README|copyright|changelog$/.test(file.name) || file.sizeBytes > 512 * 1024) continue;
    const text = readFileSync(file.path, 'latin1');
    bytes += text.length;
    for (const word of text.split(/\s+/)) if (/^[A-Za-z][A-Za-z',.-]{1,16}$/.test(word)) words.push(word);
  }
  return words.length > 1000 ? words : Array.from({ length: 5000 }, (_, index) => `word${(index * 7919) % 5003}`);
}
