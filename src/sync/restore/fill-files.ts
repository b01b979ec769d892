// Fills the files of several archives, pack by pack: main fetches and plans, threads open the packs and write what is in them.
import { FallbackError } from '../../errors/fallback-error.ts';
import { isDamage } from '../read/is-damage.ts';
import { withPackSource } from '../read/with-pack-source.ts';
import type { RepositorySession } from '../repository-session.ts';
import type { PlaceDamage, PlaceTarget } from '../workers/place-pack.ts';
import type { ArchiveFile } from './archive-file.ts';
import { PackPlan } from './pack-plan.ts';

/** More would be slowed down by the disk or the network, and each has memory of its own. */
const threadsMax = 6;
/** Packs that are being fetched or opened for one thread: it never waits for the next, and never has many. */
const packsPerThread = 2;

export interface FillOptions {
  readonly session: RepositorySession;
  /** What was done so far. */
  readonly counters: { writtenBytes: number; packsFetched: number };
  readonly signal?: AbortSignal | undefined;
}

/** How many threads a restore uses. */
export const restoreThreads = ({ environment }: RepositorySession): number =>
  Math.max(1, Math.min(threadsMax, environment.threads));

/** A file, and the runs that one pack gives it. */
interface Use {
  readonly file: ArchiveFile;
  readonly runs: Uint32Array;
}

/**
 * Fills the files and gives them their names, which are not durable yet. Damage gives up the files that it touches, in their
 * `failure`; what else fails ends it, and no file that was not finished is left.
 * @throws DISK_FULL, IO, network errors, the signal's reason.
 */
export async function fillFiles(options: FillOptions, files: readonly ArchiveFile[]): Promise<void> {
  await new Filling(options, files).run();
}

class Filling {
  readonly #options: FillOptions;
  readonly #files: readonly ArchiveFile[];
  readonly #plan: PackPlan;
  readonly #finished = new Set<ArchiveFile>();
  readonly #finishing = new Map<ArchiveFile, Promise<void>>();
  #next = 0;
  #failure: unknown;

  constructor(options: FillOptions, files: readonly ArchiveFile[]) {
    this.#options = options;
    this.#files = files;
    this.#plan = new PackPlan(files.map((file) => file.runs));
  }

  async run(): Promise<void> {
    try {
      for (const file of this.#files) if (file.isWritten) this.#finish(file);
      const threads = restoreThreads(this.#options.session);
      await Promise.all(Array.from({ length: threads * packsPerThread }, (_, lane) => this.#lane(lane % threads)));
      await Promise.all(this.#finishing.values());
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      for (const file of this.#files) if (!this.#finished.has(file)) await file.discard();
    }
  }

  /** Serves packs with one thread until there are no more. Never rejects: files are closed only when all lanes have ended. */
  async #lane(thread: number): Promise<void> {
    try {
      while (this.#failure === undefined && this.#next < this.#plan.packs.length) {
        this.#options.signal?.throwIfAborted();
        await this.#serve(this.#next++, thread);
      }
    } catch (error) {
      this.#failure ??= error;
    }
  }

  #usesOf(index: number): Use[] {
    const uses: Use[] = [];
    for (const { target, runs } of this.#plan.uses(index)) {
      const file = this.#files[target];
      if (file !== undefined && file.failure === undefined) uses.push({ file, runs });
    }
    return uses;
  }

  /** Has a thread write all that one pack gives. */
  async #serve(index: number, thread: number): Promise<void> {
    const { session, counters } = this.#options;
    const uses = this.#usesOf(index);
    if (uses.length === 0) return;
    const targets: PlaceTarget[] = [];
    for (const { file, runs } of uses) targets.push(await file.target(runs));
    const number = this.#plan.packs[index] ?? 0;
    let damage: PlaceDamage[];
    try {
      damage = await withPackSource(session.repository, number, (source) =>
        session.crypto.run({ kind: 'place', number, source, targets }, thread),
      );
    } catch (error) {
      if (!isDamage(error)) throw error;
      for (const { file } of uses) this.#giveUp(file, error);
      return;
    }
    counters.packsFetched++;
    for (const { target, message } of damage) {
      const file = uses[target]?.file;
      if (file !== undefined) this.#giveUp(file, new FallbackError('DAMAGED', message, { details: { pack: number } }));
    }
    for (const { file, runs } of uses) {
      if (file.failure !== undefined) continue;
      const bytes = await file.written(runs);
      counters.writtenBytes += bytes;
      if (file.isWritten) this.#finish(file);
    }
  }

  /** Begins to verify a file and to make it durable: other files go on meanwhile. */
  #finish(file: ArchiveFile): void {
    if (this.#finishing.has(file)) return;
    const finishing = async (): Promise<void> => {
      try {
        await file.finish();
        this.#finished.add(file);
      } catch (error) {
        if (isDamage(error)) this.#giveUp(file, error);
        else this.#failure ??= error;
      }
    };
    this.#finishing.set(file, finishing());
  }

  #giveUp(file: ArchiveFile, error: FallbackError): void {
    file.failure ??= error;
  }
}
