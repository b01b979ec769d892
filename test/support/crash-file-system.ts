// A file system in memory that knows what a power cut may take: POSIX durability as in ALICE (OSDI 2014).
// A file's contents are durable after its sync, a folder's names after the folder's. What was not synced is, after a cut,
// there or not there, independently; contents that were not synced are empty, cut, zeroed or whole. A rename is one change.
import { basename, dirname } from 'node:path';
import type { FileFacts, FileSystem, FolderEntry, OpenFile } from '../../src/fs/file-system.ts';

class FileNode {
  durable: Uint8Array | undefined;
  volatile = new Uint8Array(0);
}

class FolderNode {
  readonly durable = new Map<string, Node>();
  readonly volatile = new Map<string, Node>();
}

type Node = FileNode | FolderNode;

/** One not yet durable change of names, in one folder or, for a rename, in two. */
interface Change {
  readonly parts: readonly { readonly folder: FolderNode; readonly name: string; readonly node: Node | undefined }[];
}

/** Thrown by every call once the power is gone. */
export class PowerCut extends Error {}

class SystemError extends Error {
  readonly code: string;

  constructor(code: string, path: string) {
    super(`${code}: ${path}`);
    this.code = code;
  }
}

/** Steps that a broken build could leave out: tests of the tests. */
export type LeftOut = 'file sync' | 'folder sync';

/** The model. */
export class CrashFileSystem implements FileSystem {
  #root = new FolderNode();
  #pending: Change[] = [];
  #changes = 0;
  /** The power goes before the change with this number (from 1). */
  cutBefore = Number.POSITIVE_INFINITY;
  readonly leftOut: ReadonlySet<LeftOut>;

  constructor(leftOut: Iterable<LeftOut> = []) {
    this.leftOut = new Set(leftOut);
  }

  /** Changes made so far. */
  get changes(): number {
    return this.#changes;
  }

  #alive(): void {
    if (this.#changes >= this.cutBefore) throw new PowerCut('the power is gone');
  }

  #step(): void {
    if (++this.#changes >= this.cutBefore) throw new PowerCut('the power goes');
  }

  /** For what happens beside the file system: nothing does, once the power is gone. */
  requirePower(): void {
    this.#alive();
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const part of path.split('/').filter((one) => one !== '')) {
      if (!(node instanceof FolderNode)) return undefined;
      node = node.volatile.get(part);
    }
    return node;
  }

  #folder(path: string): FolderNode {
    const node = this.#find(path);
    if (!(node instanceof FolderNode)) throw new SystemError('ENOENT', path);
    return node;
  }

  #file(path: string): FileNode {
    const node = this.#find(path);
    if (!(node instanceof FileNode)) throw new SystemError('ENOENT', path);
    return node;
  }

  #apply(parts: Change['parts']): void {
    for (const { folder, name, node } of parts) {
      if (node === undefined) folder.volatile.delete(name);
      else folder.volatile.set(name, node);
    }
    this.#pending.push({ parts });
  }

  #add(path: string, node: Node): void {
    this.#alive();
    const folder = this.#folder(dirname(path));
    if (folder.volatile.has(basename(path))) throw new SystemError('EEXIST', path);
    this.#step();
    this.#apply([{ folder, name: basename(path), node }]);
  }

  #open(file: FileNode): OpenFile {
    return {
      append: async (bytes) => {
        this.#step();
        file.volatile = new Uint8Array(Buffer.concat([file.volatile, bytes]));
      },
      read: async (target, position) => {
        this.#alive();
        const part = file.volatile.subarray(position, position + target.byteLength);
        target.set(part);
        return part.byteLength;
      },
      sizeBytes: async () => file.volatile.byteLength,
      sync: async () => {
        this.#step();
        if (!this.leftOut.has('file sync')) file.durable = file.volatile;
      },
      close: async () => undefined,
    };
  }

  async createFile(path: string): Promise<OpenFile> {
    const file = new FileNode();
    this.#add(path, file);
    return this.#open(file);
  }

  async openFile(path: string): Promise<OpenFile> {
    this.#alive();
    return this.#open(this.#file(path));
  }

  async readStart(path: string, bytesMax: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(bytesMax);
    return bytes.subarray(0, await (await this.openFile(path)).read(bytes, 0));
  }

  async createFolder(path: string): Promise<void> {
    this.#add(path, new FolderNode());
  }

  async link(from: string, to: string): Promise<void> {
    this.#alive();
    this.#add(to, this.#file(from));
  }

  async rename(from: string, to: string): Promise<void> {
    this.#alive();
    const node = this.#file(from);
    this.#step();
    this.#apply([
      { folder: this.#folder(dirname(from)), name: basename(from), node: undefined },
      { folder: this.#folder(dirname(to)), name: basename(to), node },
    ]);
  }

  async unlink(path: string): Promise<void> {
    this.#alive();
    this.#file(path);
    this.#step();
    this.#apply([{ folder: this.#folder(dirname(path)), name: basename(path), node: undefined }]);
  }

  async unlinkAll(paths: readonly string[]): Promise<void> {
    for (const path of paths) if ((await this.facts(path)) !== undefined) await this.unlink(path);
  }

  async syncFolder(path: string): Promise<void> {
    this.#step();
    const folder = this.#folder(path);
    if (this.leftOut.has('folder sync')) return;
    const isHere = (change: Change): boolean => change.parts.some((part) => part.folder === folder);
    for (const change of this.#pending.filter(isHere)) persist(change);
    this.#pending = this.#pending.filter((change) => !isHere(change));
  }

  async list(path: string): Promise<readonly FolderEntry[]> {
    this.#alive();
    return [...this.#folder(path).volatile].map(([name, node]) => ({ name, isFolder: node instanceof FolderNode }));
  }

  async facts(path: string): Promise<FileFacts | undefined> {
    this.#alive();
    const node = this.#find(path);
    if (node === undefined) return undefined;
    const isFile = node instanceof FileNode;
    const sizeBytes = isFile ? node.volatile.byteLength : 0;
    return { type: isFile ? 'file' : 'folder', sizeBytes, mode: 0o700, userId: 0, groupId: 0 };
  }

  async freeBytes(): Promise<number> {
    return 2 ** 40;
  }

  /**
   * Disks as a power cut at this moment may leave them: every subset of the names that were not synced, up to `max` of
   * them (beyond that none, all, and by chance), each with the contents that were not synced in one of four states.
   */
  *afterCut(max: number, random: () => number): Generator<CrashFileSystem> {
    const pending = this.#pending.filter((change) => !this.#isTemporaryPair(change));
    const subsets = 2 ** Math.min(pending.length, 20);
    for (let count = 0; count < Math.min(subsets, max); count++) {
      const chosen =
        subsets <= max ? count : count === 0 ? 0 : count === 1 ? subsets - 1 : Math.floor(random() * subsets);
      const changes = pending.filter((_, index) => (Math.floor(chosen / 2 ** index) & 1) === 1);
      yield this.#copyWith(changes, () => Math.floor(random() * 4));
    }
  }

  /** A temporary name that came and went without a sync decides nothing: leaving such pairs out halves the subsets. */
  #isTemporaryPair(change: Change): boolean {
    const [part] = change.parts;
    if (change.parts.length !== 1 || part === undefined || !part.name.endsWith('.tmp')) return false;
    return !part.folder.volatile.has(part.name);
  }

  #copyWith(changes: readonly Change[], choose: () => number): CrashFileSystem {
    const copy = new CrashFileSystem(this.leftOut);
    const made = new Map<Node, Node>();
    const copyNode = (node: Node): Node => {
      const known = made.get(node);
      if (known !== undefined) return known;
      const fresh = node instanceof FileNode ? survivor(node, choose()) : new FolderNode();
      made.set(node, fresh);
      if (node instanceof FolderNode && fresh instanceof FolderNode) {
        for (const [name, child] of namesAfter(node, changes)) {
          const inside = copyNode(child);
          fresh.durable.set(name, inside);
          fresh.volatile.set(name, inside);
        }
      }
      return fresh;
    };
    const root = copyNode(this.#root);
    if (root instanceof FolderNode) copy.#root = root;
    return copy;
  }
}

function persist(change: Change): void {
  for (const { folder, name, node } of change.parts) {
    if (node === undefined) folder.durable.delete(name);
    else folder.durable.set(name, node);
  }
}

function namesAfter(folder: FolderNode, changes: readonly Change[]): Map<string, Node> {
  const names = new Map(folder.durable);
  for (const change of changes) {
    for (const part of change.parts) {
      if (part.folder !== folder) continue;
      if (part.node === undefined) names.delete(part.name);
      else names.set(part.name, part.node);
    }
  }
  return names;
}

function survivor(file: FileNode, choice: number): FileNode {
  const copy = new FileNode();
  const whole = file.volatile;
  const states = [
    new Uint8Array(0),
    whole.slice(0, Math.floor(whole.byteLength / 2)),
    new Uint8Array(whole.byteLength),
    whole,
  ];
  copy.durable = file.durable ?? states[choice] ?? whole;
  copy.volatile = new Uint8Array(copy.durable);
  return copy;
}
