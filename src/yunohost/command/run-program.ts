// Runs one program in a process group of its own, with a limit on time and on what it prints.
// Ends the whole group: SIGINT first (YunoHost then gives its lock back), SIGTERM, SIGKILL.
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { FallbackError } from '../../errors/fallback-error.ts';
import { systemErrorCode } from '../../fs/map-fs-error.ts';

export interface ProgramRequest {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Undefined: as long as it takes. */
  readonly timeLimitMs?: number | undefined;
  /** Ends the program; its reason is what is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each line as it comes. */
  readonly onLine?: ((stream: 'stdout' | 'stderr', line: string) => void) | undefined;
  /** Written to its stdin, which is empty otherwise. */
  readonly input?: string | undefined;
}

export interface ProgramResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly endSignal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
  /** Something was cut off from what it printed. */
  readonly isCut: boolean;
}

const stdoutBytesMax = 64 * 1024 * 1024;
const stderrBytesMax = 1024 * 1024;
/** How long the group may take to end after each signal, in milliseconds. */
const graceMs = { SIGINT: 10_000, SIGTERM: 5_000 } as const;
/** How long to wait for what a finished program left in its pipes; a service that it started may hold them open for ever. */
const drainMs = 2_000;
/** Node's timers hold 2^31-1 ms, which is 24 days; one that is set to more fires at once. */
export const timerMsMax = 2 ** 31 - 1;

/** Collects a stream's text up to a limit, and hands on its lines. */
class Collected {
  readonly #bytesMax: number;
  readonly #onLine: (line: string) => void;
  readonly #parts: string[] = [];
  #bytes = 0;
  #rest = '';
  isCut = false;

  constructor(stream: Readable, bytesMax: number, onLine: (line: string) => void) {
    this.#bytesMax = bytesMax;
    this.#onLine = onLine;
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => this.#take(text));
    stream.on('error', () => undefined);
  }

  #take(text: string): void {
    this.#parts.push(text);
    this.#bytes += text.length;
    // The end says what happened: what is too much is dropped from the front.
    while (this.#bytes > this.#bytesMax && this.#parts.length > 1) {
      this.#bytes -= this.#parts.shift()?.length ?? 0;
      this.isCut = true;
    }
    const lines = (this.#rest + text).split('\n');
    this.#rest = (lines.pop() ?? '').slice(-65_536);
    for (const line of lines) this.#onLine(line);
  }

  get text(): string {
    return this.#parts.join('');
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone.
  }
}

function isGroupAlive(child: ChildProcess): boolean {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 0);
    return child.pid !== undefined;
  } catch {
    return false;
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Ends a group, gently first. Resolves when no member is left, or after SIGKILL. */
async function endGroup(child: ChildProcess): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    signalGroup(child, signal);
    for (let waitedMs = 0; waitedMs < graceMs[signal]; waitedMs += 50) {
      if (!isGroupAlive(child)) return;
      await pause(50);
    }
  }
  signalGroup(child, 'SIGKILL');
}

/** Resolves when the program has ended and its pipes are empty, or did not close in time. */
function ended(child: ChildProcess): Promise<{ exitCode: number | null; endSignal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (exitCode, endSignal) => {
      const settle = (): void => resolve({ exitCode, endSignal });
      const timer = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
        settle();
      }, drainMs);
      child.once('close', () => {
        clearTimeout(timer);
        settle();
      });
    });
  });
}

const timedOut = ({ program, args }: ProgramRequest, limitMs: number): FallbackError =>
  new FallbackError(
    'YUNOHOST_TIMEOUT',
    `${[program, ...args].join(' ')} took longer than ${Math.round(limitMs / 1000)} seconds and was ended.`,
  );

/** What a root shell has: YunoHost and its apps rely on it, and would lay down services' files that only root can read. */
const ordinaryUmask = 0o022;

/** Starts it with the umask of a root shell; ours keeps what we write ourselves to root. */
function start(request: ProgramRequest): ChildProcess {
  const own = process.umask(ordinaryUmask);
  try {
    return spawn(request.program, request.args, {
      env: { ...request.environment },
      stdio: [request.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      // A group of its own: a Ctrl-C on our terminal reaches us, and we end it in order.
      detached: true,
    });
  } finally {
    process.umask(own);
  }
}

/**
 * Runs a program to its end.
 * @throws YUNOHOST_MISSING when there is no such program, YUNOHOST_TIMEOUT, IO, and the signal's reason.
 */
export async function runProgram(request: ProgramRequest): Promise<ProgramResult> {
  request.signal?.throwIfAborted();
  const startedMs = performance.now();
  const child = start(request);
  const stop = watchLimits(child, request);
  try {
    const { stdout, stderr } = child;
    if (stdout === null || stderr === null) throw new Error('a program was started without pipes');
    const out = new Collected(stdout, stdoutBytesMax, (line) => request.onLine?.('stdout', line));
    const errors = new Collected(stderr, stderrBytesMax, (line) => request.onLine?.('stderr', line));
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(request.input);
    const end = await ended(child);
    if (stop.reason !== undefined) throw stop.reason;
    return {
      ...end,
      stdout: out.text,
      stderr: errors.text,
      durationMs: performance.now() - startedMs,
      isCut: out.isCut || errors.isCut,
    };
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'EACCES') {
      throw new FallbackError('YUNOHOST_MISSING', `${request.program} cannot be run on this machine.`, {
        cause: error,
      });
    }
    throw error;
  } finally {
    await stop.end();
  }
}

/** Ends the group when the time is up or the signal comes. */
function watchLimits(child: ChildProcess, request: ProgramRequest): { reason: unknown; end(): Promise<void> } {
  let ending: Promise<void> | undefined;
  const watch = {
    reason: undefined as unknown,
    end: async (): Promise<void> => {
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', onAbort);
      await ending;
    },
  };
  const endFor = (reason: unknown): void => {
    if (ending !== undefined) return;
    watch.reason = reason;
    ending = endGroup(child);
  };
  const onAbort = (): void => endFor(request.signal?.reason);
  request.signal?.addEventListener('abort', onAbort, { once: true });
  const limitMs = request.timeLimitMs;
  const timer =
    limitMs === undefined
      ? undefined
      : setTimeout(() => endFor(timedOut(request, limitMs)), Math.min(limitMs, timerMsMax));
  return watch;
}
