// Archives as Python’s tarfile makes and reads them: `tar.add` with sorted folders and pax times, `getnames`, `extractall`.
import {
  chmodSync,
  closeSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmSync,
  type Stats,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { encodeTarEnd, encodeTarHeaders, type TarMember, tarPadding } from '../../../src/tar/tar-writer.ts';
import { type Accounts, readAccounts } from './accounts.ts';
import { PythonCrash } from './errors.ts';
import { statOrNothing } from './files.ts';
import type { Owner } from './owners.ts';
import type { Server } from './server.ts';
import type { ReadMember } from './tar-read.ts';

/** A file or folder and its name in the archive: one row of backup.csv. */
export interface Row {
  readonly source: string;
  readonly dest: string;
}

const noSpace = () => new PythonCrash('OSError', '[Errno 28] No space left on device');

/** An archive being written, like Python’s `tarfile.open(path, "w")`. */
export class TarWriter {
  readonly #server: Server;
  readonly #fd: number;
  readonly #accounts: Accounts;
  readonly #ownerOf: (path: string) => Owner;
  readonly #inodes = new Map<string, string>();
  readonly #gzip: Buffer[] | undefined;
  readonly #limitBytes: number;
  #written = 0;
  #failed = false;

  /** @param limitBytes free space: writing more leaves a truncated file and throws errno 28 (section 2). */
  constructor(server: Server, path: string, limitBytes: number) {
    this.#server = server;
    this.#fd = openSync(path, 'w', 0o644);
    this.#accounts = readAccounts(server);
    this.#ownerOf = server.owners.reader();
    this.#gzip = path.endsWith('.gz') ? [] : undefined;
    this.#limitBytes = limitBytes;
  }

  #put(bytes: Uint8Array): void {
    const room = this.#limitBytes - this.#written;
    const part = bytes.byteLength > room ? bytes.subarray(0, Math.max(0, room)) : bytes;
    if (this.#gzip !== undefined) this.#gzip.push(Buffer.from(part));
    else for (let at = 0; at < part.byteLength; ) at += writeSync(this.#fd, part, at);
    this.#written += part.byteLength;
    if (part.byteLength === bytes.byteLength) return;
    this.#failed = true;
    throw noSpace();
  }

  /** A fault here may be a full disk, which close() meets again. */
  #strike(source: string): void {
    try {
      this.#server.strike('archive-content', { path: this.#server.shown(source) });
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  #memberOf(path: string, name: string, stat: Stats): TarMember | undefined {
    const inode = `${stat.dev}:${stat.ino}`;
    const known = this.#inodes.get(inode);
    const isLink = stat.nlink > 1 && !stat.isDirectory() && known !== undefined && known !== name;
    if (stat.isFile() && known === undefined) this.#inodes.set(inode, name);
    const type = isLink && stat.isFile() ? 'hardlink' : typeOf(stat);
    if (type === undefined) return undefined;
    const { userId, groupId } = this.#ownerOf(path);
    const linkName = type === 'hardlink' ? known : type === 'symlink' ? readlinkSync(path) : undefined;
    return {
      name,
      type,
      mode: stat.mode & 0o7777,
      userId,
      groupId,
      userName: this.#accounts.userName(userId) ?? '',
      groupName: this.#accounts.groupName(groupId) ?? '',
      modifiedSeconds: pythonTime(path),
      ...(linkName === undefined ? {} : { linkName }),
      sizeBytes: type === 'file' ? stat.size : 0,
    };
  }

  /** `tar.add(source, arcname=dest)`: sockets are left out; what vanishes or shrinks meanwhile throws. */
  add(source: string, dest: string): void {
    this.#server.strike('archive-member', { path: this.#server.shown(source) });
    const stat = lstatSync(source);
    const member = this.#memberOf(source, dest, stat);
    if (member === undefined) return;
    if (member.type === 'file') {
      const fd = openSync(source, 'r');
      try {
        this.#put(encodeTarHeaders(member, 'pax'));
        this.#strike(source);
        this.#copy(fd, member.sizeBytes);
      } finally {
        closeSync(fd);
      }
      return;
    }
    this.#put(encodeTarHeaders(member, 'pax'));
    if (!stat.isDirectory()) return;
    for (const name of readdirSync(source).sort()) this.add(join(source, name), `${dest}/${name}`);
  }

  #copy(fd: number, sizeBytes: number): void {
    const buffer = Buffer.alloc(Math.min(sizeBytes, 1 << 20));
    for (let left = sizeBytes; left > 0; ) {
      const count = readSync(fd, buffer, 0, Math.min(buffer.length, left), null);
      if (count === 0) throw Object.assign(new Error('unexpected end of data'), { code: 'EIO' });
      this.#put(buffer.subarray(0, count));
      left -= count;
    }
    this.#put(new Uint8Array(tarPadding(sizeBytes)));
  }

  /** `tar.close()`: writes the end even of an archive that failed; throws once more on a full disk. */
  close(): void {
    try {
      if (this.#failed) throw noSpace();
      // A member cut short leaves Python’s offset at its start; the file still goes on from where the bytes ended.
      this.#put(encodeTarEnd(this.#written));
    } finally {
      if (this.#gzip !== undefined) writeSync(this.#fd, gzipSync(Buffer.concat(this.#gzip), { level: 6 }));
      closeSync(this.#fd);
    }
  }
}

/** `os.stat().st_mtime`: seconds as a float made of two numbers, so that the last digit is Python’s. */
function pythonTime(path: string): number {
  const { mtimeNs } = lstatSync(path, { bigint: true });
  return Number(mtimeNs / 1_000_000_000n) + 1e-9 * Number(mtimeNs % 1_000_000_000n);
}

function typeOf(stat: Stats): TarMember['type'] | undefined {
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isFIFO()) return 'fifo';
  return stat.isFile() ? 'file' : undefined;
}

/** `tar.extractall`: owners by name where the name is known here, else by number (section 6 trap 5); times kept. */
export function extractMembers(server: Server, members: readonly ReadMember[], folder: string): void {
  const accounts = readAccounts(server);
  const owners: [string, Owner][] = [];
  const folders: [string, ReadMember][] = [];
  for (const member of members) {
    const path = join(folder, member.name);
    const userId = accounts.userId(member.userName) ?? member.userId;
    const groupId = accounts.groupId(member.groupName) ?? member.groupId;
    extractOne(member, path, folder);
    owners.push([path, { userId, groupId }]);
    if (member.type === 'directory') folders.push([path, member]);
  }
  server.owners.setAll(owners);
  for (const [path, member] of folders.reverse()) {
    chmodSync(path, member.mode & 0o7777);
    utimesSync(path, member.modifiedSeconds, member.modifiedSeconds);
  }
  for (const member of members) {
    if (member.type === 'file') chmodSync(join(folder, member.name), member.mode & 0o7777);
  }
}

function extractOne(member: ReadMember, path: string, folder: string): void {
  mkdirSync(dirname(path), { recursive: true });
  if (member.type === 'directory') {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return;
  }
  if (statOrNothing(path) !== undefined) rmSync(path, { recursive: true });
  if (member.type === 'symlink') {
    symlinkSync(member.linkName, path);
    lutimesSync(path, member.modifiedSeconds, member.modifiedSeconds);
  } else if (member.type === 'hardlink') {
    linkSync(join(folder, member.linkName), path);
  } else if (member.type === 'file') {
    writeFileSync(path, member.content());
    utimesSync(path, member.modifiedSeconds, member.modifiedSeconds);
  }
}
