// Method `stream`: YunoHost collects, our hook hands its folder over, and the tar is made while the push reads it.

import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { toHex } from '../../bytes/hex.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import { systemErrorCode, withFsErrors } from '../../fs/map-fs-error.ts';
import { type ByteSource, StreamSource } from '../../sync/push/byte-source.ts';
import type { Created } from '../command/backup-commands.ts';
import { timerMsMax } from '../command/run-program.ts';
import { HookMeeting, installPushHook, pushMethod } from '../stream/push-hook.ts';
import { parseBackupCsv } from '../stream/read-backup-csv.ts';
import { type StreamWarning, streamTar, type TarStreamOptions } from '../stream/tar-stream.ts';
import { cleanLeftovers } from './clean-leftovers.ts';
import { requireRoom } from './disk-room.ts';
import {
  archiveDescription,
  attributesOf,
  type MadeArchive,
  missingParts,
  wantedOf,
  warningsOf,
} from './made-archive.ts';
import { bytesOfMib, explainFailure, runEnvironment } from './make-archive.ts';
import type { MakeRequest, NightContext } from './night-context.ts';
import type { NightTarget, YunohostTarget } from './night-target.ts';
import { parseInfo } from './prove-archive.ts';

/** After its hook was let go, YunoHost only cleans its folder. */
const endLimitMs = 10 * 60_000;
const warningsShownMax = 20;

const warningTexts: Record<StreamWarning['kind'], string> = {
  vanished: 'vanished while it was read: left out',
  shrank: 'became shorter while it was read: filled up with zeros',
  grew: 'became longer while it was read: cut',
  socket: 'is a socket: left out',
  unreadable: 'cannot be read',
};

/** Collects warnings up to a number that a mail can hold. */
export function collectWarnings(into: string[]): (warning: StreamWarning) => void {
  let count = 0;
  return ({ kind, path }) => {
    count++;
    if (count <= warningsShownMax) into.push(`${path} ${warningTexts[kind]}`);
    if (count === warningsShownMax + 1) into.push('… and more files that changed while they were read');
  };
}

const sourceOver = (name: string, bytes: AsyncIterable<Uint8Array>): ByteSource =>
  new StreamSource(name, Readable.from(bytes, { objectMode: false, highWaterMark: 1024 * 1024 }));

/** A source over a tar that is made while it is read. */
export const tarSource = (name: string, options: TarStreamOptions): ByteSource => sourceOver(name, streamTar(options));

/** Files change while they are read; what YunoHost collected for us does not, unless YunoHost gave up. */
function requireCollected(workFolder: string, { kind, path }: StreamWarning): void {
  if (kind !== 'vanished' || !path.startsWith(`${workFolder}/`)) return;
  throw new FallbackError('YUNOHOST_FAILED', `${path} vanished: YunoHost gave up while its files were read.`);
}

/** One `backup create` that runs beside us, and the ways to end it. */
class RunningBackup {
  readonly meeting: HookMeeting;
  readonly result: Promise<Created>;
  readonly #controller = new AbortController();
  readonly #context: NightContext;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(context: NightContext, target: YunohostTarget, meeting: HookMeeting) {
    this.#context = context;
    this.meeting = meeting;
    const signals = [this.#controller.signal, ...(context.signal === undefined ? [] : [context.signal])];
    this.result = context.yunohost.backups.create(
      { name: target.yunohostName, description: archiveDescription, method: pushMethod, ...wantedOf(target) },
      {
        // The upload takes as long as it takes: the limits below are set around it.
        timeLimitMs: Number.POSITIVE_INFINITY,
        signal: AbortSignal.any(signals),
        environment: { ...runEnvironment(context), ...meeting.environment },
      },
    );
    const over = (): void => {
      this.#isOver = true;
    };
    this.result.then(over, over);
  }

  limit(ms: number, what: string): void {
    clearTimeout(this.#timer);
    const error = new FallbackError(
      'YUNOHOST_TIMEOUT',
      `YunoHost took longer than ${Math.round(ms / 1000)} seconds ${what}, and was ended.`,
    );
    this.#timer = setTimeout(() => this.#controller.abort(error), Math.min(ms, timerMsMax));
  }

  unlimit(): void {
    clearTimeout(this.#timer);
  }

  /** Waits until the hook calls, or YunoHost ends without it. */
  async collected(): Promise<{ workFolder: string }> {
    const { configuration, signal } = this.#context;
    this.limit(configuration.yunohost.timeLimit + 2 * configuration.yunohost.lockTimeout, 'to collect an archive');
    const waiting = new AbortController();
    const signals = [waiting.signal, ...(signal === undefined ? [] : [signal])];
    try {
      const withoutHook = this.result.then((): never => {
        // Section 5 of the contract: a method without a hook counts as done.
        throw new FallbackError(
          'YUNOHOST_FAILED',
          'YunoHost reported success, but our hook never ran: nothing was saved.',
          {
            hint: 'Look at /etc/yunohost/hooks.d/backup_method/, or set push.method = "archive".',
          },
        );
      });
      const request = this.meeting.request(AbortSignal.any(signals));
      request.catch(() => undefined);
      return await Promise.race([request, withoutHook]);
    } finally {
      waiting.abort(new Error('no longer awaited'));
      this.unlimit();
    }
  }

  /**
   * Passes on what is read from the work folder, then lets the hook go. What YunoHost says after that is told by `end`.
   * @throws YUNOHOST_FAILED when YunoHost had not waited for the last byte: it empties its folder then, whatever was read.
   */
  async *whileCollected(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    yield* bytes;
    const isTooSoon = this.#isOver;
    const failure = await this.end('done').then(
      () => undefined,
      (error: unknown) => error,
    );
    if (!isTooSoon && (await this.meeting.wasHeard())) return;
    const said = failure instanceof Error ? `: ${failure.message}` : '.';
    throw new FallbackError('YUNOHOST_FAILED', `YunoHost ended before its files were read to their end${said}`, {
      ...(failure === undefined ? {} : { cause: failure }),
    });
  }

  async end(word: 'done' | 'failed'): Promise<void> {
    this.limit(endLimitMs, 'to clean up after an archive');
    try {
      await this.meeting.answer(word);
      await this.result.catch((error: unknown) => {
        if (word === 'done') throw error;
      });
    } finally {
      this.unlimit();
    }
  }
}

async function readWorkFolder(folder: string, name: string): Promise<{ csv: string; info: string }> {
  return await withFsErrors(`read what YunoHost collected for ${name}`, async () => ({
    csv: await readFile(join(folder, 'backup.csv'), 'utf8'),
    info: await readFile(join(folder, 'info.json'), 'utf8'),
  }));
}

/**
 * Has YunoHost collect one target, and gives its tar to be read: it exists nowhere but in what is read.
 * @throws what YunohostCommand throws, and YUNOHOST_FAILED when our hook did not run; nothing is left behind then.
 */
export async function streamArchive(target: YunohostTarget, { context }: MakeRequest): Promise<MadeArchive> {
  const { paths } = context.yunohost;
  requireRoom(
    paths.backups,
    0,
    bytesOfMib(context.configuration.push.reserveMib),
    await context.freeBytes(paths.homes),
  );
  await installPushHook(paths);
  const meeting = await HookMeeting.prepare(paths, toHex(context.session.environment.randomBytes(16)));
  const running = new RunningBackup(context, target, meeting);
  const discard = async (): Promise<void> => {
    await running.end('failed');
    await meeting.close();
    await cleanLeftovers(paths, target.yunohostName);
  };
  try {
    const { workFolder } = await running.collected();
    const { csv, info: infoText } = await readWorkFolder(workFolder, target.name);
    const rows = parseBackupCsv(csv);
    const info = parseInfo(infoText, target.name);
    if (!rows.some(({ dest }) => dest === 'info.json')) {
      throw new FallbackError('YUNOHOST_FAILED', `What YunoHost collected for ${target.name} has no info.json.`);
    }
    const accounts = await context.accounts();
    const warnings: string[] = [];
    const collect = collectWarnings(warnings);
    const onWarning = (warning: StreamWarning): void => {
      requireCollected(workFolder, warning);
      collect(warning);
    };
    const missing = missingParts(target, info);
    const collected = async function* (): AsyncGenerator<Uint8Array> {
      yield* running.whileCollected(streamTar({ rows, accounts, onWarning, signal: context.signal }));
      // YunoHost tells its results at its end. What it says instead of them is a warning of finish().
      const results = await running.result.then(
        (created) => created.results,
        () => undefined,
      );
      missing.splice(0, missing.length, ...missingParts(target, info, results));
    };
    return {
      target,
      missingParts: missing,
      get attributes() {
        return attributesOf(target, info, 'stream', missing);
      },
      warnings,
      open: async () => sourceOver(target.name, collected()),
      finish: async () => {
        await running.end('done');
        const { errors, results } = await running.result;
        warnings.push(...warningsOf(errors, results));
      },
      discard,
    };
  } catch (error) {
    await discard();
    throw explainFailure(error, target);
  }
}

type PathState = 'there' | 'link' | 'absent';

async function stateOf(path: string): Promise<PathState> {
  try {
    // With a slash at its end it would be what the link points to.
    return (await lstat(path.replace(/(.)\/+$/, '$1'))).isSymbolicLink() ? 'link' : 'there';
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return 'absent';
    throw error;
  }
}

/**
 * The archive of extra paths: made by us alone, without YunoHost.
 * @throws NOT_FOUND when none of them is there: an archive of nothing would pass for theirs.
 */
export async function streamFiles(
  target: Extract<NightTarget, { kind: 'files' }>,
  { context }: MakeRequest,
): Promise<MadeArchive> {
  const { configuration, yunohost, state } = context;
  const warnings: string[] = [];
  const onWarning = collectWarnings(warnings);
  const { paths } = yunohost;
  const states = new Map<string, PathState>();
  for (const path of target.paths) states.set(path, await stateOf(paths.at(path)));
  const held = target.paths.filter((path) => states.get(path) !== 'absent');
  const missing = target.paths.filter((path) => states.get(path) === 'absent');
  if (held.length === 0)
    throw new FallbackError('NOT_FOUND', `Nothing of extra.paths is there: ${missing.join(', ')}.`);
  for (const path of held) {
    if (states.get(path) === 'link') warnings.push(`${path} is a link: it is kept, and nothing of what it points to`);
  }
  const rows = held.map((path) => ({ source: paths.at(path), dest: path.replace(/^\/+/, '') || '.' }));
  // The key must not lie in the backup that it opens.
  const exclude = [...configuration.extra.exclude.map((path) => paths.at(path)), state.folder];
  const accounts = await context.accounts();
  return {
    target,
    missingParts: missing,
    attributes: { kind: 'files', method: 'stream', paths: held.join(' ').slice(0, 4000) },
    warnings,
    open: async () => tarSource(target.name, { rows, accounts, onWarning, exclude, signal: context.signal }),
    finish: async () => undefined,
    discard: async () => undefined,
  };
}
