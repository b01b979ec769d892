// What every takeover operation needs of the machine it runs on. The commands build the real one; tests build theirs.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { Epoch } from '../../format/ids.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { RepositoryWriter } from '../../store/repository-store.ts';
import { newPushCounters } from '../../sync/push/push-counters.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { runProgram } from '../command/run-program.ts';
import type { YunohostCommand } from '../command/yunohost-command.ts';
import type { CallOptions } from '../command/yunohost-runner.ts';
import type { Configuration } from '../configuration/schema.ts';
import { endOrphans } from '../night/clean-leftovers.ts';
import type { NightContext } from '../night/night-context.ts';
import { readAccountNames } from '../stream/account-names.ts';

/** What happens, in a sentence, for people. */
export interface TakeoverEvent {
  readonly level: 'step' | 'warning';
  readonly text: string;
}

export interface TakeoverHost {
  readonly yunohost: YunohostCommand;
  readonly configuration: Configuration;
  /** This machine's folder of fallback, its lock held by the caller. */
  readonly stateFolder: string;
  readonly fs: FileSystem;
  /** Absolute path of `chown`. */
  readonly chown: string;
  /** For programs other than `yunohost`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  nowMs(): number;
  monotonicMs(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Who owns a path, by number; undefined when it is not there. */
  ownerOf(path: string): Promise<{ readonly userId: number; readonly groupId: number } | undefined>;
  /** Bytes free at a path, or at its nearest folder that exists. */
  freeBytes(path: string): Promise<number>;
  readonly signal?: AbortSignal | undefined;
  onEvent?(event: TakeoverEvent): void;
}

/** The variable by which a `yunohost` that a takeover started is known after the takeover was killed: its state folder. */
const takeoverVariable = 'FALLBACK_TAKEOVER_OF';

/** Options for a call of `yunohost` that may take long. */
export const longCall = (host: TakeoverHost): CallOptions => ({
  timeLimitMs: host.configuration.yunohost.timeLimit,
  signal: host.signal,
  environment: { [takeoverVariable]: host.stateFolder },
});

function isOurs(pid: string, stateFolder: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${takeoverVariable}=${stateFolder}`);
  } catch {
    return false;
  }
}

/**
 * Waits until the commands that a killed takeover left running have ended: a restore that is cut off is worse than one that
 * ends, and none of them may meet us at work. Backups are ended instead: nothing is lost with them.
 * @throws YUNOHOST_TIMEOUT.
 */
export async function settleOrphans(host: TakeoverHost): Promise<void> {
  await endOrphans(host.stateFolder);
  const limitMs = host.monotonicMs() + host.configuration.yunohost.timeLimit;
  const running = (): string[] =>
    existsSync('/proc/self')
      ? readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && isOurs(pid, host.stateFolder))
      : [];
  for (let isTold = false; running().length > 0; isTold = true) {
    if (!isTold) tell(host, 'waiting for a YunoHost command that an interrupted run began');
    if (host.monotonicMs() > limitMs) {
      throw new FallbackError(
        'YUNOHOST_TIMEOUT',
        `A YunoHost command of an interrupted run does not end: process ${running().join(', ')}.`,
      );
    }
    await host.sleep(200, host.signal);
  }
}

const shortCallMsMax = 5 * 60_000;

/** Options for a call that is over soon. */
export const shortCall = (host: TakeoverHost): CallOptions => ({
  timeLimitMs: Math.min(shortCallMsMax, host.configuration.yunohost.timeLimit),
  signal: host.signal,
});

/** Tells what is done now. */
export const tell = (host: TakeoverHost, text: string): void => host.onEvent?.({ level: 'step', text });

/** Tells what must not be overlooked. */
export const warn = (host: TakeoverHost, text: string): void => host.onEvent?.({ level: 'warning', text });

/** Runs a small program of the system. @returns whether it ended well, and its last words otherwise. */
export async function runSmall(
  host: TakeoverHost,
  program: string,
  args: readonly string[],
  timeLimitMs = 10 * 60_000,
): Promise<string | undefined> {
  const { exitCode, stderr } = await runProgram({
    program,
    args,
    environment: host.environment,
    timeLimitMs,
    signal: host.signal,
  });
  return exitCode === 0 ? undefined : (stderr.trim().split('\n').at(-1) ?? `exit code ${exitCode}`);
}

/** The context in which the nightly code makes an archive. */
export function nightContextOf(
  host: TakeoverHost,
  session: RepositorySession<RepositoryWriter>,
  epoch: Epoch,
): NightContext {
  const { stateFolder } = host;
  return {
    session,
    yunohost: host.yunohost,
    configuration: host.configuration,
    state: {
      folder: stateFolder,
      indexPath: `${stateFolder}/takeover-index`,
      spoolPath: `${stateFolder}/takeover-heal-spool`,
    },
    epoch,
    counters: newPushCounters(),
    freeBytes: (path) => host.freeBytes(path),
    accounts: () => readAccountNames(host.yunohost.paths),
    localMinute: () => 0,
    monotonicMs: () => host.monotonicMs(),
    isScheduled: false,
    signal: host.signal,
  };
}
