// Where spans end: a rule of the bytes alone, so that an archive that was edited has the same spans before and behind the edit.

/**
 * Spans of 128 KiB on average: a tag of them costs 20 µs, at 64 KiB 13 and at 256 KiB 36; smaller ones are spoiled by fewer edits.
 */
const averageBytes = 128 * 1024;
/** A span ends at the latest with the chunk that makes it as long, or with so many chunks. */
const closedBytes = 256 * 1024;
export const spanChunksMax = 1024;

/** The longest span, given the longest chunk, in bytes. */
export const spanBytesMax = (chunkBytesMax: number): number => closedBytes + chunkBytesMax;

/**
 * Whether a span ends with a chunk: by chance, as seldom as the chunk is short, drawn from its last eight bytes.
 * @param end where the chunk ends in `bytes`. @param chunkBytes its length. @param spanBytes the span's with it, of `chunks` chunks.
 */
export function endsSpan(
  bytes: Uint8Array,
  end: number,
  chunkBytes: number,
  spanBytes: number,
  chunks: number,
): boolean {
  if (spanBytes >= closedBytes || chunks >= spanChunksMax) return true;
  let mixed = 0;
  for (let at = Math.max(end - 8, end - chunkBytes); at < end; at++) {
    mixed = Math.imul(mixed ^ (bytes[at] ?? 0), 0x9e3779b1);
    mixed ^= mixed >>> 15;
  }
  return (mixed >>> 0) / 2 ** 32 < chunkBytes / averageBytes;
}
