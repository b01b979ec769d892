// A tar made while it is read, byte for byte as Python's `tar.add(source, arcname=dest)` makes it: nothing lies on the disk.
// Unlike Python it goes on when a file changes under its hands: cut at the length that its header says, filled up with
// zeros, or left out; each is told.
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import { encodeTarEnd, encodeTarHeaders, type TarMember, tarPadding } from '../../tar/tar-writer.ts';
import type { AccountNames } from './account-names.ts';
import { compareCodePoints, decodeName } from './python-text.ts';
import type { BackupRow } from './read-backup-csv.ts';

/** What became of a file that did not stay as it was. */
export interface StreamWarning {
  readonly kind: 'vanished' | 'shrank' | 'grew' | 'socket' | 'unreadable';
  /** As the machine names it. */
  readonly path: string;
}

export interface TarStreamOptions {
  readonly rows: readonly BackupRow[];
  readonly accounts: AccountNames;
  readonly onWarning: (warning: StreamWarning) => void;
  /** Paths and everything below them that are left out. */
  readonly exclude?: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

const readBytes = 1024 * 1024;
/** Small members are gathered to pieces of this size: a piece is a turn of the event loop. */
const pieceBytes = 256 * 1024;
const slash = Buffer.from('/');
const vanishedCodes = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE']);

/** `os.stat().st_mtime`: a float made of two numbers, so that its last digit is Python's. */
const pythonTime = ({ mtimeNs }: BigIntStats): number => {
  let seconds = mtimeNs / 1_000_000_000n;
  let rest = mtimeNs % 1_000_000_000n;
  if (rest < 0n) {
    seconds -= 1n;
    rest += 1_000_000_000n;
  }
  return Number(seconds) + 1e-9 * Number(rest);
};

function typeOf(stats: BigIntStats): TarMember['type'] | undefined {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isFIFO()) return 'fifo';
  if (stats.isCharacterDevice()) return 'character';
  return stats.isBlockDevice() ? 'block' : undefined;
}

/** Linux's makedev, taken apart. */
const deviceMajor = (device: bigint): number => Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn));
const deviceMinor = (device: bigint): number => Number((device & 0xffn) | ((device >> 12n) & ~0xffn));

class TarStream {
  readonly #options: TarStreamOptions;
  /** Regular files with several names that are in the archive already: device and inode to the first name. */
  readonly #linked = new Map<string, string>();
  readonly #excluded: ReadonlySet<string>;
  #offset = 0;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(options: TarStreamOptions) {
    this.#options = options;
    this.#excluded = new Set((options.exclude ?? []).map((path) => path.replace(/\/+$/, '')));
  }

  async *run(): AsyncGenerator<Uint8Array> {
    for (const { source, dest } of this.#options.rows) {
      // As tarfile: no leading slash. A row may end with one.
      const name = dest.replace(/^\/+/, '').replace(/\/+$/, '');
      yield* this.#add(Buffer.from(source.replace(/(.)\/+$/, '$1')), name);
    }
    this.#put(encodeTarEnd(this.#offset));
    yield* this.#flush(true);
  }

  #put(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.byteLength;
    this.#offset += bytes.byteLength;
  }

  *#flush(isForced = false): Generator<Uint8Array> {
    if (this.#pendingBytes === 0 || (!isForced && this.#pendingBytes < pieceBytes)) return;
    const pieces = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    const [only] = pieces;
    yield pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
  }

  #warn(kind: StreamWarning['kind'], path: Buffer): void {
    this.#options.onWarning({ kind, path: path.toString('utf8') });
  }

  /** Undefined when it is gone, told as such. @throws ARCHIVE_UNREADABLE when the disk or the rights say no. */
  async #unlessGone<Value>(path: Buffer, work: () => Promise<Value>): Promise<Value | undefined> {
    try {
      return await work();
    } catch (error) {
      if (vanishedCodes.has(systemErrorCode(error) ?? '')) {
        this.#warn('vanished', path);
        return undefined;
      }
      if (systemErrorCode(error) === undefined) throw error;
      throw new FallbackError(
        'ARCHIVE_UNREADABLE',
        `${path.toString('utf8')} cannot be read: ${systemErrorCode(error)}.`,
        {
          cause: error,
          hint: 'Look at the disk (dmesg) and the rights of that file. The last good archive is kept.',
        },
      );
    }
  }

  async *#add(path: Buffer, name: string): AsyncGenerator<Uint8Array> {
    this.#options.signal?.throwIfAborted();
    if (this.#excluded.size > 0 && this.#excluded.has(path.toString('utf8'))) return;
    const stats = await this.#unlessGone(path, () => lstat(path, { bigint: true }));
    if (stats === undefined) return;
    if (typeOf(stats) === undefined) {
      this.#warn('socket', path);
      return;
    }
    if (stats.isFile()) {
      yield* this.#addFile(path, name, stats);
      return;
    }
    const member = await this.#memberOf(path, name, stats);
    if (member === undefined) return;
    this.#put(encodeTarHeaders(member, 'pax'));
    yield* this.#flush();
    if (!stats.isDirectory()) return;
    const entries = await this.#unlessGone(path, () => readdir(path, { encoding: 'buffer' }));
    const named = (entries ?? []).map((bytes) => ({ bytes, text: decodeName(bytes) }));
    for (const entry of named.sort((a, b) => compareCodePoints(a.text, b.text))) {
      yield* this.#add(Buffer.concat([path, slash, entry.bytes]), `${name}/${entry.text}`);
    }
  }

  async #memberOf(path: Buffer, name: string, stats: BigIntStats): Promise<TarMember | undefined> {
    const type = typeOf(stats);
    if (type === undefined) return undefined;
    const { accounts } = this.#options;
    const [userId, groupId] = [Number(stats.uid), Number(stats.gid)];
    let linkName: string | undefined;
    if (type === 'symlink') {
      const target = await this.#unlessGone(path, () => readlink(path, { encoding: 'buffer' }));
      if (target === undefined) return undefined;
      linkName = decodeName(target);
    }
    const isDevice = type === 'character' || type === 'block';
    return {
      name,
      type,
      mode: Number(stats.mode & 0o7777n),
      userId,
      groupId,
      userName: await accounts.userName(userId),
      groupName: await accounts.groupName(groupId),
      modifiedSeconds: pythonTime(stats),
      sizeBytes: type === 'file' ? Number(stats.size) : 0,
      ...(linkName === undefined ? {} : { linkName }),
      ...(isDevice ? { deviceMajor: deviceMajor(stats.rdev), deviceMinor: deviceMinor(stats.rdev) } : {}),
    };
  }

  async *#addFile(path: Buffer, name: string, stats: BigIntStats): AsyncGenerator<Uint8Array> {
    const member = await this.#memberOf(path, name, stats);
    if (member === undefined) return;
    const inode = `${stats.dev}:${stats.ino}`;
    const first = stats.nlink > 1n ? this.#linked.get(inode) : undefined;
    if (first !== undefined && first !== name) {
      this.#put(encodeTarHeaders({ ...member, type: 'hardlink', linkName: first, sizeBytes: 0 }, 'pax'));
      yield* this.#flush();
      return;
    }
    // Opened before its header is written: what is gone by now leaves no trace in the tar.
    const file = await this.#unlessGone(path, () =>
      open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK),
    );
    if (file === undefined) return;
    try {
      if (stats.nlink > 1n) this.#linked.set(inode, name);
      this.#put(encodeTarHeaders(member, 'pax'));
      yield* this.#contents(file, path, member.sizeBytes);
    } finally {
      await file.close();
    }
  }

  /** Exactly as many bytes as the header says. */
  async *#contents(file: FileHandle, path: Buffer, sizeBytes: number): AsyncGenerator<Uint8Array> {
    let left = sizeBytes;
    while (left > 0) {
      this.#options.signal?.throwIfAborted();
      const buffer = Buffer.allocUnsafe(Math.min(left, readBytes));
      const count = await this.#unlessGone(path, async () => (await file.read(buffer, 0, buffer.byteLength)).bytesRead);
      if (count === undefined || count === 0) break;
      this.#put(buffer.subarray(0, count));
      left -= count;
      yield* this.#flush();
    }
    if (left > 0) this.#warn('shrank', path);
    else if ((await file.stat()).size > sizeBytes) this.#warn('grew', path);
    while (left > 0) {
      const zeros = new Uint8Array(Math.min(left, readBytes));
      this.#put(zeros);
      left -= zeros.byteLength;
      yield* this.#flush();
    }
    this.#put(new Uint8Array(tarPadding(sizeBytes)));
    yield* this.#flush();
  }
}

/**
 * The bytes of the tar, in pieces.
 * @throws ARCHIVE_UNREADABLE when the disk or the rights refuse a file, and the signal's reason.
 */
export function streamTar(options: TarStreamOptions): AsyncGenerator<Uint8Array> {
  return new TarStream(options).run();
}

/** Rows for paths of the machine that are kept under their own names, without the leading slash. */
export const rowsOfPaths = (paths: readonly string[], root: string): BackupRow[] =>
  paths.map((path) => ({ source: root === '/' ? path : join(root, path), dest: path.replace(/^\/+/, '') }));
