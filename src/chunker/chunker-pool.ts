// The memory that windows lie in: one shared WebAssembly.Memory, so that the kernel reads them where they are.
//
//     page 0: nothing | lanes x 80 KiB: gear tables (4 KiB), ends of chunks (64 KiB), unused | the pool, from a 64 KiB page on
import { FallbackError } from '../errors/fallback-error.ts';
import { regionCutsMax } from './region-cutter.ts';

const pageBytes = 65_536;
const laneBytes = 80 * 1024;

/** Shared memory for windows, which `postMessage` passes to another thread as it is. */
export interface ChunkerPool {
  readonly memory: WebAssembly.Memory;
  /** How many threads may cut in it at the same time: each takes a lane of its own. */
  readonly lanes: number;
  /** Length of the windows' part, in bytes. */
  readonly poolBytes: number;
}

/** The most lanes and pool bytes that one memory may have. */
export const lanesMax = 64;
export const poolBytesMax = 2 ** 31;

/** Memory for windows of `poolBytes` in sum, for cutting in `lanes` threads. @throws LIMIT_EXCEEDED. */
export function createChunkerPool(poolBytes: number, lanes = 1): ChunkerPool {
  const isPossible = Number.isSafeInteger(poolBytes) && poolBytes > 0 && poolBytes <= poolBytesMax;
  if (!isPossible || !Number.isSafeInteger(lanes) || lanes < 1 || lanes > lanesMax) {
    throw new FallbackError(
      'LIMIT_EXCEEDED',
      `A chunker pool of ${poolBytes} bytes and ${lanes} lanes is not possible.`,
    );
  }
  const pages = (poolOffset(lanes) + Math.ceil(poolBytes / pageBytes) * pageBytes) / pageBytes;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  return { memory, lanes, poolBytes };
}

/** Where the windows' part begins in the memory, in bytes. */
export function poolOffset(lanes: number): number {
  return pageBytes + Math.ceil((lanes * laneBytes) / pageBytes) * pageBytes;
}

/** The windows' part. */
export function poolView(pool: ChunkerPool): Uint8Array<SharedArrayBuffer> {
  return new Uint8Array(sharedBuffer(pool), poolOffset(pool.lanes), pool.poolBytes);
}

/** What one thread keeps beside the windows: two gear tables of 256 numbers, and room for a call's cuts. */
export interface Lane {
  readonly tableAddress: number;
  readonly table: BigUint64Array<SharedArrayBuffer>;
  readonly endsAddress: number;
  readonly ends: Uint32Array<SharedArrayBuffer>;
}

/** The lane numbered `lane`, from 0. @throws LIMIT_EXCEEDED when the pool has no such lane. */
export function poolLane(pool: ChunkerPool, lane: number): Lane {
  if (!Number.isSafeInteger(lane) || lane < 0 || lane >= pool.lanes) {
    throw new FallbackError('LIMIT_EXCEEDED', `The chunker pool has ${pool.lanes} lanes, and no lane ${lane}.`);
  }
  const tableAddress = pageBytes + lane * laneBytes;
  const endsAddress = tableAddress + 2 * 256 * 8;
  const buffer = sharedBuffer(pool);
  return {
    tableAddress,
    table: new BigUint64Array(buffer, tableAddress, 512),
    endsAddress,
    ends: new Uint32Array(buffer, endsAddress, regionCutsMax),
  };
}

function sharedBuffer(pool: ChunkerPool): SharedArrayBuffer {
  const buffer: ArrayBufferLike = pool.memory.buffer;
  if (buffer instanceof SharedArrayBuffer) return buffer;
  throw new TypeError('a chunker pool’s memory is shared');
}
