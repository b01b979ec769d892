// Whole trees: size, copy, move, remove, always with owners, modes and times. What `du`, `cp -a`, `mv` and `rm -r` do.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  type Stats,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { errnoOf } from './errors.ts';
import type { Owner } from './owners.ts';
import type { Server } from './server.ts';

/** `lstat`, or undefined when nothing is there. */
export function statOrNothing(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** Every path of a tree, folders before what is in them, names in order. */
export function* walk(path: string): Generator<{ path: string; stat: Stats }> {
  const stat = lstatSync(path);
  yield { path, stat };
  if (!stat.isDirectory()) return;
  for (const name of readdirSync(path).sort()) yield* walk(join(path, name));
}

/** `du -sb`: apparent sizes of everything, a file with several names counted once. */
export function sizeOfTree(path: string): number {
  const seen = new Set<number>();
  let total = 0;
  for (const { stat } of walk(path)) {
    if (stat.nlink > 1 && !stat.isDirectory()) {
      if (seen.has(stat.ino)) continue;
      seen.add(stat.ino);
    }
    total += stat.size;
  }
  return total;
}

function keepTimes(from: Stats, to: string): void {
  if (from.isSymbolicLink()) lutimesSync(to, from.atime, from.mtime);
  else utimesSync(to, from.atime, from.mtime);
}

export interface CopyOptions {
  /** Give files a second name instead of new bytes where the file system can. */
  readonly hardLinks?: boolean;
}

/** `cp -a FROM/. TO` for folders (merging, never deleting), `cp -a FROM TO` for anything else. */
export function copyTree(server: Server, from: string, to: string, options: CopyOptions = {}): void {
  const owners: [string, Owner][] = [];
  const ownerOf = server.owners.reader();
  const times: [Stats, string][] = [];
  const links = new Map<number, string>();
  for (const { path, stat } of walk(from)) {
    const target = join(to, path.slice(from.length));
    if (stat.isDirectory()) {
      mkdirSync(target, { recursive: true });
      chmodSync(target, stat.mode & 0o7777);
    } else {
      const first = links.get(stat.ino);
      if (first !== undefined) linkAgain(first, target);
      else copyOne(path, stat, target, options);
      if (stat.isFile() && stat.nlink > 1) links.set(stat.ino, target);
    }
    owners.push([target, ownerOf(path)]);
    times.push([stat, target]);
  }
  if (options.hardLinks !== true) {
    server.owners.setAll(owners);
    for (const [stat, target] of times) if (stat.isFile()) chmodSync(target, stat.mode & 0o7777);
  }
  for (const [stat, target] of times.reverse()) keepTimes(stat, target);
}

function copyOne(path: string, stat: Stats, target: string, options: CopyOptions): void {
  mkdirSync(dirname(target), { recursive: true });
  if (statOrNothing(target) !== undefined) rmSync(target, { recursive: true });
  if (stat.isSymbolicLink()) {
    symlinkSync(readlinkSync(path), target);
  } else if (stat.isFile()) {
    if (options.hardLinks !== true || !tryLink(path, target)) copyFileSync(path, target);
  }
}

/** Two names of one file stay two names of one file, as `cp -a` keeps them. */
function linkAgain(first: string, target: string): void {
  if (statOrNothing(target) !== undefined) rmSync(target, { recursive: true });
  linkSync(first, target);
}

function tryLink(path: string, target: string): boolean {
  try {
    linkSync(path, target);
    return true;
  } catch {
    return false;
  }
}

/** `cp -a FROM TO` of the shell: into TO when TO is a folder already (the nested `domains/domains`, section 6 trap 4). */
export function shellCopy(server: Server, from: string, to: string): void {
  const isInto = existsSync(to) && lstatSync(to).isDirectory();
  const target = isInto ? join(to, from.slice(from.lastIndexOf('/') + 1)) : to;
  copyTree(server, from, target);
}

/** `mv FROM TO`, also between file systems. */
export function moveTree(server: Server, from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  try {
    renameSync(from, to);
    server.owners.moved(from, to);
  } catch (error) {
    if (errnoOf(error) !== 'EXDEV') throw error;
    copyTree(server, from, to);
    removeTree(server, from);
  }
}

/** `rm -rf`. */
export function removeTree(server: Server, path: string): void {
  rmSync(path, { recursive: true, force: true });
  server.owners.removed(path);
}

/** `chown -R`, by number. */
export function ownTree(server: Server, path: string, owner: Owner): void {
  const changes: [string, Owner][] = [];
  for (const { path: at } of walk(path)) changes.push([at, owner]);
  server.owners.setAll(changes);
}

/** `chmod -R` of an app’s settings after a restore: folders 700, files 400. */
export function closeTree(path: string): void {
  for (const { path: at, stat } of walk(path)) {
    if (!stat.isSymbolicLink()) chmodSync(at, stat.isDirectory() ? 0o700 : 0o400);
  }
}

export function fileExists(path: string): boolean {
  return statOrNothing(path)?.isFile() === true;
}

/** Makes a work folder and the folders above it; it is root’s own, whatever the folder above it says. */
export function makeWorkFolder(server: Server, path: string, mode: number): void {
  mkdirSync(path, { recursive: true, mode });
  server.owners.set(path, { userId: 0, groupId: 0 });
}
