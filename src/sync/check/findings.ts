// Gathers what is wrong while a check goes on. What is wrong with a pack is noted once, whoever meets it.
import type { ErrorCode } from '../../errors/error-codes.ts';
import type { FallbackError } from '../../errors/fallback-error.ts';
import type { PackListener } from '../read/pack-reader.ts';
import type { AffectedArchive, CheckCounters, CheckProblem } from './check-report.ts';

interface PackProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly affected: AffectedArchive[];
  /** Whether only some of its chunks are missing. */
  readonly isReadable: boolean;
  /** Whether the store knows of no such pack: retention may have deleted it. */
  readonly isGone: boolean;
}

type Place = Partial<Pick<CheckProblem, 'snapshot' | 'archive' | 'pack' | 'affected'>>;

/** Everything found so far; also listens to a PackReader. */
export class Findings implements PackListener {
  readonly packsRead = new Set<number>();
  packBytesRead = 0;
  readonly #counters: CheckCounters;
  #problems: CheckProblem[] = [];
  readonly #packs = new Map<number, PackProblem>();
  readonly #packErrors = new Set<unknown>();

  constructor(counters: CheckCounters) {
    this.#counters = counters;
  }

  onVerified(number: number, fileBytes: number): void {
    if (this.packsRead.has(number)) return;
    this.packsRead.add(number);
    this.packBytesRead += fileBytes;
    this.#counters.packsRead++;
    this.#counters.packBytesRead += fileBytes;
  }

  onDamage(number: number, error: FallbackError): void {
    this.#packErrors.add(error);
    const isLost = error.code === 'NOT_FOUND';
    const known = this.#packs.get(number);
    if (known?.isReadable === true && this.#packs.delete(number)) this.#counters.problems--;
    const message = isLost ? `Pack ${number} is lost.` : error.message;
    this.addPack(number, isLost ? 'DAMAGED' : error.code, message, false, isLost);
  }

  /**
   * Notes that a pack is lost or damaged, unless that is known.
   * @param isReadable whether it opens, and only lacks something that is needed.
   */
  addPack(number: number, code: ErrorCode, message: string, isReadable: boolean, isGone = false): void {
    if (this.#packs.has(number)) return;
    this.#packs.set(number, { code, message, affected: [], isReadable, isGone });
    this.#counters.problems++;
  }

  /** Notes another problem. */
  add(code: ErrorCode, message: string, place: Place = {}): void {
    this.#problems.push({
      code,
      message,
      snapshot: undefined,
      archive: undefined,
      pack: undefined,
      affected: [],
      ...place,
    });
    this.#counters.problems++;
  }

  /** Notes an error, unless it comes from a pack that is noted already. */
  addError(error: FallbackError, place: Place): void {
    if (!this.#packErrors.has(error)) this.add(error.code, error.message, place);
  }

  get isEmpty(): boolean {
    return this.#packs.size === 0 && this.#problems.length === 0;
  }

  /** Takes back what was found of snapshots that are listed no more, and of packs that are gone and not needed. */
  forget(isNeeded: (pack: number) => boolean, isListed: (snapshot: number) => boolean): void {
    for (const [number, { isGone }] of this.#packs) if (isGone && !isNeeded(number)) this.#packs.delete(number);
    this.#problems = this.#problems.filter(({ snapshot, affected }) => {
      const concerned = [...(snapshot === undefined ? [] : [snapshot]), ...affected.flatMap((one) => one.snapshots)];
      return concerned.length === 0 || concerned.some(isListed);
    });
    this.#counters.problems = this.#packs.size + this.#problems.length;
  }

  isPackDamaged(number: number): boolean {
    return this.#packs.has(number);
  }

  /** Damaged packs that do not open. */
  unreadablePacks(): number[] {
    return [...this.#packs].filter(([, { isReadable }]) => !isReadable).map(([number]) => number);
  }

  /** Whether a damaged pack opens, and only lacks something. */
  isPackReadable(number: number): boolean {
    return this.#packs.get(number)?.isReadable === true;
  }

  get hasDamagedPacks(): boolean {
    return this.#packs.size > 0;
  }

  /** Says what a damaged pack takes with it. */
  affect(pack: number, affected: AffectedArchive): void {
    this.#packs.get(pack)?.affected.push(affected);
  }

  /** All problems: damaged packs first, by number. */
  problems(): CheckProblem[] {
    const packs = [...this.#packs].sort(([a], [b]) => a - b);
    const ofPacks = packs.map(([pack, { code, message, affected }]) => {
      return { code, message, snapshot: undefined, archive: undefined, pack, affected };
    });
    return [...ofPacks, ...this.#problems];
  }
}
