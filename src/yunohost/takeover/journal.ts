// The journal of a takeover: in which state this machine is, and which steps were begun and ended, each recorded durably
// before and after. A step that was begun and not ended is simply done again: every step can be.
import { join } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import { ensureFolder } from '../../fs/ensure-folder.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { readWholeFile } from '../../fs/read-file.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { isObject } from '../command/shape.ts';

const states = ['idle', 'prepared', 'deployed', 'closing', 'updating', 'recovering'] as const;
/** `prepared`: the fallback server's own state is safe, and it may be changed. `updating` and `recovering` are the main server's. */
export type TakeoverState = (typeof states)[number];

/** One step as recorded. */
export interface StepRecord {
  readonly begunAtMs: number;
  readonly endedAtMs?: number;
  /** Why its last run failed. */
  readonly failure?: string;
  readonly result?: unknown;
}

interface JournalDocument {
  readonly format: 1;
  readonly state: TakeoverState;
  /** Facts that later steps and commands build on, by name. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly steps: Readonly<Record<string, StepRecord>>;
}

export interface JournalEnvironment {
  readonly fs: FileSystem;
  nowMs(): number;
  /** Hexadecimal, new for each call. */
  randomHex(): string;
}

/** Told after each record is durable (`begun`, `ended`) and when a step fails. */
export type StepListener = (step: string, moment: 'begun' | 'ended' | 'failed') => void;

const journalBytesMax = 64 * 1024 * 1024;

function decode(text: string, path: string): JournalDocument {
  const invalid = (cause?: unknown): FallbackError =>
    new FallbackError('FORMAT_INVALID', `The journal ${path} cannot be read: nobody knows how far this machine is.`, {
      cause,
      hint: 'Nothing was changed. See docs/OPERATIONS.md, “The journal is damaged”.',
    });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid(cause);
  }
  if (!isObject(json) || json['format'] !== 1 || !isObject(json['facts']) || !isObject(json['steps'])) throw invalid();
  if (!states.some((state) => state === json['state'])) throw invalid();
  // Written by this program alone, whole or not at all, in a folder that only root may change.
  return json as unknown as JournalDocument;
}

/** A journal on the disk, and the one way to change it. The caller holds the machine's lock. */
export class Journal {
  readonly path: string;
  readonly #environment: JournalEnvironment;
  readonly #folder: string;
  readonly #onStep: StepListener;
  #document: JournalDocument;

  private constructor(environment: JournalEnvironment, folder: string, name: string, onStep: StepListener) {
    this.#environment = environment;
    this.#folder = folder;
    this.path = join(folder, name);
    this.#onStep = onStep;
    this.#document = { format: 1, state: 'idle', facts: {}, steps: {} };
  }

  /** Reads the journal of a state folder; one that is not there is idle. @throws FORMAT_INVALID, IO. */
  static async open(
    environment: JournalEnvironment,
    folder: string,
    name = 'takeover.json',
    onStep: StepListener = () => undefined,
  ): Promise<Journal> {
    const journal = new Journal(environment, folder, name, onStep);
    const { fs } = environment;
    if ((await fs.facts(journal.path)) !== undefined) {
      const bytes = await readWholeFile(fs, journal.path, journalBytesMax);
      journal.#document = decode(Buffer.from(bytes).toString('utf8'), journal.path);
    }
    return journal;
  }

  get state(): TakeoverState {
    return this.#document.state;
  }

  /** A fact as it was kept; its type is the writer's. */
  fact<Value>(name: string): Value | undefined {
    return this.#document.facts[name] as Value | undefined;
  }

  /** Changes state and facts in one durable write; a fact set to undefined is dropped. */
  async record(change: {
    readonly state?: TakeoverState;
    readonly facts?: Readonly<Record<string, unknown>>;
  }): Promise<void> {
    const { state, facts } = this.#document;
    await this.#write({ ...this.#document, state: change.state ?? state, facts: { ...facts, ...change.facts } });
  }

  /** Begins anew: what was done so far becomes history. */
  async reset(state: TakeoverState, facts: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#write({ format: 1, state, facts, steps: {} });
  }

  isBegun(step: string): boolean {
    return this.#document.steps[step] !== undefined;
  }

  isEnded(step: string): boolean {
    return this.#document.steps[step]?.endedAtMs !== undefined;
  }

  /** Whether one of these steps was begun. */
  isAnyBegun(isMeant: (step: string) => boolean): boolean {
    return Object.keys(this.#document.steps).some(isMeant);
  }

  /** Steps that were begun and not ended. */
  get openSteps(): string[] {
    return Object.entries(this.#document.steps)
      .filter(([, { endedAtMs }]) => endedAtMs === undefined)
      .map(([name]) => name);
  }

  /** What a step that ended gave. */
  result<Result>(step: string): Result | undefined {
    return this.#document.steps[step]?.result as Result | undefined;
  }

  /**
   * Does a step unless it has ended before. Whatever stops it, it is done again from its beginning: it must be idempotent.
   * @returns its result, which is kept as JSON.
   */
  async step<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const known = this.#document.steps[name];
    if (known?.endedAtMs !== undefined) return known.result as Result;
    const begunAtMs = this.#environment.nowMs();
    await this.#writeStep(name, { begunAtMs });
    this.#onStep(name, 'begun');
    let result: Result;
    try {
      result = await work();
    } catch (error) {
      const failure = error instanceof Error ? error.message : String(error);
      await this.#writeStep(name, { begunAtMs, failure }).catch(() => undefined);
      this.#onStep(name, 'failed');
      throw error;
    }
    await this.#writeStep(name, { begunAtMs, endedAtMs: this.#environment.nowMs(), result });
    this.#onStep(name, 'ended');
    return result;
  }

  /** Makes steps undone, so that they are done again. */
  async forget(isForgotten: (step: string) => boolean): Promise<void> {
    const steps = Object.fromEntries(Object.entries(this.#document.steps).filter(([name]) => !isForgotten(name)));
    await this.#write({ ...this.#document, steps });
  }

  async #writeStep(name: string, record: StepRecord): Promise<void> {
    await this.#write({ ...this.#document, steps: { ...this.#document.steps, [name]: record } });
  }

  async #write(document: JournalDocument): Promise<void> {
    const { fs, randomHex } = this.#environment;
    await ensureFolder(fs, this.#folder);
    const bytes = Buffer.from(`${JSON.stringify(document, undefined, 1)}\n`, 'utf8');
    await replaceFile(fs, this.path, bytes, this.#folder, randomHex());
    // In memory as it would be read again.
    this.#document = JSON.parse(bytes.toString('utf8')) as JournalDocument;
  }
}

const whatToType: Readonly<Record<TakeoverState, string>> = {
  idle: 'On the fallback server `fallback deploy` takes over.',
  prepared: 'A deploy was interrupted here. `fallback deploy` goes on with it; `fallback close` gives it up.',
  deployed: 'This machine has taken over. `fallback close` gives back; `fallback deploy` tries again what is missing.',
  closing: 'A close was interrupted here. `fallback close` goes on with it.',
  updating: 'An update is not finished here. `fallback update` goes on with it.',
  recovering: 'A recovery was interrupted here. Run the same `fallback recover` again: it goes on.',
};

/** What fits a state, for hints and status lines. */
export const nextCommand = (state: TakeoverState): string => whatToType[state];

/** @throws WRONG_STATE unless the journal is in one of `allowed`. */
export function requireState(journal: Journal, command: string, allowed: readonly TakeoverState[]): void {
  if (allowed.includes(journal.state)) return;
  throw new FallbackError(
    'WRONG_STATE',
    `fallback ${command} does not fit: this machine’s state is “${journal.state}”. Nothing was changed.`,
    { hint: nextCommand(journal.state), details: { state: journal.state } },
  );
}
