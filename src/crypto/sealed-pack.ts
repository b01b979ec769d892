// Seals and opens packs. FORMAT.md, Pack: the associated data of each part is the header and the part's number.
import { constants as zlib, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { freeBytes } from '../bytes/free-bytes.ts';
import { equalBytes } from '../bytes/hex.ts';
import { joinBytes } from '../bytes/join-bytes.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import type { PackNumber } from '../format/ids.ts';
import {
  chunkIdBytes,
  decodePackDirectory,
  decodePackHeader,
  encodePackDirectory,
  encodePackHeader,
  type PackDirectory,
  type PackHeader,
  packContentsBytes,
  packHeaderBytes,
  sealOverheadBytes,
} from '../format/pack.ts';
import { padmeLength } from '../format/padme.ts';
import { chunkHasher } from './chunk-id.ts';
import type { RepositoryKeys } from './key-hierarchy.ts';
import { open, openParts, type RandomBytes, sealParts } from './seal.ts';

const directoryPart = 1;
const bodyPart = 2;
const sampleBytes = 64 * 1024;
/** A sample that zstd shrinks by less than this is stored: compressing it would cost 3 ns a byte for nothing. */
const worthwhileRatio = 0.97;

/** A window of 2^24 bytes covers every pack: 4-8 % faster and 0.2 % smaller than level 3's own 2^21. Readers refuse larger ones. */
const windowLog = 24;
/** At least ZSTD_compressBound: with room for the worst case zstd writes the frame in one pass, without buffers and copies of its own. */
const frameBytesMax = (contentsBytes: number): number => contentsBytes + (contentsBytes >> 8) + 128;

type PackKeys = Pick<RepositoryKeys, 'repositoryId' | 'pack' | 'chunkId'>;

/** What goes into a pack. */
export interface PackContents {
  readonly number: PackNumber;
  /** 0, or the heal revision. */
  readonly revision: number;
  /** All chunks one after the other, those in `holes` left out. */
  readonly contents: Uint8Array;
  readonly lengths: Uint32Array;
  /** 32 bytes each. */
  readonly ids: Uint8Array;
  readonly holes: readonly number[];
  /** zstd level; 0 stores. */
  readonly level: number;
}

function partData(header: Uint8Array, part: number): Uint8Array {
  const data = new Uint8Array(header.byteLength + 1);
  data.set(header);
  data[header.byteLength] = part;
  return data;
}

function compress(contents: Uint8Array, level: number): Uint8Array | undefined {
  if (level === 0 || contents.byteLength === 0) return undefined;
  if (contents.byteLength > 4 * sampleBytes) {
    let shrunk = 0;
    for (const share of [0.1, 0.5, 0.9]) {
      const start = Math.floor((contents.byteLength - sampleBytes) * share);
      const frame = zstdCompressSync(contents.subarray(start, start + sampleBytes), {
        chunkSize: frameBytesMax(sampleBytes),
        params: { [zlib.ZSTD_c_compressionLevel]: 1 },
      });
      shrunk += frame.byteLength;
      freeBytes(frame);
    }
    if (shrunk > 3 * sampleBytes * worthwhileRatio) return undefined;
  }
  const frame = zstdCompressSync(contents, {
    chunkSize: frameBytesMax(contents.byteLength),
    pledgedSrcSize: contents.byteLength,
    params: { [zlib.ZSTD_c_compressionLevel]: level, [zlib.ZSTD_c_windowLog]: windowLog },
  });
  return frame.byteLength < contents.byteLength * worthwhileRatio ? frame : undefined;
}

/**
 * Seals a pack. It is not yet verified: see verifySealedPack.
 * @returns parts that together are the pack file; the first holds the header and the whole sealed directory.
 */
export function sealPack(keys: PackKeys, pack: PackContents, randomBytes: RandomBytes): Uint8Array[] {
  const frame = compress(pack.contents, pack.level);
  const payload = frame ?? pack.contents;
  const directory = encodePackDirectory({
    compression: frame === undefined ? 'stored' : 'zstd',
    payloadBytes: payload.byteLength,
    lengths: pack.lengths,
    ids: pack.ids,
    holes: pack.holes,
  });
  const paddedBytes = padmeLength(payload.byteLength);
  const header = encodePackHeader({
    repositoryId: keys.repositoryId,
    number: pack.number,
    revision: pack.revision,
    hasHoles: pack.holes.length > 0,
    directoryBytes: directory.byteLength + sealOverheadBytes,
    bodyBytes: paddedBytes + sealOverheadBytes,
  });
  const padding = new Uint8Array(paddedBytes - payload.byteLength);
  const sealedDirectory = sealParts(keys.pack, partData(header, directoryPart), [directory], randomBytes);
  const body = sealParts(keys.pack, partData(header, bodyPart), [payload, padding], randomBytes);
  if (frame !== undefined) freeBytes(frame);
  return [joinBytes([header, ...sealedDirectory]), ...body];
}

function openHeader(
  keys: PackKeys,
  bytes: Uint8Array,
  number: number,
): { header: PackHeader; headerBytes: Uint8Array } {
  const header = decodePackHeader(bytes);
  if (header.repositoryId !== keys.repositoryId || header.number !== number) {
    throw new FallbackError(
      'SEAL_BROKEN',
      `What the store gives as pack ${number} is another pack. Nothing of it was used.`,
    );
  }
  return { header, headerBytes: bytes.subarray(0, packHeaderBytes) };
}

/** A pack's header and directory, opened. */
export interface OpenedDirectory {
  readonly header: PackHeader;
  readonly directory: PackDirectory;
}

/**
 * Opens the directory at the start of a pack file.
 * @param bytes at least the header and the sealed directory.
 * @throws SEAL_BROKEN, FORMAT_INVALID, FORMAT_UNSUPPORTED.
 */
export function openPackDirectory(keys: PackKeys, bytes: Uint8Array, number: number): OpenedDirectory {
  const { header, headerBytes } = openHeader(keys, bytes, number);
  const sealed = bytes.subarray(packHeaderBytes, packHeaderBytes + header.directoryBytes);
  const plaintext = open(keys.pack, partData(headerBytes, directoryPart), sealed, `directory of pack ${number}`);
  const directory = decodePackDirectory(plaintext);
  if (
    header.hasHoles !== directory.holes.length > 0 ||
    header.bodyBytes !== padmeLength(directory.payloadBytes) + sealOverheadBytes
  ) {
    throw new FallbackError('FORMAT_INVALID', `Pack ${number} is not valid: its header and its directory disagree.`);
  }
  return { header, directory };
}

/** An opened pack: `contents` are all chunks that are not holes, one after the other, each checked against its id. */
export interface OpenedPack extends OpenedDirectory {
  readonly contents: Uint8Array;
}

/**
 * Opens a whole pack file: seal, then decompression with the declared length as its limit, then every chunk against its id.
 * @param checkIds false only where the archive's SHA-256 is checked before anything is passed on.
 * @throws SEAL_BROKEN, FORMAT_INVALID, FORMAT_UNSUPPORTED, DAMAGED (a chunk is not what its id says).
 */
export function openPack(keys: PackKeys, bytes: Uint8Array, number: number, checkIds = true): OpenedPack {
  return openPackParts(keys, [bytes], number, checkIds);
}

/** @param parts of the pack file, as sealPack made them or read them; the first holds all before the body. */
function openPackParts(
  keys: PackKeys,
  [first = new Uint8Array(0), ...rest]: readonly Uint8Array[],
  number: number,
  checkIds: boolean,
): OpenedPack {
  const { header, directory } = openPackDirectory(keys, first, number);
  const bodyStart = packHeaderBytes + header.directoryBytes;
  const body = [first.subarray(bodyStart), ...rest].filter(({ byteLength }) => byteLength > 0);
  if (body.reduce((sum, part) => sum + part.byteLength, 0) !== header.bodyBytes) {
    throw new FallbackError('SEAL_BROKEN', `Pack ${number} has the wrong length. Nothing of it was used.`);
  }
  const headerBytes = first.subarray(0, packHeaderBytes);
  const opened = openParts(keys.pack, partData(headerBytes, bodyPart), body, `body of pack ${number}`);
  const payload = takePayload(opened, directory.payloadBytes, number);
  const contents = unpack(directory, payload, number);
  for (const part of opened) if (contents.buffer !== part.buffer) freeBytes(part);
  if (checkIds) checkChunkIds(keys, directory, contents, number);
  return { header, directory, contents };
}

/** The payload that the opened parts begin with; zeros follow. It mostly lies in the first, as it was sealed. */
function takePayload(opened: readonly Uint8Array[], payloadBytes: number, number: number): Uint8Array {
  const isWhole = (opened[0]?.byteLength ?? 0) >= payloadBytes;
  const [first = new Uint8Array(0), ...rest] = isWhole ? opened : [joinBytes(opened)];
  for (const padding of [first.subarray(payloadBytes), ...rest]) {
    if (!equalBytes(padding, new Uint8Array(padding.byteLength)))
      throw new FallbackError('FORMAT_INVALID', `Pack ${number} is not valid: its padding is not zero.`);
  }
  return first.subarray(0, payloadBytes);
}

function checkChunkIds(keys: PackKeys, directory: PackDirectory, contents: Uint8Array, number: number): void {
  const { lengths, ids } = presentChunks(directory);
  const wrong = chunkHasher(keys.chunkId).findWrong(contents, lengths, ids);
  if (wrong >= 0)
    throw new FallbackError('DAMAGED', `Chunk ${wrong} of pack ${number} is not what its id says. It was not used.`);
}

function unpack(directory: PackDirectory, payload: Uint8Array, number: number): Uint8Array {
  const expected = packContentsBytes(directory);
  if (directory.compression === 'stored') return payload;
  let unpacked: { readonly buffer: Uint8Array; readonly engine: { readonly bytesWritten: number } };
  try {
    // With `info` Node tells how much of the payload the frame took; its types do not know.
    unpacked = zstdDecompressSync(payload, {
      info: true,
      maxOutputLength: Math.max(1, expected),
      // One byte more than needed: zstd sees the frame's end in the same call (20-50 % faster).
      chunkSize: Math.max(zlib.Z_MIN_CHUNK, expected + 1),
      params: { [zlib.ZSTD_d_windowLogMax]: windowLog },
    }) as unknown as typeof unpacked;
  } catch (cause) {
    throw new FallbackError('FORMAT_INVALID', `Pack ${number} is not valid: its contents do not unpack.`, { cause });
  }
  if (unpacked.buffer.byteLength !== expected || unpacked.engine.bytesWritten !== payload.byteLength) {
    throw new FallbackError('FORMAT_INVALID', `Pack ${number} is not valid: its contents have the wrong length.`);
  }
  return unpacked.buffer;
}

/** The lengths and ids of the chunks whose contents are there. */
function presentChunks(directory: PackDirectory): { lengths: Iterable<number>; ids: Uint8Array } {
  if (directory.holes.length === 0) return { lengths: directory.lengths, ids: directory.ids };
  const holes = new Set(directory.holes);
  const lengths: number[] = [];
  const ids: Uint8Array[] = [];
  for (const [position, length] of directory.lengths.entries()) {
    if (holes.has(position)) continue;
    lengths.push(length);
    ids.push(directory.ids.subarray(position * chunkIdBytes, (position + 1) * chunkIdBytes));
  }
  return { lengths, ids: Buffer.concat(ids) };
}

/**
 * Opens a freshly sealed pack again and compares it with what went in, so that a bit flipped in memory or by a compressor
 * never reaches the store (restic#4529).
 * @param parts as sealPack returns them.
 * @throws VERIFY_FAILED.
 */
export function verifySealedPack(keys: PackKeys, parts: readonly Uint8Array[], pack: PackContents): void {
  let reason: unknown;
  try {
    const opened = openPackParts(keys, parts, pack.number, true);
    const isWhole = opened.contents.byteLength === pack.contents.byteLength;
    freeBytes(opened.contents);
    if (isWhole && equalBytes(opened.directory.ids, pack.ids)) return;
  } catch (cause) {
    reason = cause;
  }
  throw new FallbackError(
    'VERIFY_FAILED',
    `Pack ${pack.number} did not open again after it was sealed. It was not sent.`,
    {
      cause: reason,
    },
  );
}
