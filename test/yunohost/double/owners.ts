// Who owns a file: real uids when we are root, otherwise a sidecar file in which a path without a line inherits its folder’s.
import { lchownSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { errnoOf } from './errors.ts';

export interface Owner {
  readonly userId: number;
  readonly groupId: number;
}

type Sidecar = Record<string, [number, number]>;

/** The owners of one server’s files. YUNOHOST_DOUBLE_SIDECAR=1 chooses the sidecar even for root. */
export class Owners {
  readonly #root: string;
  readonly #file: string;
  readonly real: boolean;

  constructor(root: string) {
    this.#root = root;
    this.#file = join(root, '.double', 'owners.json');
    this.real = process.getuid?.() === 0 && process.env['YUNOHOST_DOUBLE_SIDECAR'] !== '1';
  }

  #load(): Sidecar {
    try {
      return JSON.parse(readFileSync(this.#file, 'utf8')) as Sidecar;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return {};
      throw error;
    }
  }

  #save(sidecar: Sidecar): void {
    mkdirSync(dirname(this.#file), { recursive: true });
    writeFileSync(this.#file, JSON.stringify(sidecar));
  }

  /** Paths are kept as the server names them, so that a copied root keeps its owners. */
  #key(path: string): string {
    return path.startsWith(this.#root) ? path.slice(this.#root.length) : path;
  }

  #inherited(sidecar: Sidecar, key: string): [number, number] {
    for (let at = key; at !== '' && at !== '/'; at = dirname(at)) {
      const line = sidecar[at];
      if (line !== undefined) return line;
    }
    return [0, 0];
  }

  /** Answers many questions with one reading of the sidecar. */
  reader(): (path: string) => Owner {
    if (this.real) {
      return (path) => {
        const stat = lstatSync(path);
        return { userId: stat.uid, groupId: stat.gid };
      };
    }
    const sidecar = this.#load();
    return (path) => {
      const [userId, groupId] = this.#inherited(sidecar, this.#key(path));
      return { userId, groupId };
    };
  }

  get(path: string): Owner {
    return this.reader()(path);
  }

  /** Gives many paths their owners. */
  setAll(changes: Iterable<readonly [path: string, owner: Owner]>): void {
    if (this.real) {
      for (const [path, owner] of changes) lchownSync(path, owner.userId, owner.groupId);
      return;
    }
    const sidecar = this.#load();
    for (const [path, owner] of changes) {
      sidecar[this.#key(path)] = [owner.userId, owner.groupId];
    }
    this.#save(sidecar);
  }

  set(path: string, owner: Owner): void {
    this.setAll([[path, owner]]);
  }

  /** Follows a file or folder that was renamed (real uids follow by themselves). */
  moved(fromPath: string, toPath: string): void {
    if (this.real) return;
    const [from, to] = [this.#key(fromPath), this.#key(toPath)];
    const sidecar = this.#load();
    const kept = this.#inherited(sidecar, from);
    for (const path of Object.keys(sidecar)) if (path === to || path.startsWith(`${to}/`)) delete sidecar[path];
    for (const [path, line] of Object.entries(sidecar)) {
      if (!path.startsWith(`${from}/`)) continue;
      sidecar[to + path.slice(from.length)] = line;
      delete sidecar[path];
    }
    delete sidecar[from];
    sidecar[to] = kept;
    this.#save(sidecar);
  }

  /** Forgets a file or folder that was removed. */
  removed(path: string): void {
    if (this.real) return;
    const key = this.#key(path);
    const sidecar = this.#load();
    for (const known of Object.keys(sidecar)) if (known === key || known.startsWith(`${key}/`)) delete sidecar[known];
    this.#save(sidecar);
  }
}
