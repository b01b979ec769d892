// What a check found.
import type { ErrorCode } from '../../errors/error-codes.ts';
import type { PackRanges } from '../../format/pack-ranges.ts';

/** An archive that a problem takes something from. */
export interface AffectedArchive {
  readonly archive: string;
  /** Numbers of the snapshots that hold this version of it. */
  readonly snapshots: readonly number[];
  /**
   * What is lost: some of its contents; its recipe, and so all of it; or only its list of members (it can be restored whole).
   */
  readonly lost: 'contents' | 'recipe' | 'catalogue';
  /** The first hundred members that are lost with it; undefined when that is not known. */
  readonly members: readonly string[] | undefined;
  readonly membersTotal: number | undefined;
}

/** One thing that is wrong. */
export interface CheckProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly snapshot: number | undefined;
  readonly archive: string | undefined;
  readonly pack: number | undefined;
  readonly affected: readonly AffectedArchive[];
}

/** Packs that a snapshot's head names and its archives do not need: no damage, but they are kept for nothing. */
export interface SurplusPacks {
  readonly snapshot: number;
  readonly packs: PackRanges;
}

export interface CheckReport {
  readonly snapshotsChecked: number;
  /** Archives of all snapshots, and how many different ones these are. */
  readonly archivesChecked: number;
  readonly archivesDistinct: number;
  /** Packs whose directories were opened. */
  readonly packsListed: number;
  /** Packs that were fetched whole and opened, each chunk against its id. */
  readonly packsRead: number;
  readonly packBytesRead: number;
  /** Archives of the newest snapshot that were rebuilt against their SHA-256. */
  readonly archivesRebuilt: number;
  readonly rebuiltBytes: number;
  /** Empty when all is well. The caller exits 4 otherwise. */
  readonly problems: readonly CheckProblem[];
  readonly surplus: readonly SurplusPacks[];
  /** Packs that cannot be opened, though the store gives them as whole: no push should build on them. */
  readonly packsUnusable: PackRanges;
  /** Packs of which every chunk was compared with its id. */
  readonly packsSound: PackRanges;
}

/** How far a check is; read by the progress line. */
export interface CheckCounters {
  step: 'snapshots' | 'directories' | 'archives' | 'data' | 'damage';
  done: number;
  total: number;
  packsRead: number;
  packBytesRead: number;
  problems: number;
}

/** At the start. */
export function newCheckCounters(): CheckCounters {
  return { step: 'snapshots', done: 0, total: 0, packsRead: 0, packBytesRead: 0, problems: 0 };
}
