// How collected files are kept: `tar` into archives/, `copy` into a folder, or a custom hook with six arguments (section 5).
import { copyFileSync, existsSync, linkSync, lstatSync, mkdirSync, readlinkSync, statSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { archivesFolder } from './backup-archives.ts';
import { asPython, errnoOf, YunohostError } from './errors.ts';
import { copyTree, removeTree, sizeOfTree, statOrNothing, walk } from './files.ts';
import { freeSpace } from './free-space.ts';
import { callHooks } from './hooks.ts';
import type { Server } from './server.ts';
import { readSetting } from './settings.ts';
import { type Row, TarWriter } from './tar-file.ts';

export interface BackupJob {
  readonly name: string;
  readonly work: string;
  /** Where archives go, real path. */
  readonly repository: string;
  readonly sizeBytes: number;
  readonly description: string;
  readonly rows: readonly Row[];
  /** Whether the work folder is ours to remove: not with `-o`. */
  readonly isOwnFolder: boolean;
}

/** Applies one method, and cleans the work folder whatever happens: a second method finds nothing left (section 5). */
export async function runMethod(server: Server, method: string, job: BackupJob): Promise<void> {
  server.log('DEBUG', `applying method ${method}`);
  const isCustom = method !== 'tar' && method !== 'copy';
  if (isCustom && (await callMethodHook(server, method, 'need_mount', job)).some((hook) => hook.succeeded)) {
    organizeFiles(server, job);
  }
  try {
    if (method === 'tar') makeTar(server, job);
    else if (method === 'copy') copyAll(server, job);
    else if ((await callMethodHook(server, method, 'backup', job)).some((hook) => !hook.succeeded)) {
      throw new YunohostError("Custom backup method could not get past the 'backup' step");
    }
    server.strike('method-done');
  } finally {
    if (job.isOwnFolder) removeTree(server, job.work);
  }
}

/** A method without a hook runs nothing, and counts as done (section 5). */
function callMethodHook(server: Server, method: string, action: string, job: BackupJob) {
  const args = [action, job.work, job.name, job.repository, job.sizeBytes, job.description];
  return callHooks(server, 'backup_method', [method], { args });
}

function assertSpace(server: Server, job: BackupJob): void {
  if (freeSpace(server) < job.sizeBytes) {
    throw new YunohostError(`Not enough free space on '${server.shown(job.repository)}'`);
  }
}

function makeTar(server: Server, job: BackupJob): void {
  mkdirSync(job.repository, { recursive: true, mode: 0o750 });
  assertSpace(server, job);
  const plain = join(job.repository, `${job.name}.tar`);
  const isCompressed = readSetting(server, 'backup_compress_tar_archives') === true;
  const path = isCompressed || existsSync(`${plain}.gz`) ? `${plain}.gz` : plain;
  const tar = new TarWriter(server, path, freeSpace(server));
  let failed: unknown;
  try {
    for (const row of job.rows) addRow(server, tar, row, path);
  } catch (error) {
    failed = error;
  }
  try {
    tar.close();
  } catch (error) {
    // The disk is full: this second failure is what Python shows, as a traceback.
    failed = error;
  }
  if (failed !== undefined) throw failed;
  server.strike('tar-closed');
  copyFileSync(join(job.work, 'info.json'), server.path(`${archivesFolder}/${job.name}.info.json`));
  const link = server.path(`${archivesFolder}/${job.name}.tar`);
  if (!existsSync(link)) symlinkSync(path, link);
}

function addRow(server: Server, tar: TarWriter, row: Row, path: string): void {
  try {
    tar.add(row.source, row.dest);
  } catch (error) {
    if (errnoOf(error) === undefined && asPython(error).message.includes('Errno 28') === false) throw error;
    server.log(
      'ERROR',
      `Could not add the files '${server.shown(row.source)}' (named in the archive '${row.dest}') to be backed up into the compressed archive '${server.shown(path)}'`,
    );
    throw new YunohostError('Could not create the backup archive');
  }
}

/** The method `copy`: `copytree` without `symlinks=True`, so links are followed (section 5, D19). */
function copyAll(server: Server, job: BackupJob): void {
  assertSpace(server, job);
  for (const { source, dest } of job.rows) {
    const target = join(job.repository, dest);
    if (source === target) return;
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    for (const { path } of walk(source)) {
      const stat = statSync(path);
      if (stat.isDirectory()) mkdirSync(join(target, path.slice(source.length)), { recursive: true });
      else copyFileSync(path, join(target, path.slice(source.length)));
    }
  }
}

/**
 * `_organize_files`, when the hook’s need_mount exits 0. The genuine one bind-mounts folders read-only; mounts need rights
 * that a test has not, so folders are made anew with hard links to the files: same bytes, owners, modes and times.
 */
function organizeFiles(server: Server, job: BackupJob): void {
  for (const row of job.rows) {
    const target = join(job.work, row.dest);
    if (target === row.source) continue;
    mkdirSync(dirname(target), { recursive: true });
    const stat = lstatSync(row.source);
    if (stat.isDirectory()) copyTree(server, row.source, target, { hardLinks: true });
    else if (stat.isSymbolicLink()) symlinkSync(readlinkSync(row.source), target);
    else linkOrCopy(server, row.source, target);
  }
}

/** A file becomes a hard link; on another file system, or in /etc/cron*, a copy, which asks first above 10 MB. */
function linkOrCopy(server: Server, source: string, target: string): void {
  const sameDisk = lstatSync(source).dev === lstatSync(dirname(target)).dev;
  if (sameDisk && !server.shown(source).startsWith('/etc/cron.')) {
    if (statOrNothing(target) === undefined) linkSync(source, target);
    return;
  }
  if (sizeOfTree(source) > 10 * 1024 * 1024) throw new YunohostError("Not a tty, can't do interactive prompts");
  server.log('DEBUG', `copying ${basename(source)} to organize the archive`);
  copyFileSync(source, target);
}
