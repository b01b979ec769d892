// Our engine: keyed FastCDC (2020) in WebAssembly, cutting windows where they lie. The kernel's source is kernel/cut.ts.
import type { CutSizes } from './chunker.ts';
import { type ChunkerPool, poolLane, poolOffset } from './chunker-pool.ts';
import { deriveGearTable } from './gear-table.ts';
import { kernelWasmBase64 } from './kernel-wasm.ts';
import { type RegionCutter, regionCutsMax } from './region-cutter.ts';

type CutFunction = (
  start: number,
  end: number,
  minimum: number,
  average: number,
  maximum: number,
  isEnd: number,
  table: number,
  ends: number,
  endsMax: number,
) => number;

let compiled: WebAssembly.Module | undefined;

/** The kernel in one lane of the pool, with the table of this 32-byte seed. Threads use lanes of their own. */
export function createFallbackCutter(pool: ChunkerPool, lane: number, seed: Uint8Array): RegionCutter {
  compiled ??= new WebAssembly.Module(Buffer.from(kernelWasmBase64, 'base64'));
  const instance = new WebAssembly.Instance(compiled, { env: { memory: pool.memory } });
  const { cut } = instance.exports as { readonly cut: CutFunction };
  const { table, tableAddress, ends, endsAddress } = poolLane(pool, lane);
  for (const [index, entry] of deriveGearTable(seed).entries()) {
    table[index] = entry;
    table[256 + index] = entry << 1n;
  }
  const base = poolOffset(pool.lanes);
  return {
    cut(startByte: number, lengthBytes: number, sizes: CutSizes, isEnd: boolean, countMax: number): Uint32Array {
      const start = base + startByte;
      const count = cut(
        start,
        start + lengthBytes,
        sizes.minimumBytes,
        sizes.averageBytes,
        sizes.maximumBytes,
        isEnd ? 1 : 0,
        tableAddress,
        endsAddress,
        Math.min(countMax, regionCutsMax),
      );
      return ends.subarray(0, count);
    },
  };
}
