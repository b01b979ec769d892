// The server's JSON as the store's types: every field checked, because the server may be hostile. PROTOCOL.md, Answers.
import { ByteReader } from '../../bytes/byte-reader.ts';
import { fromHex } from '../../bytes/hex.ts';
import { isFallbackError } from '../../errors/fallback-error.ts';
import {
  parseEpoch,
  parseLeaseId,
  parseOrigin,
  parseRepositoryId,
  parseSnapshotNumber,
  type RepositoryId,
} from '../../format/ids.ts';
import { limits } from '../../format/limits.ts';
import { type PackRanges, readPackRanges } from '../../format/pack-ranges.ts';
import type { Lease, RepositoryStatus, SnapshotPointer, SnapshotSummary } from '../../store/repository-store.ts';
import { foreign } from './http-client.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Reads one JSON answer; whatever is wrong with it is PROTOCOL. */
export function decodeAnswer<Result>(body: Uint8Array, read: (fields: Fields) => Result): Result {
  try {
    return read(object(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))));
  } catch (error) {
    if (isFallbackError(error, 'PROTOCOL')) throw error;
    throw foreign(error);
  }
}

/** A JSON object. @throws PROTOCOL. */
export function object(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw foreign();
  return value as Fields;
}

export function array(value: unknown, lengthMax: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > lengthMax) throw foreign();
  return value;
}

export function text(value: unknown, charactersMax: number): string {
  if (typeof value !== 'string' || value.length > charactersMax) throw foreign();
  // Names go to terminals: no control characters.
  return value.replace(/\p{C}/gu, ' ');
}

export function integer(value: unknown, max: number = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) throw foreign();
  return value;
}

export function base64(value: unknown, bytesMax: number): Uint8Array {
  if (typeof value !== 'string' || value.length > Math.ceil(bytesMax / 3) * 4) throw foreign();
  const bytes = Buffer.from(value, 'base64');
  if (bytes.byteLength > bytesMax || bytes.toString('base64') !== value) throw foreign();
  return new Uint8Array(bytes);
}

function flag(value: unknown): boolean {
  if (typeof value !== 'boolean') throw foreign();
  return value;
}

const optional = <Result>(value: unknown, read: (value: unknown) => Result): Result | undefined =>
  value === undefined ? undefined : read(value);

export const repositoryId = (value: unknown): RepositoryId => parseRepositoryId(text(value, 32));

function ranges(value: unknown): PackRanges {
  // Two varints of at most six bytes a range, and the count.
  const reader = new ByteReader(base64(value, limits.packRangesMax * 12 + 8), 'list of packs');
  const set = readPackRanges(reader);
  reader.end();
  return set;
}

function pointer(fields: Fields): SnapshotPointer {
  const sha256 = fromHex(text(fields['sha256'], 64), 32);
  if (sha256 === undefined) throw foreign();
  return { number: parseSnapshotNumber(integer(fields['number'])), sha256 };
}

export function decodeSummary(fields: Fields): SnapshotSummary {
  return {
    ...pointer(fields),
    receivedAtMs: integer(fields['receivedAtMs']),
    epoch: parseEpoch(integer(fields['epoch'])),
    origin: parseOrigin(text(fields['origin'], limits.originBytesMax)),
    complete: flag(fields['complete']),
    fileBytes: integer(fields['fileBytes'], limits.snapshotFileBytesMax),
    pinned: flag(fields['pinned']),
    deletedAfterMs: optional(fields['deletedAfterMs'], (value) => integer(value)),
    packsDamaged: ranges(fields['packsDamaged']),
    ...(optional(fields['fileLost'], flag) === true ? { fileLost: true } : {}),
  };
}

export function decodeStatus(fields: Fields): RepositoryStatus {
  return {
    repositoryId: repositoryId(fields['repositoryId']),
    name: text(fields['name'], limits.repositoryNameBytesMax),
    epoch: parseEpoch(integer(fields['epoch'])),
    generation: text(fields['generation'], 64),
    head: optional(fields['head'], (value) => pointer(object(value))),
    lastPack: integer(fields['lastPack'], limits.packNumberMax),
    present: ranges(fields['present']),
    lost: ranges(fields['lost']),
    holed: ranges(fields['holed']),
    healRevision: integer(fields['healRevision'], limits.packRevisionMax),
    storedBytes: integer(fields['storedBytes']),
    quotaBytes: optional(fields['quotaBytes'], (value) => integer(value)),
    freeBytes: integer(fields['freeBytes']),
    leaseHolder: optional(fields['leaseHolder'], (value) => text(value, limits.hostBytesMax)),
    lastCompleteAtMs: optional(fields['lastCompleteAtMs'], (value) => integer(value)),
    serverTimeMs: integer(fields['serverTimeMs']),
  };
}

export function decodeLease(fields: Fields): Lease {
  return {
    leaseId: parseLeaseId(text(fields['leaseId'], 32)),
    firstPack: integer(fields['firstPack'], limits.packNumberMax),
    lifetimeMs: integer(fields['lifetimeMs']),
    status: decodeStatus(object(fields['status'])),
  };
}
