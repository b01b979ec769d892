// Opens a pack and writes what it holds where it belongs: its contents never leave the thread.
import { isFallbackError } from '../../errors/fallback-error.ts';
import { mapFsError } from '../../fs/map-fs-error.ts';
import type { ReadPack } from '../read/read-pack.ts';
import type { PackSource } from './pack-source.ts';
import { SparseWriter } from './sparse-writer.ts';

/** A file that gets bytes of the pack: new, as long as it will be, and nothing written where this task writes. */
export interface PlaceTarget {
  readonly descriptor: number;
  /** The runs that it gets, `numbersOfRun` numbers each, ascending in the file. */
  readonly runs: Float64Array;
}

/** Numbers that describe one run: its first chunk, how many chunks, how many bytes, where in the file. */
export const numbersOfRun = 4;

/**
 * Opens a pack and writes its runs. The archives' SHA-256 prove the bytes later, before a file gets its name, so chunks are not
 * compared with their ids.
 */
export interface PlaceTask {
  readonly kind: 'place';
  readonly number: number;
  readonly source: PackSource;
  readonly targets: readonly PlaceTarget[];
}

/** A target that did not get all its runs, and why: the pack does not hold what the recipe says. */
export interface PlaceDamage {
  readonly target: number;
  readonly message: string;
}

/** @throws DISK_FULL, IO. */
export function placeRuns(pack: ReadPack, targets: readonly PlaceTarget[]): PlaceDamage[] {
  const damage: PlaceDamage[] = [];
  for (const [index, target] of targets.entries()) {
    try {
      placeIn(pack, target);
    } catch (error) {
      if (!isFallbackError(error, 'DAMAGED')) throw mapFsError(error, 'write what was restored');
      damage.push({ target: index, message: error.message });
    }
  }
  return damage;
}

function placeIn(pack: ReadPack, { descriptor, runs }: PlaceTarget): void {
  const writer = new SparseWriter(descriptor);
  for (let at = 0; at < runs.length; at += numbersOfRun) {
    const bytes = pack.slice(runs[at] ?? 0, runs[at + 1] ?? 0, runs[at + 2] ?? 0);
    writer.write(bytes, runs[at + 3] ?? 0);
  }
  writer.flush();
}
