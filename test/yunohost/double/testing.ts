// What the tests of the double share: a folder that goes away, a small server, an archive carried to another server.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { archivesFolder } from './backup-archives.ts';
import { type AppShape, type ServerShape, seedServer } from './seed-server.ts';
import type { Server } from './server.ts';
import { listMembers } from './tar-read.ts';

const roots: string[] = [];
process.on('exit', () => {
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

/** A new folder for a server’s root; removed when the process of the tests ends. */
export function newRoot(): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'yunohost-double-')));
  roots.push(root);
  return root;
}

export const demoSql: AppShape = {
  id: 'demosql',
  domain: 'main.test',
  path: '/sql',
  database: 'mysql',
  sizeBytes: 60_000,
};
export const demoPg: AppShape = {
  id: 'demopg',
  domain: 'main.test',
  path: '/pg',
  database: 'postgresql',
  sizeBytes: 60_000,
};

/** A post-installed server of a few hundred kB; `changes` override any of its shape. */
export function smallServer(changes: Partial<ServerShape> = {}): Promise<Server> {
  const shape = {
    seed: 1,
    mainDomain: 'main.test',
    users: ['alice', 'bob'],
    userBytes: 40_000,
    apps: [demoSql, demoPg],
  };
  return seedServer({ root: newRoot(), ...shape, ...changes });
}

export const archivePath = (root: string, file: string): string => join(root, archivesFolder, file);

/** Copies NAME.tar from one server to another, as a rebuilt archive would lie there: without info.json. */
export function carryArchive(from: string, to: string, name: string, newName = name): void {
  mkdirSync(join(to, archivesFolder), { recursive: true });
  copyFileSync(archivePath(from, `${name}.tar`), archivePath(to, `${newName}.tar`));
}

/** Names of all members of an archive, in order. */
export function memberNames(root: string, file: string): string[] {
  return listMembers(readFileSync(archivePath(root, file))).map((member) => member.name);
}
