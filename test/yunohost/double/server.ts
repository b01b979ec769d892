// One server of the double: its root folder, its clock, its log, and the points where faults strike. No command lives here.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { errnoOf } from './errors.ts';
import type { Log } from './output.ts';
import { Owners } from './owners.ts';

/** Called at every named point of a command; may kill, hang, slow down or throw. */
export type Strike = (point: string, detail?: { readonly path?: string; readonly app?: string }) => void;

export interface ServerOptions {
  readonly root: string;
  readonly nowMs?: () => number;
  readonly log?: Log;
  readonly strike?: Strike;
}

export class Server {
  readonly root: string;
  readonly log: Log;
  readonly strike: Strike;
  readonly nowMs: () => number;
  readonly owners: Owners;

  constructor(options: ServerOptions) {
    this.root = options.root;
    this.nowMs = options.nowMs ?? Date.now;
    this.log = options.log ?? (() => {});
    this.strike = options.strike ?? (() => {});
    this.owners = new Owners(options.root);
  }

  /** The real place of a path of the server: `/etc/yunohost` becomes ROOT/etc/yunohost. */
  path(virtual: string): string {
    return join(this.root, virtual);
  }

  /** A real path as the server itself would name it, for messages. */
  shown(real: string): string {
    return real.startsWith(`${this.root}/`) ? real.slice(this.root.length) : real;
  }

  has(virtual: string): boolean {
    return existsSync(this.path(virtual));
  }

  read(virtual: string): string {
    return readFileSync(this.path(virtual), 'utf8');
  }

  readOr(virtual: string, otherwise: string): string {
    return this.has(virtual) ? this.read(virtual) : otherwise;
  }

  /** Writes a file with its parent folders. */
  write(virtual: string, content: string | Uint8Array, mode = 0o644): void {
    const path = this.path(virtual);
    mkdirSync(dirname(path), { recursive: true });
    try {
      writeFileSync(path, content, { mode });
    } catch (error) {
      // Root may write to a file of mode 400; for anyone else it is made anew.
      if (errnoOf(error) !== 'EACCES') throw error;
      rmSync(path);
      writeFileSync(path, content, { mode });
    }
  }

  makeFolder(virtual: string, mode = 0o755): void {
    mkdirSync(this.path(virtual), { recursive: true, mode });
  }

  /** Whether the post-install was done (section 1). */
  get installed(): boolean {
    return this.has('/etc/yunohost/installed');
  }

  /** `20260131-235959`, UTC, as names of archives and operations are made (section 2). */
  stamp(): string {
    return new Date(this.nowMs()).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  }
}
