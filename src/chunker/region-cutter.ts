// What an engine must do for the rules above it: cut one region of the pool.
import type { CutSizes } from './chunker.ts';

/** Cuts regions of the pool by content alone; one per lane, and one at a time. */
export interface RegionCutter {
  /**
   * Cuts the `lengthBytes` (at least 1) from `startByte` of the pool.
   * @param isEnd the last chunk ends with the region; without it only cuts are made that more bytes could not move.
   * @param countMax at most this many cuts, and never more than `regionCutsMax`.
   * @returns where each chunk ends, in bytes from the region's start, ascending: valid until the next call.
   */
  cut(startByte: number, lengthBytes: number, sizes: CutSizes, isEnd: boolean, countMax: number): Uint32Array;
}

/** A call may return this many cuts; the caller calls again for the rest. */
export const regionCutsMax = 16_384;
