// One call of `yunohost`: fixed global options, the lock waited for, time limited, the answer read, failures told apart.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { HostPaths } from './host-paths.ts';
import { findTraceback, type LogLine, readAnswer, readErrors, readLogLine } from './read-answer.ts';
import { type ProgramResult, runProgram } from './run-program.ts';

export interface YunohostOptions {
  /** Absolute path of the program. */
  readonly program: string;
  readonly paths: HostPaths;
  /** Its environment; the locale is set here. Hooks inherit it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** How long YunoHost waits for its own lock, in seconds. */
  readonly lockTimeoutSeconds?: number;
}

export interface CallOptions {
  /** For the work itself, in milliseconds; the wait for the lock comes on top. Undefined: 15 minutes; Infinity: no limit. */
  readonly timeLimitMs?: number;
  /** Ends the call: SIGINT, SIGTERM, SIGKILL to its process group. What it leaves is the caller's to clean. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each line as it comes, for progress. */
  readonly onLine?: (line: LogLine) => void;
  /** Added to the environment, which hooks inherit. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** What a call gave that ended with exit code 0. */
export interface YunohostAnswer {
  readonly json: unknown;
  readonly hasJson: boolean;
  /** What it said on stdout before the result. */
  readonly log: readonly LogLine[];
  /** Its last lines on stderr: warnings and errors. */
  readonly errors: readonly LogLine[];
  readonly durationMs: number;
}

/** Why a call failed. `answer`: exit code 0, but no result that can be understood. */
export type YunohostFailureReason = 'refused' | 'crashed' | 'usage' | 'not-installed' | 'answer' | 'killed';

/** The facts in the `details` of a YUNOHOST_FAILED error. */
export interface YunohostFailure {
  readonly command: string;
  readonly reason: YunohostFailureReason;
  readonly exitCode: number | null;
  /** Its last lines on stderr, without levels. */
  readonly errors: readonly string[];
  /** The last line of the traceback: `StopIteration`. */
  readonly traceback?: string;
  /** YunoHost's name of the operation's log, when it said one. */
  readonly operationLog?: string;
}

export const lockTimeoutSecondsDefault = 7200;
const timeLimitMsDefault = 15 * 60_000;
const errorLinesMax = 40;
const lockBusy = /already a YunoHost operation running/i;
const notInstalled = /YunoHost is not correctly installed/i;
const noSpace = /No space left on device|Not enough (free )?space|Disk quota exceeded/i;

/** The failure's facts, when `error` is one of a `yunohost` call that ended by itself. */
export function yunohostFailure(error: unknown): YunohostFailure | undefined {
  if (!(error instanceof FallbackError)) return undefined;
  const { command, reason, exitCode, errors, traceback, operationLog } = error.details;
  if (typeof command !== 'string' || typeof reason !== 'string') return undefined;
  return {
    command,
    reason: reason as YunohostFailureReason,
    exitCode: typeof exitCode === 'number' ? exitCode : null,
    errors: Array.isArray(errors) ? errors.map(String) : [],
    ...(typeof traceback === 'string' ? { traceback } : {}),
    ...(typeof operationLog === 'string' ? { operationLog } : {}),
  };
}

/** Runs `yunohost` commands. Everything typed is in yunohost-command.ts; this is the one way down to the program. */
export class YunohostRunner {
  readonly options: YunohostOptions;

  constructor(options: YunohostOptions) {
    this.options = options;
  }

  get paths(): HostPaths {
    return this.options.paths;
  }

  /**
   * Runs `yunohost WORDS` and reads its answer; once more when the lock did not become free.
   * @throws YUNOHOST_FAILED (see YunohostFailure), YUNOHOST_BUSY, YUNOHOST_TIMEOUT, YUNOHOST_MISSING, DISK_FULL, the signal's reason.
   */
  async run(words: readonly string[], options: CallOptions = {}): Promise<YunohostAnswer> {
    const first = await this.#call(words, options);
    const result = isLockBusy(first) ? await this.#call(words, options) : first;
    if (isLockBusy(result)) throw busy(words, this.#lockTimeoutSeconds);
    return judge(words, result);
  }

  get #lockTimeoutSeconds(): number {
    return this.options.lockTimeoutSeconds ?? lockTimeoutSecondsDefault;
  }

  async #call(words: readonly string[], options: CallOptions): Promise<ProgramResult> {
    const limitMs = options.timeLimitMs ?? timeLimitMsDefault;
    const { onLine } = options;
    return await runProgram({
      program: this.options.program,
      // Global options behind the words: `--system` and `--apps` take all that follows up to the next option.
      args: [...words, '--output-as', 'json', '--timeout', String(this.#lockTimeoutSeconds)],
      environment: { ...this.options.environment, ...options.environment, LC_ALL: 'C.UTF-8', LANG: 'C.UTF-8' },
      timeLimitMs: Number.isFinite(limitMs) ? limitMs + this.#lockTimeoutSeconds * 1000 : undefined,
      signal: options.signal,
      onLine: onLine === undefined ? undefined : (_, line) => onLine(readLogLine(line)),
    });
  }
}

const isLockBusy = (result: ProgramResult): boolean => result.exitCode !== 0 && lockBusy.test(result.stderr);

/** The words that name the command: `backup create`. */
const commandOf = (words: readonly string[]): string =>
  words
    .slice(
      0,
      words.findIndex((word, index) => index > 0 && (word.startsWith('-') || index > 2)),
    )
    .join(' ') || words.join(' ');

function busy(words: readonly string[], seconds: number): FallbackError {
  return new FallbackError(
    'YUNOHOST_BUSY',
    `YunoHost was busy with another operation for more than ${2 * seconds} seconds: yunohost ${commandOf(words)} did not run.`,
  );
}

function judge(words: readonly string[], result: ProgramResult): YunohostAnswer {
  const { json, hasJson, log } = readAnswer(result.stdout);
  const errors = readErrors(result.stderr, errorLinesMax);
  if (result.exitCode === 0) return { json, hasJson, log, errors, durationMs: result.durationMs };
  const command = commandOf(words);
  const traceback = findTraceback(result.stderr);
  const shown = [...errors.filter(({ level }) => level === 'ERROR'), ...errors].map(({ text }) => text);
  if (noSpace.test(result.stderr)) {
    throw new FallbackError('DISK_FULL', `yunohost ${command} found the disk full: ${shown[0] ?? ''}`, {
      details: { command, reason: 'refused', exitCode: result.exitCode, errors: errors.map(({ text }) => text) },
    });
  }
  const reason = reasonOf(result, traceback);
  const facts: YunohostFailure = {
    command,
    reason,
    exitCode: result.exitCode,
    errors: errors.map(({ text }) => text),
    ...(traceback === undefined ? {} : { traceback }),
    ...operationLogOf([...log, ...errors]),
  };
  throw new FallbackError(
    'YUNOHOST_FAILED',
    `yunohost ${command} ${describe(reason, result, traceback, shown[0] ?? log.at(-1)?.text)}`,
    { details: { ...facts } },
  );
}

function reasonOf({ exitCode, stdout, stderr }: ProgramResult, traceback: string | undefined): YunohostFailureReason {
  if (exitCode === null) return 'killed';
  if (notInstalled.test(stdout) || notInstalled.test(stderr)) return 'not-installed';
  if (traceback !== undefined) return 'crashed';
  return exitCode === 2 ? 'usage' : 'refused';
}

function describe(
  reason: YunohostFailureReason,
  { exitCode, endSignal }: ProgramResult,
  traceback: string | undefined,
  said: string | undefined,
): string {
  if (reason === 'killed') return `was ended by ${endSignal ?? 'a signal'}.`;
  if (reason === 'not-installed') return 'says that YunoHost is not installed yet: its post-install was not run.';
  if (reason === 'crashed') return `crashed: ${traceback ?? ''}.`;
  return `failed (exit code ${exitCode}): ${said ?? 'it gave no reason'}`;
}

/** `yunohost log show 20260131-010203-backup_create`: the name that a failure points to. */
function operationLogOf(lines: readonly LogLine[]): { operationLog?: string } {
  for (const { text } of lines) {
    const name = /log (?:show|display|share) '?([\w.-]*\d{8}-\d{6}-[\w.-]+)/.exec(text)?.[1];
    if (name !== undefined) return { operationLog: name };
  }
  return {};
}
