// Runs the real command as a process, for the demo and the benchmarks.
import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { freePort } from './measure/ports.ts';

const launcher = join(dirname(dirname(fileURLToPath(import.meta.url))), 'bin', 'fallback');

/** What a finished command printed. */
export interface CommandResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of stdout as JSON, when it is that. */
  readonly json: unknown;
}

function lastJson(stdout: string): unknown {
  const line = stdout.trimEnd().split('\n').at(-1) ?? '';
  try {
    return JSON.parse(line.startsWith('{') || line.startsWith('[') ? line : stdout);
  } catch {
    return undefined;
  }
}

/** Runs `fallback ARGS…` to its end, whatever it exits with. @param onStart is given the process. */
export async function tryCommand(
  args: readonly string[],
  onStart: (child: ChildProcess) => void = () => undefined,
): Promise<CommandResult> {
  const child = spawn(launcher, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  onStart(child);
  const exit = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { exitCode: code, stdout, stderr, json: lastJson(stdout) };
}

/** Runs `fallback ARGS…` to its end. @throws when it does not exit with 0, with what it printed. */
export async function runCommand(args: readonly string[]): Promise<CommandResult> {
  const result = await tryCommand(args);
  const { exitCode, stdout, stderr } = result;
  if (exitCode !== 0) throw new Error(`fallback ${args[0] ?? ''} exited with ${exitCode}:\n${stderr}${stdout}`);
  return result;
}

/** A running `fallback serve`. */
export interface ServeProcess {
  readonly folder: string;
  /** HOST:PORT on loopback. */
  readonly address: string;
  readonly process: ChildProcess;
  /** Kills it with SIGKILL and waits for its end. */
  kill(): Promise<void>;
  /** Stops it with SIGTERM and waits for its end. @throws when it does not exit with 0. */
  stop(): Promise<void>;
}

/** Starts a server on loopback, with its store in `folder`, and waits until it listens. @param port a free one when left out. */
export async function startServe(folder: string, args: readonly string[] = [], port?: number): Promise<ServeProcess> {
  const address = `127.0.0.1:${port ?? (await freePort())}`;
  const child = spawn(launcher, ['serve', '--dir', folder, '--listen', address, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  await new Promise<void>((resolve, reject) => {
    const look = (bytes: Buffer): void => {
      printed += bytes.toString();
      if (printed.includes(address)) resolve();
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    void ended.then((code) => reject(new Error(`fallback serve exited with ${code}:\n${printed}`)));
  });
  let stopping: Promise<void> | undefined;
  return {
    folder,
    address,
    process: child,
    async kill() {
      stopping ??= Promise.resolve();
      child.kill('SIGKILL');
      await ended;
    },
    stop() {
      stopping ??= (async () => {
        child.kill('SIGTERM');
        const code = await ended;
        if (code !== 0) throw new Error(`fallback serve exited with ${code}:\n${printed}`);
      })();
      return stopping;
    },
  };
}
