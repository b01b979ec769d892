// Where results, notes and warnings go: results to stdout, everything else to stderr. A reader that went away is no error;
// a disk that is full is.
import { toHex } from '../bytes/hex.ts';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import { mapFsError, systemErrorCode } from '../fs/map-fs-error.ts';
import type { World } from './world.ts';

/** What went wrong with a stream first; a reader that went away (EPIPE) is kept too. */
const failures = new WeakMap<NodeJS.WriteStream, Error>();

/** Keeps what goes wrong with stdout and stderr, instead of ending the run. Once a process. */
export function watchStreams({ stdout, stderr }: OutputWorld): void {
  for (const stream of [stdout, stderr]) {
    stream.on('error', (error: Error) => {
      if (!failures.has(stream)) failures.set(stream, error);
    });
  }
}

/**
 * What kept a result from being written: a full disk behind stdout, for instance. A reader that went away (`| head`) is none: what it
 * does not read is dropped.
 */
export function failureOfStdout({ stdout }: Pick<World, 'stdout'>): FallbackError | undefined {
  const failure = failures.get(stdout);
  if (failure === undefined || systemErrorCode(failure) === 'EPIPE') return undefined;
  const error = mapFsError(failure, 'write to stdout');
  return isFallbackError(error) ? error : new FallbackError('IO', 'Could not write to stdout.', { cause: failure });
}

type OutputWorld = Pick<World, 'stdout' | 'stderr'>;

export interface OutputMode {
  /** Objects for machines instead of text. */
  readonly json: boolean;
  /** Nothing but warnings and errors. */
  readonly quiet: boolean;
}

/** Bytes as hexadecimal; the rest as JSON has it. */
function replacer(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? toHex(value) : value;
}

/** What a command says. */
export class Output {
  readonly mode: OutputMode;
  readonly #world: OutputWorld;
  #beforeLine: () => void = () => undefined;

  constructor(world: OutputWorld, mode: OutputMode) {
    this.#world = world;
    this.mode = mode;
  }

  /** Whether somebody still reads stdout: a long listing may stop when nobody does. */
  get isRead(): boolean {
    return !this.#world.stdout.destroyed && this.#world.stdout.writable;
  }

  /** One line of a result, for people. */
  line(text = ''): void {
    if (this.mode.json || this.mode.quiet) return;
    this.#write(this.#world.stdout, `${text}\n`);
  }

  lines(texts: Iterable<string>): void {
    for (const text of texts) this.line(text);
  }

  /** One object for machines, on a line of its own. */
  json(value: object): void {
    if (this.mode.json) this.#write(this.#world.stdout, `${JSON.stringify(value, replacer)}\n`);
  }

  /** What must be printed whatever the mode: a script, a pairing code. */
  raw(text: string): void {
    this.#write(this.#world.stdout, text);
  }

  /** Something worth knowing that is no result. */
  note(text: string): void {
    if (!this.mode.json && !this.mode.quiet) this.#write(this.#world.stderr, `${text}\n`);
  }

  /** Something that must not be overlooked; with --json it belongs into the object instead. */
  warn(text: string): void {
    if (!this.mode.json) this.#write(this.#world.stderr, `fallback: warning: ${text}\n`);
  }

  /** Called before each line, so that a progress line is out of the way; undefined ends that. */
  setBeforeLine(action: (() => void) | undefined): void {
    this.#beforeLine = action ?? (() => undefined);
  }

  /** Waits until all was handed to the system; resolves as well when nobody reads it. */
  async flush(): Promise<void> {
    for (const stream of [this.#world.stdout, this.#world.stderr]) {
      if (stream.destroyed || !stream.writable) continue;
      await new Promise<void>((resolve) => {
        stream.once('close', resolve);
        stream.write('', () => resolve());
      });
    }
  }

  /** Waits until the reader of stdout has taken most of what was written: a long listing must not gather in memory. */
  async drain(): Promise<void> {
    const { stdout } = this.#world;
    if (!stdout.writableNeedDrain || !this.isRead) return;
    const ends = ['drain', 'close', 'error'];
    await new Promise<void>((resolve) => {
      const end = (): void => {
        for (const event of ends) stdout.off(event, end);
        resolve();
      };
      for (const event of ends) stdout.on(event, end);
    });
  }

  /** As flush, where what was written must not be lost. @throws IO, DISK_FULL when it was not written, or nobody reads it. */
  async flushSurely(what: string, hint: string): Promise<void> {
    await this.flush();
    if (this.isRead && !failures.has(this.#world.stdout)) return;
    const failure = failureOfStdout(this.#world);
    const reason = failure === undefined ? 'nobody reads stdout.' : failure.message;
    throw new FallbackError(failure?.code ?? 'IO', `${what} was not written: ${reason}`, { cause: failure, hint });
  }

  #write(stream: NodeJS.WriteStream, text: string): void {
    this.#beforeLine();
    if (!stream.destroyed && stream.writable) stream.write(text);
  }
}
