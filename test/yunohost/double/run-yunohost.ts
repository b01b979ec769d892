// Calls the double as the product does, in a process of its own, for tests.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Path of the program that stands for `yunohost`. */
export const yunohostDouble = join(dirname(fileURLToPath(import.meta.url)), 'yunohost');

/** Path of the `chown` that knows the accounts of a double’s root. */
export const chownDouble = join(dirname(fileURLToPath(import.meta.url)), 'chown');

export interface Ran {
  /** Exit code, or null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of stdout, parsed; undefined when it is no JSON. */
  readonly json: unknown;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Kills the call as soon as this holds, by SIGKILL unless another signal is named. */
  readonly killWhen?: () => boolean;
  readonly killSignal?: NodeJS.Signals;
  readonly program?: string;
}

const pollMs = 20;

function lastLineJson(stdout: string): unknown {
  try {
    return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
  } catch {
    return undefined;
  }
}

/** Runs `yunohost ARGS` on the server under `root`. */
export function runYunohost(root: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = spawn(options.program ?? yunohostDouble, args, {
    env: { ...process.env, LC_ALL: 'C.UTF-8', YUNOHOST_DOUBLE_ROOT: root, ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { killWhen, killSignal = 'SIGKILL' } = options;
  const timer = setInterval(() => {
    if (killWhen?.() !== true) return;
    clearInterval(timer);
    child.kill(killSignal);
  }, pollMs);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearInterval(timer);
      resolve({ code, signal, stdout, stderr, json: lastLineJson(stdout) });
    });
  });
}
