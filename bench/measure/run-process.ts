// Runs a command to its end and says what it cost; starts servers and says what they cost meanwhile.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isListening } from './ports.ts';
import { childrenCpuMs, resetPeak, treeCpuMs, treePeakBytes } from './proc.ts';
import { watchProcess } from './work-folder.ts';

const pollMsDefault = 20;
const timeLimitMs = 30 * 60_000;
const outputCharactersMax = 4_000_000;

/** What a command cost. */
export interface RunFigures {
  readonly wallMs: number;
  /** Of it and all that it started. */
  readonly cpuMs: number;
  readonly peakBytes: number;
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly folder?: string;
  readonly stdin?: string;
  /** How often its peak is looked at; the kernel keeps the peak, so that only what it starts and its last moments need it often. */
  readonly pollMs?: number;
  /** Exit codes that are no failure; 0 when left out. */
  readonly success?: readonly number[];
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (part: string) => {
    text = (text + part).slice(-outputCharactersMax);
  });
  return () => text;
}

/** Runs a command. CPU time is exact only while no other command of this process ends meanwhile. @throws when it fails. */
export async function runProcess(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunFigures> {
  const cpuBefore = childrenCpuMs();
  const start = performance.now();
  const child = watchProcess(
    spawn(command, args, {
      cwd: options.folder,
      env: { ...process.env, ...options.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: timeLimitMs,
      killSignal: 'SIGKILL',
    }),
  );
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin ?? '');
  let peakBytes = 0;
  const poll = (): void => {
    if (child.pid !== undefined) peakBytes = Math.max(peakBytes, treePeakBytes(child.pid));
  };
  const timer = setInterval(poll, options.pollMs ?? pollMsDefault);
  let wallMs = 0;
  child.once('exit', () => {
    wallMs = performance.now() - start;
  });
  let exitCode: number | null;
  try {
    [exitCode] = (await once(child, 'close')) as [number | null];
  } finally {
    clearInterval(timer);
  }
  const figures = {
    wallMs,
    cpuMs: childrenCpuMs() - cpuBefore,
    peakBytes,
    exitCode: exitCode ?? -1,
    stdout: stdout(),
    stderr: stderr(),
  };
  if ((options.success ?? [0]).includes(figures.exitCode)) return figures;
  const last = `${figures.stderr}\n${figures.stdout}`.trim().split('\n').slice(-8).join('\n');
  throw new Error(`${command} ${args.slice(0, 3).join(' ')} ended with ${figures.exitCode}:\n${last}`);
}

/** A server that runs beside the commands. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #logPath: string;
  #cpuMark = 0;

  private constructor(child: ChildProcess, logPath: string) {
    this.#child = child;
    this.#logPath = logPath;
  }

  /**
   * Starts a server and waits until it listens on `port`.
   * @param logPath gets what it prints. @param startedText is waited for there, too. @throws when it ends instead.
   */
  static async start(
    command: string,
    args: readonly string[],
    port: number,
    logPath: string,
    environment: Readonly<Record<string, string>> = {},
    startedText = '',
  ): Promise<ServerProcess> {
    const log = openSync(logPath, 'a');
    const child = watchProcess(
      spawn(command, args, { env: { ...process.env, ...environment }, stdio: ['ignore', log, log] }),
    );
    closeSync(log);
    child.on('error', () => undefined);
    const server = new ServerProcess(child, logPath);
    for (let attempt = 0; attempt < 600; attempt++) {
      if (child.exitCode !== null || child.pid === undefined) break;
      if ((await isListening(port)) && server.log.includes(startedText)) return server;
      await sleep(50);
    }
    child.kill('SIGKILL');
    throw new Error(`${command} ${args[0]} did not start:\n${readFileSync(logPath, 'utf8').slice(-2000)}`);
  }

  get id(): number {
    return this.#child.pid ?? 0;
  }

  get log(): string {
    return readFileSync(this.#logPath, 'utf8');
  }

  /** Starts counting CPU time and peak memory. */
  mark(): void {
    this.#cpuMark = treeCpuMs(this.id);
    resetPeak(this.id);
  }

  /** Since `mark`. */
  read(): { cpuMs: number; peakBytes: number } {
    return { cpuMs: treeCpuMs(this.id) - this.#cpuMark, peakBytes: treePeakBytes(this.id) };
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(timer);
  }
}
