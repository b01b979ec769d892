// Builds a chunker from parameters and seed: the one door to this room, beside the pool of chunker-pool.ts.
import { FallbackError } from '../errors/fallback-error.ts';
import { TarAwareChunker } from './archive-chunker.ts';
import type { Chunker, ChunkerParameters, CutSizes, SpanMemory, TarMemberSeen } from './chunker.ts';
import { type ChunkerPool, createChunkerPool, poolView } from './chunker-pool.ts';
import { createFallbackCutter } from './fallback-engine.ts';
import { createFastcdcCutter } from './fastcdc-engine.ts';
import { chunkerSeedBytes } from './gear-table.ts';
import { sniffBytes } from './incompressible.ts';
import { checkChunkerParameters, checkCutSizes } from './parameters.ts';
import type { RegionCutter } from './region-cutter.ts';

/** Where windows will lie: a new pool, or one that threads share, of which this thread takes a lane. */
export type ChunkerPlace = { readonly poolBytes: number } | { readonly pool: ChunkerPool; readonly lane: number };

/**
 * An engine with its parameters and seed.
 * @param seed 32 bytes, from the key hierarchy; fastcdc-wasm does not use it.
 * @param place `poolBytes` of at least `windowBytesMin`; several threads cut in one pool when each creates its chunker
 * over the same `pool` (which `postMessage` passes on) with a lane of its own.
 * @throws FORMAT_UNSUPPORTED when the parameters are none that this version can cut by; LIMIT_EXCEEDED when they, the
 * pool or the lane are beyond a limit.
 */
export function createChunker(parameters: ChunkerParameters, seed: Uint8Array, place: ChunkerPlace): Chunker {
  checkChunkerParameters(parameters);
  if (seed.byteLength !== chunkerSeedBytes) {
    throw new FallbackError(
      'FORMAT_UNSUPPORTED',
      `A chunker seed has ${chunkerSeedBytes} bytes, not ${seed.byteLength}.`,
    );
  }
  const { fine, edited = fine, coarse, largeMemberBytesMin } = parameters;
  const windowBytesMin = Math.max(fine.maximumBytes, edited.maximumBytes, coarse.maximumBytes, sniffBytes);
  const { pool, lane } = 'pool' in place ? place : { pool: createChunkerPool(place.poolBytes), lane: 0 };
  if (pool.poolBytes < windowBytesMin) {
    throw new FallbackError('LIMIT_EXCEEDED', `A chunker pool needs at least ${windowBytesMin} bytes.`);
  }
  const open = (opened: ChunkerPool, openedLane: number): RegionCutter =>
    parameters.engine === 'fallback' ? createFallbackCutter(opened, openedLane, seed) : createFastcdcCutter(opened);
  const cutter = open(pool, lane);
  const windows = poolView(pool);
  const shortest = Math.min(fine.minimumBytes, edited.minimumBytes, coarse.minimumBytes);
  let byteCutter: ByteCutter | undefined;
  return {
    pool: windows,
    windowBytesMin,
    cutsMax: (lengthBytes: number) =>
      // Every cut by content lies behind a minimum; each large member makes two more, and the end one.
      Math.floor(lengthBytes / shortest) + 2 * Math.floor(lengthBytes / largeMemberBytesMin) + 5,
    startArchive: (onMember?: (member: TarMemberSeen) => void, spans?: SpanMemory) =>
      new TarAwareChunker({ parameters, cutter, pool: windows, windowBytesMin, onMember, spans }),
    cutBytes: (bytes: Uint8Array, sizes: CutSizes) => {
      checkCutSizes(sizes, 'metadata');
      byteCutter ??= new ByteCutter(open);
      return byteCutter.cut(bytes, sizes);
    },
  };
}

/** Cuts byte strings that lie anywhere: copies them through a small pool of its own, made when first used. */
class ByteCutter {
  readonly #windows: Uint8Array;
  readonly #cutter: RegionCutter;

  constructor(open: (pool: ChunkerPool, lane: number) => RegionCutter) {
    const pool = createChunkerPool(4 * 1024 * 1024);
    this.#windows = poolView(pool);
    this.#cutter = open(pool, 0);
  }

  cut(bytes: Uint8Array, sizes: CutSizes): Uint32Array {
    const all: number[] = [];
    let at = 0;
    while (at < bytes.byteLength) {
      const window = bytes.subarray(at, at + this.#windows.byteLength);
      const isEnd = at + window.byteLength === bytes.byteLength;
      this.#windows.set(window);
      const ends = this.#cutter.cut(0, window.byteLength, sizes, isEnd, Number.MAX_SAFE_INTEGER);
      for (const end of ends) all.push(at + end);
      at = all.at(-1) ?? at;
    }
    return Uint32Array.from(all);
  }
}
