// The cut rules' numbers: their defaults, and what is refused. They come from a sealed configuration, but are checked anyway.
import { FallbackError } from '../errors/fallback-error.ts';
import type { ChunkerParameters, CutSizes } from './chunker.ts';

const KiB = 1024;

/** No chunk may be longer, in bytes (FORMAT.md, Limits). */
export const chunkBytesMax = 2048 * KiB;
/** Both engines refuse shorter chunks, in bytes. */
export const minimumBytesMin = 64;

/**
 * The rules of a new repository. A member of an average chunk's size or more has chunks of its own: with 8 KiB a night of
 * 165 MB with renamed, touched and edited files sent 2.2 MB, with 64 KiB 2.6, without tar rules 3.1 (of it 1.2 MB new
 * photos). An incompressible member of 16 KiB or more is one chunk up to 1 MiB, and pieces of about 600 KiB beyond.
 */
export const defaultChunkerParameters: ChunkerParameters = {
  engine: 'fallback',
  fine: { minimumBytes: 2 * KiB, averageBytes: 8 * KiB, maximumBytes: 64 * KiB },
  edited: { minimumBytes: KiB / 4, averageBytes: KiB, maximumBytes: 8 * KiB },
  coarse: { minimumBytes: 256 * KiB, averageBytes: 512 * KiB, maximumBytes: 1024 * KiB },
  largeMemberBytesMin: 8 * KiB,
  coarseMemberBytesMin: 16 * KiB,
};

/** Refuses sizes that an engine cannot cut by. @throws FORMAT_UNSUPPORTED, LIMIT_EXCEEDED. */
export function checkCutSizes(sizes: CutSizes, what: string): void {
  const { minimumBytes, averageBytes, maximumBytes } = sizes;
  if (maximumBytes > chunkBytesMax) {
    throw new FallbackError('LIMIT_EXCEEDED', `The ${what} chunk size is above ${chunkBytesMax} bytes.`);
  }
  const isWhole = [minimumBytes, averageBytes, maximumBytes].every(Number.isSafeInteger);
  const isOrdered = minimumBytes >= minimumBytesMin && minimumBytes < averageBytes && averageBytes < maximumBytes;
  // fastcdc-wasm's own limits: average from 256, maximum from 1024.
  const isLarge = averageBytes >= 256 && maximumBytes >= 1024;
  const isEven = minimumBytes % 2 === 0 && (averageBytes & (averageBytes - 1)) === 0;
  if (isWhole && isOrdered && isLarge && isEven) return;
  throw new FallbackError(
    'FORMAT_UNSUPPORTED',
    `The ${what} chunk sizes ${minimumBytes}/${averageBytes}/${maximumBytes} are not ones that this version can cut by.`,
  );
}

/** Refuses parameters that this version cannot cut by. @throws FORMAT_UNSUPPORTED, LIMIT_EXCEEDED. */
export function checkChunkerParameters(parameters: ChunkerParameters): void {
  checkCutSizes(parameters.fine, 'fine');
  if (parameters.edited !== undefined) checkCutSizes(parameters.edited, 'edited');
  checkCutSizes(parameters.coarse, 'coarse');
  const { engine, fine, largeMemberBytesMin, coarseMemberBytesMin } = parameters;
  const isKnown = engine === 'fallback' || engine === 'fastcdc-wasm';
  const isOrdered = largeMemberBytesMin >= fine.minimumBytes && coarseMemberBytesMin >= largeMemberBytesMin;
  if (isKnown && isOrdered && Number.isSafeInteger(largeMemberBytesMin) && Number.isSafeInteger(coarseMemberBytesMin)) {
    return;
  }
  throw new FallbackError('FORMAT_UNSUPPORTED', 'The chunker’s rules are not ones that this version can cut by.');
}
