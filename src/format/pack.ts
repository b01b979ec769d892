// A pack's header and directory. Sealing is crypto/'s work. FORMAT.md, Pack.
import { ByteReader } from '../bytes/byte-reader.ts';
import { ByteWriter } from '../bytes/byte-writer.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { idBytes, type PackNumber, parsePackNumber, type RepositoryId, repositoryIdFromBytes } from './ids.ts';
import { limits } from './limits.ts';
import { padmeLength } from './padme.ts';
import { readMagic } from './read-magic.ts';

export const packHeaderBytes = 40;
export const chunkIdBytes = 32;
/** What a seal adds to its contents: a 24-byte nonce before, a 16-byte tag after. */
export const sealOverheadBytes = 40;

/**
 * The header, in clear, and part of the associated data of both sealed parts:
 *
 *     0  "FBPK"   4 version=1   5 flags (bit 0: has holes)   6 u16 revision   8 repository id (16)
 *     24 u64 pack number   32 u32 sealed directory's length   36 u32 sealed body's length
 */
export interface PackHeader {
  readonly repositoryId: RepositoryId;
  readonly number: PackNumber;
  /** 0 for a pack as it was first written; healing a lost pack counts up. */
  readonly revision: number;
  /** Whether a healed pack still lacks some of its chunks. */
  readonly hasHoles: boolean;
  readonly directoryBytes: number;
  readonly bodyBytes: number;
}

/** Encodes the 40 bytes of a pack's header. */
export function encodePackHeader(header: PackHeader): Uint8Array {
  return new ByteWriter(packHeaderBytes)
    .bytes(Buffer.from('FBPK'))
    .u8(1)
    .u8(header.hasHoles ? 1 : 0)
    .u16(header.revision)
    .bytes(idBytes(header.repositoryId))
    .u64(header.number)
    .u32(header.directoryBytes)
    .u32(header.bodyBytes)
    .finish();
}

/** Decodes a header from the first 40 bytes of `bytes`. @throws FORMAT_INVALID, FORMAT_UNSUPPORTED. */
export function decodePackHeader(bytes: Uint8Array): PackHeader {
  const reader = new ByteReader(bytes.subarray(0, packHeaderBytes), 'pack header');
  readMagic(reader, 'FBPK', 'pack');
  const flags = reader.u8();
  if (flags > 1)
    throw new FallbackError('FORMAT_UNSUPPORTED', 'The pack has a feature that this version does not know.');
  const revision = reader.u16();
  const repositoryId = repositoryIdFromBytes(reader.bytes(16));
  const number = parsePackNumber(reader.u64());
  const directoryBytes = reader.u32();
  const bodyBytes = reader.u32();
  if (directoryBytes < sealOverheadBytes || directoryBytes > limits.packDirectoryBytesMax) {
    throw reader.invalid('its directory’s length is out of range');
  }
  if (bodyBytes < sealOverheadBytes || packHeaderBytes + directoryBytes + bodyBytes > limits.packFileBytesMax) {
    throw reader.invalid('its length is out of range');
  }
  if (flags === 1 && revision === 0) throw reader.invalid('only a healed pack has holes');
  return { repositoryId, number, revision, hasHoles: flags === 1, directoryBytes, bodyBytes };
}

export type PackCompression = 'stored' | 'zstd';

/** The sealed list of a pack's chunks, in the order of their contents. */
export interface PackDirectory {
  readonly compression: PackCompression;
  /** Length of the body's payload (stored or compressed), without padding. */
  readonly payloadBytes: number;
  /** Each chunk's length in bytes. */
  readonly lengths: Uint32Array;
  /** All chunk ids, 32 bytes each, one after the other. */
  readonly ids: Uint8Array;
  /** Positions whose contents a healed pack lacks, ascending; their lengths stay listed, their bytes are not in the body. */
  readonly holes: readonly number[];
}

/** Length in bytes of the directory's contents before compression: what the body's payload unpacks to. */
export function packContentsBytes(directory: PackDirectory): number {
  let total = 0;
  const { lengths } = directory;
  for (let index = 0; index < lengths.length; index++) total += lengths[index] ?? 0;
  for (const hole of directory.holes) total -= directory.lengths[hole] ?? 0;
  return total;
}

/** Encodes a directory, padded with zeros to its Padmé length; not yet sealed. */
export function encodePackDirectory(directory: PackDirectory): Uint8Array {
  const count = directory.lengths.length;
  const writer = new ByteWriter(16 + count * (chunkIdBytes + 3));
  writer
    .u8(directory.compression === 'zstd' ? 1 : 0)
    .varint(directory.payloadBytes)
    .varint(count);
  for (const length of directory.lengths) writer.varint(length);
  writer.bytes(directory.ids).varint(directory.holes.length);
  let next = 0;
  for (const hole of directory.holes) {
    writer.varint(hole - next);
    next = hole + 1;
  }
  writer.zeros(padmeLength(writer.length) - writer.length);
  return writer.finish();
}

/** Decodes an opened directory. @throws FORMAT_INVALID, FORMAT_UNSUPPORTED when it is not canonical or beyond the limits. */
export function decodePackDirectory(bytes: Uint8Array): PackDirectory {
  const reader = new ByteReader(bytes, 'pack directory');
  const method = reader.u8();
  if (method > 1)
    throw new FallbackError('FORMAT_UNSUPPORTED', 'The pack is compressed in a way that this version does not know.');
  const payloadBytes = reader.varint(limits.packFileBytesMax);
  const count = reader.varint(limits.packChunksMax);
  // Each takes a byte at least: a count beyond that must not take memory.
  if (count > reader.remaining) throw reader.invalid('it ends early');
  const lengths = new Uint32Array(count);
  reader.varints(lengths, limits.chunkBytesMax);
  if (lengths.includes(0)) throw reader.invalid('a chunk is empty');
  const ids = new Uint8Array(reader.bytes(count * chunkIdBytes));
  const holes: number[] = [];
  const holeCount = reader.varint(count);
  for (let index = 0, next = 0; index < holeCount; index++) {
    const hole = next + reader.varint(count);
    if (hole >= count) throw reader.invalid('a hole lies outside the pack');
    holes.push(hole);
    next = hole + 1;
  }
  if (bytes.byteLength !== padmeLength(reader.offset)) throw reader.invalid('its padding has the wrong length');
  reader.zerosToEnd();
  const directory: PackDirectory = { compression: method === 1 ? 'zstd' : 'stored', payloadBytes, lengths, ids, holes };
  const contents = packContentsBytes(directory);
  if (contents > limits.packContentsBytesMax) throw reader.invalid('its contents are beyond the limit');
  if (method === 0 && contents !== payloadBytes) throw reader.invalid('its lengths do not add up');
  return directory;
}
