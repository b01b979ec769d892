// Faults that a test orders: which call, at which point of it, what goes wrong. README.md has the table.
import { appendFileSync, existsSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { PythonCrash, YunohostError } from './errors.ts';
import { fileExists } from './files.ts';
import { Server, type Strike } from './server.ts';

export type FaultKind =
  | 'fail'
  | 'traceback'
  | 'hang'
  | 'slow'
  | 'hold'
  | 'kill'
  | 'app-fails'
  | 'no-space'
  | 'vanish'
  | 'shrink'
  | 'grow'
  | 'junk'
  | 'no-json'
  | 'exit-code';

export interface Fault {
  /** Regular expression on the command’s words without global options, e.g. `^backup create .*--apps wiki`. */
  readonly match: string;
  readonly kind: FaultKind;
  /** Named point of the command; each kind has a usual one. */
  readonly at?: string;
  /** Only at the nth matching call, from 1; every one when left out. */
  readonly nth?: number;
  /** At the nth time that the point is reached within the call, from 1. */
  readonly hit?: number;
  /** Only for this app, at points that concern one. */
  readonly app?: string;
  /** Only at points whose path matches this regular expression. */
  readonly path?: string;
  /** The file to vanish, shrink, grow, or hold the call, as the server names it; the point’s own path when left out. */
  readonly file?: string;
  readonly message?: string;
  /** What is printed in place of JSON. */
  readonly text?: string;
  readonly ms?: number;
  readonly code?: number;
}

const file = '/.double/faults.json';
const countsFile = '/.double/fault-counts.json';

const usualPoint: Partial<Record<FaultKind, readonly string[]>> = {
  'app-fails': ['collect-app', 'restore-script'],
  'no-space': ['archive-content'],
  vanish: ['archive-member'],
  shrink: ['archive-content'],
  grow: ['archive-content'],
};

/** Orders faults for all coming calls in a root, replacing the ones before; an empty list clears them. */
export function setFaults(root: string, faults: readonly Fault[]): void {
  const server = new Server({ root });
  server.write(file, JSON.stringify(faults));
  server.write(countsFile, '{}');
}

const forEverMs = 2 ** 31;

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Errno 28 at a chosen point: the archive stays truncated, as on a disk that is really full. */
const noSpace = () => new PythonCrash('OSError', '[Errno 28] No space left on device');

interface Armed {
  readonly fault: Fault;
  hits: number;
}

/** The faults of one call. */
export class Faults {
  readonly #server: Server;
  readonly #armed: Armed[] = [];
  readonly #ending: Fault[] = [];

  constructor(root: string, words: string) {
    this.#server = new Server({ root });
    const ordered = [
      ...(JSON.parse(this.#server.readOr(file, '[]')) as Fault[]),
      ...(JSON.parse(process.env['YUNOHOST_DOUBLE_FAULTS'] ?? '[]') as Fault[]),
    ];
    if (ordered.length === 0) return;
    const counts = JSON.parse(this.#server.readOr(countsFile, '{}')) as Record<string, number>;
    let isCounted = false;
    for (const [index, fault] of ordered.entries()) {
      if (!new RegExp(fault.match).test(words)) continue;
      const count = (counts[index] ?? 0) + 1;
      counts[index] = count;
      isCounted = true;
      if (fault.nth !== undefined && fault.nth !== count) continue;
      if (['junk', 'no-json', 'exit-code'].includes(fault.kind)) this.#ending.push(fault);
      else this.#armed.push({ fault, hits: 0 });
    }
    if (!isCounted) return;
    // Another call may be reading them at this moment.
    const part = `${countsFile}.${process.pid}`;
    this.#server.write(part, JSON.stringify(counts));
    renameSync(this.#server.path(part), this.#server.path(countsFile));
  }

  readonly strike: Strike = (point, detail) => {
    for (const armed of this.#armed) {
      const { fault } = armed;
      const points = fault.at === undefined ? (usualPoint[fault.kind] ?? ['start']) : [fault.at];
      if (!points.includes(point)) continue;
      if (fault.app !== undefined && fault.app !== detail?.app) continue;
      if (fault.path !== undefined && !new RegExp(fault.path).test(detail?.path ?? '')) continue;
      armed.hits += 1;
      if (armed.hits === (fault.hit ?? 1)) this.#do(fault, fault.file ?? detail?.path);
    }
  };

  #do(fault: Fault, target: string | undefined): void {
    const path = target === undefined ? '/nonexistent' : this.#server.path(target);
    const deeds: Partial<Record<FaultKind, () => void>> = {
      hang: () => sleep(forEverMs),
      slow: () => sleep(fault.ms ?? 1000),
      hold: () => {
        while (existsSync(path)) sleep(20);
      },
      kill: () => {
        process.kill(process.pid, 'SIGKILL');
        sleep(forEverMs);
      },
      vanish: () => rmSync(path, { recursive: true, force: true }),
      shrink: () => fileExists(path) && truncateSync(path, 0),
      grow: () => fileExists(path) && appendFileSync(path, 'more\n'.repeat(2000)),
    };
    deeds[fault.kind]?.();
    if (fault.kind === 'no-space') throw noSpace();
    if (fault.kind === 'traceback') throw new PythonCrash('RuntimeError', fault.message ?? 'ordered by a test');
    if (fault.kind === 'fail' || fault.kind === 'app-fails') {
      throw new YunohostError(fault.message ?? 'Something unexpected went wrong: ordered by a test');
    }
  }

  /** What is printed in place of the result, if a fault says so. */
  result(json: string): string {
    const fault = this.#ending.find((one) => one.kind === 'junk' || one.kind === 'no-json');
    if (fault === undefined) return json;
    return fault.kind === 'no-json' ? '' : `${fault.text ?? '{"name": "nightly", "resul\u0000\u0001<html>'}\n`;
  }

  exitCode(code: number): number {
    return this.#ending.find((one) => one.kind === 'exit-code')?.code ?? code;
  }
}
