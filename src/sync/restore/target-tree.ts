// The folder that members are restored into. Every folder is opened from its parent's descriptor without following symbolic
// links (openat by way of /proc/self/fd), so that no link, whoever makes it and when, leads outside.
import { closeSync, constants, fstatSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { FallbackError } from '../../errors/fallback-error.ts';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import { isDeadPartial, partialName } from './partial-file.ts';

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const nameBytesMax = 255;
const pathBytesMax = 4096;
const depthMax = 128;
const slash = 0x2f;

function unsafe(reason: string): FallbackError {
  return new FallbackError('UNSAFE_PATH', `${reason}.`);
}

/**
 * The parts of a member's path; `.` and doubled slashes fall away. Empty for the archive's own root.
 * @throws UNSAFE_PATH for absolute names, `..`, NUL, and names that no file system holds.
 */
export function splitMemberName(name: Uint8Array): Buffer[] {
  const bytes = Buffer.from(name.buffer, name.byteOffset, name.byteLength);
  if (bytes[0] === slash) throw unsafe('Its name is absolute');
  if (bytes.includes(0)) throw unsafe('Its name holds a NUL');
  if (bytes.byteLength > pathBytesMax) throw unsafe(`Its name is longer than ${pathBytesMax} bytes`);
  const parts: Buffer[] = [];
  for (let start = 0; start <= bytes.byteLength; ) {
    const next = bytes.indexOf(slash, start);
    const end = next < 0 ? bytes.byteLength : next;
    const part = bytes.subarray(start, end);
    start = end + 1;
    const text = part.toString('latin1');
    if (text === '' || text === '.') continue;
    if (text === '..') throw unsafe('Its name leads upwards (..)');
    if (part.byteLength > nameBytesMax) throw unsafe(`A part of its name is longer than ${nameBytesMax} bytes`);
    parts.push(part);
  }
  if (parts.length > depthMax) throw unsafe(`It lies more than ${depthMax} folders deep`);
  return parts;
}

interface OpenFolder {
  readonly name: Buffer;
  readonly descriptor: number;
  readonly device: number;
}

/** A path below an open folder, good for one system call. */
function below(descriptor: number, name: Uint8Array | string): Buffer {
  return Buffer.concat([
    Buffer.from(`/proc/self/fd/${descriptor}/`),
    typeof name === 'string' ? Buffer.from(name) : name,
  ]);
}

/** A name in an open folder. */
export interface Place {
  /** The folder's descriptor; it stays open until the next place is asked for. */
  readonly folder: number;
  readonly name: Buffer;
  /** The path for system calls, good until the next place is asked for. */
  readonly path: Buffer;
  /** A new path for the file while it is written, on the same file system. */
  newPartialPath(): Buffer;
}

/** The target folder and those below it; it keeps the present folder's whole chain open, 129 descriptors at most. */
export class TargetTree {
  readonly #root: OpenFolder;
  readonly #stagingName: string;
  readonly #staging: number;
  readonly #randomBytes: (count: number) => Uint8Array;
  /** The folders that this run made. */
  readonly #made = new Set<string>();
  #chain: OpenFolder[] = [];

  /** @param folder made with mode 0700 when it is not there. Errors are the kernel's own. */
  constructor(folder: string, randomBytes: (count: number) => Uint8Array) {
    this.#randomBytes = randomBytes;
    try {
      mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    }
    const descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    this.#root = { name: Buffer.alloc(0), descriptor, device: fstatSync(descriptor).dev };
    for (const name of readdirSync(`/proc/self/fd/${descriptor}`)) {
      if (isDeadPartial(name)) rmSync(below(descriptor, name), { recursive: true, force: true });
    }
    this.#stagingName = partialName(randomBytes);
    mkdirSync(below(descriptor, this.#stagingName), { mode: 0o700 });
    this.#staging = openSync(below(descriptor, this.#stagingName), folderFlags);
  }

  /** A name in the staging folder, which is removed at the end with all that it holds. */
  stagingPath(name: string): Buffer {
    return below(this.#staging, name);
  }

  /**
   * Opens a member's folder, and makes it and its parents (mode 0700) where they are missing.
   * @param parts at least one; the last is the member's own name.
   * @throws UNSAFE_PATH when something on the way is no folder; other errors are the kernel's own.
   */
  enter(parts: readonly Buffer[]): Place {
    const name = parts.at(-1) ?? Buffer.from('.');
    const parent = this.#openChain(parts.slice(0, -1));
    const newPartialPath = (): Buffer => {
      const folder = parent.device === this.#root.device ? this.#staging : parent.descriptor;
      return below(folder, partialName(this.#randomBytes));
    };
    return { folder: parent.descriptor, name, path: below(parent.descriptor, name), newPartialPath };
  }

  #openChain(parts: readonly Buffer[]): OpenFolder {
    let depth = 0;
    while (depth < parts.length && parts[depth]?.equals(this.#chain[depth]?.name ?? Buffer.alloc(0)) === true) depth++;
    for (const { descriptor } of this.#chain.splice(depth)) closeSync(descriptor);
    let last = this.#chain.at(-1) ?? this.#root;
    for (const name of parts.slice(depth)) {
      const descriptor = this.#openOrMake(last.descriptor, name);
      last = { name: Buffer.from(name), descriptor, device: fstatSync(descriptor).dev };
      this.#chain.push(last);
    }
    return last;
  }

  #openOrMake(parent: number, name: Buffer): number {
    const path = below(parent, name);
    try {
      return openFolder(path, name);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
    return this.#make(path, name);
  }

  #make(path: Buffer, name: Buffer): number {
    mkdirSync(path, { mode: 0o700 });
    const descriptor = openFolder(path, name);
    this.#made.add(identityOf(descriptor));
    return descriptor;
  }

  /** Makes a folder (mode 0700) unless it is there. @throws UNSAFE_PATH when something else is in its place. */
  makeFolder(parts: readonly Buffer[]): void {
    this.#openChain(parts);
  }

  /** Whether this run made the open folder. */
  isMade(descriptor: number): boolean {
    return this.#made.has(identityOf(descriptor));
  }

  /** Opens a folder by its parts and lends its descriptor for `work`; undefined when it is no folder. */
  withFolder<Result>(parts: readonly Buffer[], work: (descriptor: number) => Result): Result | undefined {
    const { path } = this.enter(parts);
    let descriptor: number;
    try {
      descriptor = openSync(path, folderFlags);
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === 'ELOOP' || code === 'ENOTDIR' || code === 'ENOENT') return undefined;
      throw error;
    }
    try {
      return work(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  /** Removes the staging folder and closes everything. */
  close(): void {
    try {
      rmSync(below(this.#root.descriptor, this.#stagingName), { recursive: true, force: true });
    } finally {
      for (const { descriptor } of this.#chain) closeSync(descriptor);
      this.#chain = [];
      closeSync(this.#staging);
      closeSync(this.#root.descriptor);
    }
  }
}

function identityOf(descriptor: number): string {
  const { dev, ino } = fstatSync(descriptor);
  return `${dev}:${ino}`;
}

function openFolder(path: Buffer, name: Buffer): number {
  try {
    return openSync(path, folderFlags);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== 'ELOOP' && code !== 'ENOTDIR') throw error;
    throw unsafe(`${JSON.stringify(name.toString())} on its way is not a folder, or a symbolic link`);
  }
}
