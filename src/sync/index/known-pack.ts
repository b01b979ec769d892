// What a client keeps of a pack: what its directory says, laid out in 32-bit words, so that a million packs are read without decoding.
import type { OpenedDirectory } from '../../crypto/sealed-pack.ts';
import { packHeaderBytes } from '../../format/pack.ts';
import { idWords } from './chunk-index.ts';

/** A pack's chunks, by position. */
export interface KnownPack {
  readonly number: number;
  /** Of its file. */
  readonly fileBytes: number;
  /** Of each chunk, in bytes. */
  readonly lengths: Uint32Array;
  /** Eight words each. */
  readonly ids: Uint32Array;
  /** Positions whose contents it lacks, ascending. */
  readonly holes: Uint32Array;
}

export function knownPackOf({ header, directory }: OpenedDirectory): KnownPack {
  return {
    number: header.number,
    fileBytes: packHeaderBytes + header.directoryBytes + header.bodyBytes,
    lengths: directory.lengths,
    ids: idWords(directory.ids),
    holes: Uint32Array.from(directory.holes),
  };
}

/** The same in memory of its own. */
export const copyOf = (pack: KnownPack): KnownPack => ({
  ...pack,
  lengths: pack.lengths.slice(),
  ids: pack.ids.slice(),
  holes: pack.holes.slice(),
});

/** Of all chunks that are there, before compression. */
export function contentsBytesOf({ lengths, holes }: KnownPack): number {
  let total = 0;
  for (let position = 0; position < lengths.length; position++) total += lengths[position] ?? 0;
  for (const hole of holes) total -= lengths[hole] ?? 0;
  return total;
}

// A record, in words: number (lower 32 bits, upper) | bytes of the file | chunks | holes | length of each chunk | holes | ids
const headWords = 5;
const idWordCount = 8;

/** How long its record is, in bytes. */
export const recordBytesOf = ({ lengths, holes }: KnownPack): number =>
  4 * (headWords + lengths.length * (1 + idWordCount) + holes.length);

/** Records of packs, one after the other. */
export function encodeKnownPacks(packs: readonly KnownPack[]): Uint8Array {
  const words = new Uint32Array(packs.reduce((sum, pack) => sum + recordBytesOf(pack), 0) / 4);
  let at = 0;
  for (const { number, fileBytes, lengths, ids, holes } of packs) {
    words.set([number % 2 ** 32, Math.floor(number / 2 ** 32), fileBytes, lengths.length, holes.length], at);
    at += headWords;
    for (const part of [lengths, holes, ids]) {
      words.set(part, at);
      at += part.length;
    }
  }
  return new Uint8Array(words.buffer);
}

/** @param bytes as encodeKnownPacks made them: their seal was checked. The packs are views of them. */
export function* decodeKnownPacks(bytes: Uint8Array): Generator<KnownPack> {
  const words = idWords(bytes);
  for (let at = 0; at < words.length; ) {
    const chunks = words[at + 3] ?? 0;
    const lengthsAt = at + headWords;
    const holesAt = lengthsAt + chunks;
    const idsAt = holesAt + (words[at + 4] ?? 0);
    const end = idsAt + chunks * idWordCount;
    yield {
      number: (words[at] ?? 0) + (words[at + 1] ?? 0) * 2 ** 32,
      fileBytes: words[at + 2] ?? 0,
      lengths: words.subarray(lengthsAt, holesAt),
      holes: words.subarray(holesAt, idsAt),
      ids: words.subarray(idsAt, end),
    };
    at = end;
  }
}
