// Branded ids, one parse function each, so that no number or text of one kind is taken for another.
import { fromHex, toHex } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { limits } from './limits.ts';

declare const brand: unique symbol;
type Branded<Base, Name> = Base & { readonly [brand]: Name };

/** 16 random bytes in lower-case hexadecimal: names a repository for ever. */
export type RepositoryId = Branded<string, 'RepositoryId'>;
/** A pack's number in its repository, from 1, never used for other contents. */
export type PackNumber = Branded<number, 'PackNumber'>;
/** A snapshot's number in its repository, from 1. */
export type SnapshotNumber = Branded<number, 'SnapshotNumber'>;
/** Rises with every takeover, from 1. */
export type Epoch = Branded<number, 'Epoch'>;
/** 16 random bytes in lower-case hexadecimal, made by the writer that holds the lease. */
export type LeaseId = Branded<string, 'LeaseId'>;
/** Who made a snapshot: a short label in clear, so that retention can keep each origin's snapshots apart. */
export type Origin = Branded<string, 'Origin'>;
/** A SHA-256 in lower-case hexadecimal. */
export type Sha256Hex = Branded<string, 'Sha256Hex'>;

function invalid(what: string, text: string): FallbackError {
  return new FallbackError('FORMAT_INVALID', `Not a valid ${what}: ${JSON.stringify(text.slice(0, 80))}.`);
}

function parseHex(what: string, text: string, byteLength: number): string {
  if (fromHex(text, byteLength) === undefined) throw invalid(what, text);
  return text;
}

function parseNumber(what: string, value: number, max: number): number {
  if (!Number.isSafeInteger(value) || value < 1 || value > max) throw invalid(what, String(value));
  return value;
}

/** @throws FORMAT_INVALID unless it is 32 lower-case hexadecimal digits. */
export const parseRepositoryId = (text: string): RepositoryId => parseHex('repository id', text, 16) as RepositoryId;
/** @throws FORMAT_INVALID unless it is 32 lower-case hexadecimal digits. */
export const parseLeaseId = (text: string): LeaseId => parseHex('lease id', text, 16) as LeaseId;
/** @throws FORMAT_INVALID unless it is 64 lower-case hexadecimal digits. */
export const parseSha256Hex = (text: string): Sha256Hex => parseHex('SHA-256', text, 32) as Sha256Hex;
/** @throws FORMAT_INVALID unless it is an integer from 1 to the limit. */
export const parsePackNumber = (value: number): PackNumber =>
  parseNumber('pack number', value, limits.packNumberMax) as PackNumber;
/** @throws FORMAT_INVALID unless it is an integer from 1 to the limit. */
export const parseSnapshotNumber = (value: number): SnapshotNumber =>
  parseNumber('snapshot number', value, limits.snapshotNumberMax) as SnapshotNumber;
/** @throws FORMAT_INVALID unless it is an integer from 1 to the limit. */
export const parseEpoch = (value: number): Epoch => parseNumber('epoch', value, limits.epochMax) as Epoch;

/** @throws FORMAT_INVALID unless it is 1-32 characters of a-z, 0-9 and inner hyphens. */
export function parseOrigin(text: string): Origin {
  if (text.length > limits.originBytesMax || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(text)) throw invalid('origin', text);
  return text as Origin;
}

/** The 16 bytes of a repository id or lease id, or the 32 of a SHA-256. */
export function idBytes(id: RepositoryId | LeaseId | Sha256Hex): Uint8Array {
  return new Uint8Array(Buffer.from(id, 'hex'));
}

/** Of bytes only the length can be wrong: the digits are not looked at again, which every header of a million would pay for. */
function hexOf(what: string, bytes: Uint8Array, byteLength: number): string {
  const text = toHex(bytes);
  if (bytes.byteLength !== byteLength) throw invalid(what, text);
  return text;
}

/** A repository id from its 16 bytes. */
export const repositoryIdFromBytes = (bytes: Uint8Array): RepositoryId =>
  hexOf('repository id', bytes, 16) as RepositoryId;
/** A lease id from 16 random bytes. */
export const leaseIdFromBytes = (bytes: Uint8Array): LeaseId => hexOf('lease id', bytes, 16) as LeaseId;
/** A SHA-256 from its 32 bytes. */
export const sha256FromBytes = (bytes: Uint8Array): Sha256Hex => hexOf('SHA-256', bytes, 32) as Sha256Hex;
