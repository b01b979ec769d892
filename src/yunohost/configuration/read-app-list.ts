// The `app_list` of the old fallback_ynh: `[.]: id` is saved, `[]: id` is not, `[-]: fallback` never; `#000#` begins the header.
import { readFile } from 'node:fs/promises';
import { withFsErrors } from '../../fs/map-fs-error.ts';

export interface OldAppList {
  readonly saved: readonly string[];
  readonly notSaved: readonly string[];
  /** Lines that mean nothing, from 1. */
  readonly unknownLines: readonly number[];
}

/** Takes the text of an `app_list` apart. */
export function parseAppList(text: string): OldAppList {
  const saved: string[] = [];
  const notSaved: string[] = [];
  const unknownLines: number[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const [, mark, id] = /^\[\s*([.-]?)\s*\]\s*:\s*([a-z0-9][a-z0-9_-]*)$/.exec(trimmed) ?? [];
    if (id === undefined) unknownLines.push(index + 1);
    else if (mark === '.') saved.push(id);
    else notSaved.push(id);
  }
  return { saved: [...new Set(saved)], notSaved: [...new Set(notSaved)], unknownLines };
}

/** Reads an `app_list`. @throws NOT_FOUND, IO. */
export async function readAppList(path: string): Promise<OldAppList> {
  return parseAppList((await withFsErrors(`read ${path}`, () => readFile(path))).toString('utf8'));
}
