// The archives of one night in their order: each is made, handed to the push, and gone before the next is made.
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import type { ByteSource } from '../../sync/push/byte-source.ts';
import type { KeptArchive, PushArchive } from '../../sync/push/push.ts';
import { judgeSize, type SizeReference } from './judge-size.ts';
import type { MadeArchive } from './made-archive.ts';
import { makeArchive } from './make-archive.ts';
import type { NightContext } from './night-context.ts';
import type { NightOutcome, NightTarget } from './night-target.ts';
import { isWhole } from './previous-snapshot.ts';
import { streamArchive, streamFiles } from './stream-archive.ts';
import { isInWindow, showWindow } from './time-window.ts';

/** What is to be pushed as one snapshot. */
export interface SequencePlan {
  readonly targets: readonly NightTarget[];
  /** Archives of apps that are gone: kept as they are. */
  readonly vanished: readonly SnapshotArchive[];
  /** The last archives by name. */
  readonly previous: ReadonlyMap<string, SnapshotArchive>;
}

/** Why a target has no archive of tonight. */
interface Failure {
  readonly reason: string;
  readonly code: string | undefined;
}

const failureOf = (error: unknown): Failure => ({
  reason: error instanceof Error ? error.message : String(error),
  code: isFallbackError(error) ? error.code : undefined,
});

/** What an archive lacks; undefined when it is whole. */
function lackOf({ target, missingParts }: MadeArchive): Failure | undefined {
  if (missingParts.length === 0) return undefined;
  const names = missingParts.join(', ');
  if (target.kind === 'files') return { reason: `Not there: ${names}.`, code: 'NOT_FOUND' };
  return { reason: `YunoHost could not save: ${names}.`, code: 'YUNOHOST_FAILED' };
}

/** A failure of one target, not of the whole night and no defect. */
const isOfOneTarget = (error: unknown): boolean =>
  (isFallbackError(error) && error.code !== 'INTERNAL') || systemErrorCode(error) !== undefined;

export class ArchiveSequence {
  readonly outcomes = new Map<string, NightOutcome>();
  /** Archives whose bytes broke while they were read: a run that goes again leaves them out. */
  readonly broken = new Map<string, unknown>();
  /** Begun by any run: one that goes again makes them again, whatever the window says by then. */
  readonly #begun = new Set<string>();
  readonly #context: NightContext;
  readonly #plan: SequencePlan;
  readonly #references = new Map<string, SizeReference>();
  /** YunoHost’s lock did not become free for one archive: the others would wait as long. */
  #busy: unknown;
  #firstError: unknown;

  constructor(context: NightContext, plan: SequencePlan) {
    this.#context = context;
    this.#plan = plan;
  }

  /** Whether every target's own archive of tonight is whole. */
  get isComplete(): boolean {
    return this.#plan.targets.every(({ name }) => {
      const outcome = this.outcomes.get(name);
      return outcome?.status === 'saved' || (outcome?.status === 'suspicious' && outcome.code === undefined);
    });
  }

  /** For push(): judges an archive when its bytes are stored. */
  readonly judge = (name: string, lengthBytes: number): 'saved' | 'suspicious' => {
    const { suspiciousPercent } = this.#context.configuration.push;
    const reference = judgeSize(lengthBytes, this.#plan.previous.get(name), suspiciousPercent);
    if (reference !== undefined) this.#references.set(name, reference);
    const lack = this.#pushing?.target.name === name ? lackOf(this.#pushing) : undefined;
    if (lack !== undefined) this.#incomplete.set(name, lack);
    this.#bytes.set(name, lengthBytes);
    return reference === undefined && !this.#incomplete.has(name) ? 'saved' : 'suspicious';
  };
  readonly #bytes = new Map<string, number>();
  readonly #incomplete = new Map<string, Failure>();
  /** One at a time: what the push reads now. */
  #pushing: MadeArchive | undefined;

  /** @throws the first failure when nothing at all could be saved. */
  async *run(): AsyncGenerator<PushArchive | KeptArchive> {
    this.outcomes.clear();
    this.#references.clear();
    this.#bytes.clear();
    this.#incomplete.clear();
    for (const target of this.#plan.targets) yield* this.#one(target);
    const isAnySaved = [...this.outcomes.values()].some(({ status }) => status === 'saved' || status === 'suspicious');
    if (!isAnySaved) {
      const [broken] = this.broken.values();
      throw (
        this.#firstError ??
        broken ??
        new FallbackError('INCOMPLETE', 'Nothing was saved. The last snapshot is untouched.')
      );
    }
    for (const archive of this.#plan.vanished) yield* this.#keepVanished(archive);
  }

  async *#one(target: NightTarget): AsyncGenerator<PushArchive | KeptArchive> {
    this.#context.signal?.throwIfAborted();
    const refused = this.#reasonToSkip(target);
    if (refused !== undefined) {
      yield* this.#keep(target, refused);
      return;
    }
    this.#begun.add(target.name);
    this.#context.onEvent?.({ step: 'making', name: target.name });
    let made: MadeArchive;
    try {
      made = await this.#make(target);
    } catch (error) {
      this.#context.signal?.throwIfAborted();
      if (!isOfOneTarget(error)) throw error;
      this.#firstError ??= error;
      if (isFallbackError(error, 'YUNOHOST_BUSY')) this.#busy = error;
      yield* this.#keep(target, failureOf(error));
      return;
    }
    yield* this.#offer(made);
  }

  #reasonToSkip(target: NightTarget): Failure | undefined {
    if (target.kind === 'app' && target.isUnreadable === true) {
      const { name } = target;
      const reason = `YunoHost cannot read this app: it is in /etc/yunohost/apps, and not in \`yunohost app list\`. See: yunohost app info ${name}`;
      return { reason, code: 'YUNOHOST_FAILED' };
    }
    const broken = this.broken.get(target.name);
    if (broken !== undefined) return failureOf(broken);
    const { isScheduled, configuration, localMinute } = this.#context;
    const { window } = configuration.push;
    const isLate = isScheduled && window !== undefined && !isInWindow(window, localMinute());
    if (isLate && !this.#begun.has(target.name)) {
      return { reason: `The time window ${showWindow(window)} was over before its turn came.`, code: 'INCOMPLETE' };
    }
    if (this.#busy !== undefined && target.kind !== 'files') return failureOf(this.#busy);
    return undefined;
  }

  async #make(target: NightTarget): Promise<MadeArchive> {
    const request = { context: this.#context, previous: this.#plan.previous.get(target.name) };
    if (target.kind === 'files') return await streamFiles(target, request);
    const isStream = this.#context.configuration.push.method === 'stream';
    return isStream ? await streamArchive(target, request) : await makeArchive(target, request);
  }

  /** Hands a made archive to the push; when this goes on, its bytes are stored. */
  async *#offer(made: MadeArchive): AsyncGenerator<PushArchive | KeptArchive> {
    const { target, missingParts } = made;
    const { name } = target;
    let isFinished = false;
    try {
      const failure = lackOf(made);
      // Better a part than nothing at all, or than one that lacks the same and grows old.
      if (failure !== undefined && (target.kind === 'app' || (await this.#hasMore(name, missingParts)))) {
        this.#firstError ??= new FallbackError('YUNOHOST_FAILED', failure.reason);
        yield* this.#keep(target, failure);
        return;
      }
      this.#context.onEvent?.({ step: 'pushing', name });
      this.#pushing = made;
      yield {
        name,
        open: async () => this.#guard(name, await this.#opened(made)),
        attributes: () => ({ ...made.attributes, ...this.#flagsOf(name) }),
      };
      isFinished = true;
      await made.finish().catch((error: unknown) => {
        made.warnings.push(`after it was saved: ${failureOf(error).reason}`);
      });
      this.#noteSaved(made);
    } finally {
      if (!isFinished) await made.discard();
      else await made.discard().catch(() => undefined);
    }
  }

  /** Whether the last archive holds a part that tonight's lacks. */
  async #hasMore(name: string, missing: readonly string[]): Promise<boolean> {
    const previous = this.#plan.previous.get(name);
    if (previous === undefined) return false;
    const held = previous.attributes['parts'] ?? previous.attributes['paths'];
    if (held !== undefined && !missing.some((part) => ` ${held} `.includes(` ${part} `))) return false;
    return await isWhole(this.#context.session, previous);
  }

  async #opened(made: MadeArchive): Promise<ByteSource> {
    try {
      return await made.open();
    } catch (error) {
      this.broken.set(made.target.name, error);
      throw error;
    }
  }

  /** Ends with the signal, and remembers whose bytes broke. */
  #guard(name: string, source: ByteSource): ByteSource {
    const { signal } = this.#context;
    return {
      lengthBytes: source.lengthBytes,
      // Not compared as a whole with last night's: it says when it was made.
      file: undefined,
      read: async (into) => {
        signal?.throwIfAborted();
        try {
          return await source.read(into);
        } catch (error) {
          signal?.throwIfAborted();
          this.broken.set(name, error);
          throw error;
        }
      },
      close: () => source.close(),
    };
  }

  #flagsOf(name: string): Record<string, string> {
    const reference = this.#references.get(name);
    const missing = this.#incomplete.get(name);
    return {
      ...(reference === undefined
        ? {}
        : { referenceBytes: String(reference.referenceBytes), suspiciousNights: String(reference.nights) }),
      ...(missing === undefined ? {} : { incomplete: missing.reason.slice(0, 1000) }),
    };
  }

  #noteSaved({ target, warnings }: MadeArchive): void {
    const { name, kind } = target;
    const bytes = this.#bytes.get(name) ?? 0;
    const reference = this.#references.get(name);
    const missing = this.#incomplete.get(name);
    const small =
      reference === undefined
        ? undefined
        : `It has ${bytes} bytes; it had ${reference.referenceBytes}. Is something missing in it?`;
    const reason = [missing?.reason, small].filter((text) => text !== undefined).join(' ');
    this.outcomes.set(name, {
      name,
      kind,
      status: reason === '' ? 'saved' : 'suspicious',
      bytes,
      savedAtMs: this.#context.session.environment.nowMs(),
      warnings,
      ...(reason === '' ? {} : { reason }),
      ...(missing?.code === undefined ? {} : { code: missing.code }),
    });
    this.#context.onEvent?.({ step: 'saved', name });
  }

  /** The last good archive stays in the snapshot; without one there is nothing to keep. */
  async *#keep(target: NightTarget, { reason, code }: Failure): AsyncGenerator<KeptArchive> {
    const { name, kind } = target;
    this.#context.onEvent?.({ step: 'failed', name, reason });
    const previous = this.#plan.previous.get(name);
    const common = { name, kind, reason, warnings: [], ...(code === undefined ? {} : { code }) };
    if (previous === undefined || !(await isWhole(this.#context.session, previous))) {
      this.outcomes.set(name, { ...common, status: 'missing' });
      return;
    }
    const { recipe, savedAtMs } = previous;
    this.outcomes.set(name, { ...common, status: 'kept', bytes: recipe.lengthBytes, savedAtMs });
    yield { kept: previous };
  }

  async *#keepVanished(archive: SnapshotArchive): AsyncGenerator<KeptArchive> {
    const { name, recipe, savedAtMs } = archive;
    const common = { name, kind: 'app' as const, bytes: recipe.lengthBytes, savedAtMs, warnings: [] };
    if (!(await isWhole(this.#context.session, archive))) {
      this.outcomes.set(name, {
        ...common,
        status: 'missing',
        reason: 'It is no longer installed, and its last archive is damaged.',
      });
      return;
    }
    this.outcomes.set(name, {
      ...common,
      status: 'vanished',
      reason: 'It is no longer installed; its last archive is kept.',
    });
    yield { kept: archive };
  }
}
