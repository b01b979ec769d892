// A block of remembered spans: some of them, one after the other, as the archive had them.
import { ByteReader } from '../../../bytes/byte-reader.ts';
import type { ByteWriter } from '../../../bytes/byte-writer.ts';
import type { KnownSpan } from '../../../chunker/chunker.ts';
import { spanChunksMax } from '../../../chunker/span-rule.ts';
import { spanTagBytes } from '../../../crypto/span-tag.ts';
import { limits } from '../../../format/limits.ts';
import { chunkIdBytes } from '../../../format/pack.ts';

/** How many spans a block holds; the last may hold fewer. One seal costs as much as tagging two spans. */
export const blockSpans = 32;

/** A remembered span with its tag. */
export interface TaggedSpan extends KnownSpan {
  readonly tag: Uint8Array;
}

/** A span to remember: its tag, and its chunks' lengths, kinds and ids (32 bytes each). */
export interface SeenSpan {
  readonly tag: Uint8Array;
  readonly lengths: Uint32Array;
  readonly kinds: Uint8Array;
  readonly ids: Uint8Array;
}

/** Appends a span: tag (16) | varint chunks | for each varint (length x 2 + kind) | the ids (32 each). */
export function encodeSpan(writer: ByteWriter, { tag, lengths, kinds, ids }: SeenSpan): void {
  writer.bytes(tag).varint(lengths.length);
  for (let index = 0; index < lengths.length; index++) writer.varint((lengths[index] ?? 0) * 2 + (kinds[index] ?? 0));
  writer.bytes(ids);
}

function decodeSpan(reader: ByteReader): TaggedSpan {
  const tag = reader.bytes(spanTagBytes);
  const count = reader.varint(spanChunksMax);
  if (count === 0) throw reader.invalid('a span has no chunk');
  const ends = new Uint32Array(count);
  const kinds = new Uint8Array(count);
  let end = 0;
  for (let index = 0; index < count; index++) {
    const value = reader.varint(2 * limits.chunkBytesMax + 1);
    if (value < 2) throw reader.invalid('a chunk has no bytes');
    end += Math.floor(value / 2);
    ends[index] = end;
    kinds[index] = value % 2;
  }
  const ids = reader.bytes(count * chunkIdBytes);
  // A Buffer, because its copy into shared memory is twice as fast as `set`.
  return { tag, lengthBytes: end, ends, kinds, ids: Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength) };
}

/** All spans of a block. @throws FORMAT_INVALID. */
export function decodeBlock(bytes: Uint8Array): TaggedSpan[] {
  const reader = new ByteReader(bytes, 'block of remembered spans');
  const spans: TaggedSpan[] = [];
  while (reader.remaining > 0) spans.push(decodeSpan(reader));
  return spans;
}
