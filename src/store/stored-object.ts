// How an object lies in the store: the client's bytes, then a trailer that lets the file prove itself without a key and
// without the database. FORMAT.md, Stored object.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { ByteReader } from '../bytes/byte-reader.ts';
import { ByteWriter } from '../bytes/byte-writer.ts';
import { equalBytes } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';

export const trailerBytes = 48;

/** What file systems give a file at least: many small objects must not be cheaper than they are. */
export const diskBlockBytes = 4096;

/** What an object takes on the disk, with its trailer and in whole blocks. @param contentsBytes length of the client's bytes. */
export function diskBytes(contentsBytes: number): number {
  return Math.ceil((contentsBytes + trailerBytes) / diskBlockBytes) * diskBlockBytes;
}

export const objectKinds = ['pack', 'snapshot', 'key document', 'configuration'] as const;
export type ObjectKind = (typeof objectKinds)[number];

/**
 * The last 48 bytes of every stored object:
 *
 *     0  "FBTR"   4 version=1   5 kind (1 pack, 2 snapshot, 3 key document, 4 configuration)
 *     6  u48 time of receipt, ms since 1970 by the server's clock
 *     12 u32 CRC-32 of the trailer's other 44 bytes, in order   16 SHA-256 of the client's bytes (32)
 *
 * The SHA-256 finds a changed byte of the object, the CRC-32 one of the trailer itself.
 */
export interface ObjectTrailer {
  readonly kind: ObjectKind;
  readonly receivedAtMs: number;
  readonly sha256: Uint8Array;
}

function checkSum(head: Uint8Array, sha256: Uint8Array): number {
  return crc32(sha256, crc32(head));
}

function trailerHead(trailer: ObjectTrailer): Uint8Array {
  const time = trailer.receivedAtMs;
  if (!Number.isSafeInteger(time) || time < 0 || time >= 2 ** 48) throw new RangeError(`not a time: ${time}`);
  return new ByteWriter(12)
    .bytes(Buffer.from('FBTR'))
    .u8(1)
    .u8(objectKinds.indexOf(trailer.kind) + 1)
    .u32(time % 2 ** 32)
    .u16(Math.floor(time / 2 ** 32))
    .finish();
}

/** Encodes the 48 bytes. */
export function encodeTrailer(trailer: ObjectTrailer): Uint8Array {
  const head = trailerHead(trailer);
  return new ByteWriter(trailerBytes).bytes(head).u32(checkSum(head, trailer.sha256)).bytes(trailer.sha256).finish();
}

/** Decodes a trailer from exactly 48 bytes. @throws FORMAT_INVALID, FORMAT_UNSUPPORTED. */
export function decodeTrailer(bytes: Uint8Array): ObjectTrailer {
  const reader = new ByteReader(bytes, 'stored object’s trailer');
  if (Buffer.from(reader.bytes(4)).toString('latin1') !== 'FBTR') throw reader.invalid('it does not begin with FBTR');
  const version = reader.u8();
  const kind = objectKinds[reader.u8() - 1];
  const receivedAtMs = reader.u32() + reader.u16() * 2 ** 32;
  const sum = reader.u32();
  const sha256 = new Uint8Array(reader.bytes(32));
  reader.end();
  if (sum !== checkSum(bytes.subarray(0, 12), sha256)) throw reader.invalid('its checksum is wrong');
  if (version !== 1 || kind === undefined) {
    throw new FallbackError('FORMAT_UNSUPPORTED', 'A stored object was written by a newer version.');
  }
  return { kind, receivedAtMs, sha256 };
}

/** SHA-256 of byte strings, one after the other. */
export function sha256Of(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** A whole object taken apart and proven. */
export interface StoredObject extends ObjectTrailer {
  /** The client's bytes, as a view of the input. */
  readonly contents: Uint8Array;
}

/** Takes a small object's file apart and verifies it. @throws FORMAT_INVALID, FORMAT_UNSUPPORTED when a byte was changed. */
export function openStoredObject(file: Uint8Array, kind: ObjectKind): StoredObject {
  if (file.byteLength < trailerBytes) {
    throw new FallbackError('FORMAT_INVALID', `The stored ${kind} is not valid: it is too short.`);
  }
  const contents = file.subarray(0, -trailerBytes);
  const trailer = decodeTrailer(file.subarray(-trailerBytes));
  if (trailer.kind !== kind) {
    throw new FallbackError('FORMAT_INVALID', `The stored ${kind} is not valid: it is a ${trailer.kind}.`);
  }
  if (!equalBytes(sha256Of(contents), trailer.sha256)) {
    throw new FallbackError('FORMAT_INVALID', `The stored ${kind} is not valid: its SHA-256 is wrong.`);
  }
  return { ...trailer, contents };
}
