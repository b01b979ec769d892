// The bench's own temporary folder and processes: both are gone when it ends, however it ends.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folders = new Set<string>();
const processes = new Set<ChildProcess>();

/** Ends what is left at once: for the way out. */
export function endEverything(): void {
  for (const child of processes) child.kill('SIGKILL');
  processes.clear();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  folders.clear();
}

/** Has everything ended when the process is told to go, and when it goes. */
export function endEverythingAtExit(): void {
  process.on('exit', endEverything);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      endEverything();
      process.exit(1);
    });
  }
}

/** Remembers a process until it ends. */
export function watchProcess<Child extends ChildProcess>(child: Child): Child {
  processes.add(child);
  child.once('exit', () => processes.delete(child));
  return child;
}

let shared: string | undefined;

/** A folder that lasts as long as the process: what every run may find warm, as on a machine where the command is used daily. */
export function sharedFolder(): string {
  if (shared === undefined) {
    shared = mkdtempSync(join(tmpdir(), 'fallback-bench-'));
    folders.add(shared);
  }
  return shared;
}

/** A temporary folder; `await using` removes it. */
export class WorkFolder implements AsyncDisposable {
  readonly path: string;
  #count = 0;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<WorkFolder> {
    const path = await mkdtemp(join(tmpdir(), 'fallback-bench-'));
    folders.add(path);
    return new WorkFolder(path);
  }

  /** A new empty folder in it. */
  async folder(name: string): Promise<string> {
    const path = join(this.path, `${this.#count++}-${name}`);
    await mkdir(path, { recursive: true });
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true, maxRetries: 3 });
    folders.delete(this.path);
  }
}
