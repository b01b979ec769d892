// `backup list`, `info`, `delete`, and the folder of archives (section 3).
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { readAccounts } from './accounts.ts';
import { humanSize } from './backup-create.ts';
import { asPython, PythonCrash, YunohostError } from './errors.ts';
import { moveTree, statOrNothing } from './files.ts';
import { callHooks } from './hooks.ts';
import type { Value } from './output.ts';
import type { Server } from './server.ts';
import { extractMembers } from './tar-file.ts';
import { readArchive } from './tar-read.ts';

export const archivesFolder = '/home/yunohost.backup/archives';

/** Makes archives/ when it is missing: mode 770, group admins. */
export function makeArchivesFolder(server: Server): void {
  const path = server.path(archivesFolder);
  if (existsSync(path)) return;
  if (statOrNothing(path) !== undefined) {
    throw new YunohostError(`Your archive directory '${archivesFolder}' is a broken symlink.`);
  }
  mkdirSync(path, { recursive: true });
  const admins = readAccounts(server).groupId('admins') ?? 0;
  for (const folder of [server.path('/home/yunohost.backup'), path]) {
    chmodSync(folder, 0o770);
    server.owners.set(folder, { userId: 0, groupId: admins });
  }
}

const withoutEnd = (name: string) => name.replace(/\.tar(\.gz)?$/, '');

/** Names of all archives, by the time of their last change of state; broken links are left out. */
export function listArchives(server: Server): string[] {
  const folder = server.path(archivesFolder);
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder)
    .filter((name) => /\.tar(\.gz)?$/.test(name) && existsSync(join(folder, name)))
    .map((name) => realpathSync(join(folder, name)));
  return [...new Set(files)]
    .map((path) => ({ name: withoutEnd(basename(path)), ctime: lstatSync(path).ctimeMs }))
    .sort((a, b) => a.ctime - b.ctime)
    .map(({ name }) => name);
}

/** What NAME.info.json says, its names as the genuine ones. */
export interface ArchiveInfo {
  readonly description: string;
  readonly created_at: number;
  readonly size?: number;
  readonly size_details?: { readonly system: Record<string, number>; readonly apps: Record<string, number> };
  readonly apps: Record<string, { readonly version: string; readonly name: string; readonly description: string }>;
  readonly system: Record<string, readonly string[]>;
  readonly from_yunohost_version?: string;
}

const noInfo = (shown: string) =>
  new YunohostError(
    `Could not load info for archive '${shown}'… The info.json file cannot be retrieved (or is not a valid json).`,
  );

/** The file of an archive: in archives/ by name, or any path that exists. */
function archiveFile(server: Server, given: string): { name: string; path: string } {
  const name = withoutEnd(given);
  const plain = server.path(`${archivesFolder}/${name}.tar`);
  const real = given.startsWith(server.root) ? given : server.path(given.startsWith('/') ? given : `/${given}`);
  const path = [plain, `${plain}.gz`, ...(given.startsWith('/') ? [real] : [])].find(
    (one) => statOrNothing(one) !== undefined,
  );
  if (path === undefined) throw new YunohostError(`Unknown local backup archive named '${name}'`);
  if (!lstatSync(path).isSymbolicLink()) return { name, path };
  if (existsSync(path)) return { name, path: realpathSync(path) };
  throw new YunohostError(`Could not access the backup archive (broken link to ${server.shown(path)})`);
}

/** Reads NAME.info.json, taking it out of the tar on first use; a stale one is believed (section 6). */
export function loadInfo(server: Server, given: string): { name: string; path: string; info: ArchiveInfo } {
  const { name, path } = archiveFile(server, given);
  const relative = server.shown(name);
  const infoFile = server.path(`${archivesFolder}/${relative}.info.json`);
  const shown = server.shown(path);
  if (!existsSync(infoFile)) {
    const members = readArchive(path, shown);
    const member = members.find((one) => one.name === 'info.json') ?? members.find((one) => one.name === './info.json');
    if (member === undefined) throw noInfo(shown);
    const folder = `${infoFile}.d`;
    extractMembers(server, [{ ...member, name: 'info.json' }], folder);
    moveTree(server, join(folder, 'info.json'), infoFile);
    rmdirSync(folder);
  }
  try {
    return { name, path, info: JSON.parse(readFileSync(infoFile, 'utf8')) as ArchiveInfo };
  } catch {
    throw noInfo(shown);
  }
}

/** What `backup info` prints. */
export function archiveInfo(
  server: Server,
  given: string,
  options: { details: boolean; human: boolean },
): Record<string, Value> {
  const { path, info } = loadInfo(server, given);
  const size = (bytes: number): Value => (options.human ? `${humanSize(bytes)}B` : bytes);
  const total = info.size || readArchive(path, server.shown(path)).reduce((sum, member) => sum + member.sizeBytes, 0);
  const result: Record<string, Value> = {
    path,
    created_at: new Date(info.created_at * 1000),
    description: info.description,
    size: size(total),
  };
  if (!options.details) return result;
  const sizeAt = (sizes: Record<string, number> | undefined, name: string) =>
    sizes?.[name] === undefined ? (options.human ? '?' : -1) : size(sizes[name]);
  result['apps'] = Object.fromEntries(
    Object.entries(info.apps).map(([app, row]) => [app, { ...row, size: sizeAt(info.size_details?.apps, app) }]),
  );
  result['system'] = Object.fromEntries(
    Object.entries(info.system).map(([part, paths]) => [
      part,
      { paths, size: sizeAt(info.size_details?.system, part) },
    ]),
  );
  result['from_yunohost_version'] = info.from_yunohost_version ?? null;
  return result;
}

/** `backup list -i`: what cannot be read costs a WARNING and is left out. */
export function listWithInfo(server: Server, human: boolean): Record<string, Value> {
  const all: Record<string, Value> = {};
  for (const name of listArchives(server)) {
    try {
      all[name] = archiveInfo(server, name, { details: false, human });
    } catch (error) {
      const trace =
        error instanceof PythonCrash
          ? `Could not check infos for archive ${name}: \n${error.line}`
          : asPython(error).message;
      server.log('WARNING', trace);
    }
  }
  return all;
}

/** `backup delete`: the tar, what its link points to, and info.json; hooks before and after. */
export async function deleteArchive(server: Server, name: string): Promise<void> {
  if (!listArchives(server).includes(name)) throw new YunohostError(`Unknown local backup archive named '${name}'`);
  await callHooks(server, 'pre_backup_delete', [], { args: [name] });
  const plain = server.path(`${archivesFolder}/${name}.tar`);
  const path = existsSync(plain) ? plain : `${plain}.gz`;
  const actual = existsSync(path) ? realpathSync(path) : path;
  rmSync(path, { force: true });
  server.strike('archive-deleted');
  rmSync(server.path(`${archivesFolder}/${name}.info.json`), { force: true });
  rmSync(actual, { force: true });
  await callHooks(server, 'post_backup_delete', [], { args: [name] });
  server.log('SUCCESS', `Backup deleted: ${name}`);
}
