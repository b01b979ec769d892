// The other engine: the npm package fastcdc-wasm (the older FastCDC rule, of 2016, as the Rust crate fastcdc 1 has it).
import { get_chunks } from 'fastcdc-wasm';
import type { CutSizes } from './chunker.ts';
import { type ChunkerPool, poolView } from './chunker-pool.ts';
import { type RegionCutter, regionCutsMax } from './region-cutter.ts';

/**
 * Cuts with fastcdc-wasm. It is not keyed: where a file's cuts fall is the same in every repository, so the lengths of
 * chunks tell more to whoever sees them. It copies each region into memory of its own, and has no state.
 */
export function createFastcdcCutter(pool: ChunkerPool): RegionCutter {
  const windows = poolView(pool);
  return {
    cut(startByte: number, lengthBytes: number, sizes: CutSizes, isEnd: boolean, countMax: number): Uint32Array {
      const { minimumBytes, averageBytes, maximumBytes } = sizes;
      const most = Math.min(countMax, regionCutsMax);
      // It knows no limit on cuts: for a few, it is shown no more than they can cover.
      const shownBytes = Math.min(lengthBytes, most * maximumBytes);
      const region = windows.subarray(startByte, startByte + shownBytes);
      // The bounds of chunks, from 0 to the region's length.
      const bounds = get_chunks(region, minimumBytes, averageBytes, maximumBytes);
      let count = bounds.length - 1;
      const lastBytes = bounds[count]! - bounds[count - 1]!;
      // The region's end made the last cut, unless the maximum did: more bytes could move it.
      const isLastFinal = (isEnd && shownBytes === lengthBytes) || lastBytes === maximumBytes;
      if (!isLastFinal) count--;
      return bounds.subarray(1, 1 + Math.min(count, most));
    },
  };
}
