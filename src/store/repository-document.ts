// repository.json: the few facts of a repository that are no object and must outlive the database. FORMAT.md, Repository document.

import { toHex } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import {
  type Epoch,
  parseEpoch,
  parseRepositoryId,
  parseSha256Hex,
  type RepositoryId,
  type Sha256Hex,
} from '../format/ids.ts';
import { limits } from '../format/limits.ts';
import { parseRetentionPolicy, type RetentionPolicy } from './retention-policy.ts';
import { sha256Of } from './stored-object.ts';

/** What a token may do: read, push (read and add), takeover (push and raise the epoch). */
export const tokenScopes = ['read', 'push', 'takeover'] as const;
export type TokenScope = (typeof tokenScopes)[number];

/** A token as the server knows it: its hash, never itself. */
export interface TokenRecord {
  readonly sha256: Sha256Hex;
  readonly scopes: readonly TokenScope[];
  /** For people. */
  readonly label: string;
  readonly createdAtMs: number;
}

/** The contents of repository.json. */
export interface RepositoryDocument {
  readonly repositoryId: RepositoryId;
  readonly name: string;
  readonly createdAtMs: number;
  /** Counts every change: of a document and a database that differ, the one with the higher serial is newer. */
  readonly serial: number;
  readonly generation: string;
  readonly epoch: Epoch;
  readonly tokens: readonly TokenRecord[];
  /** Null: none. */
  readonly quotaBytes: number | null;
  /** Null: the default policy. */
  readonly retention: RetentionPolicy | null;
  readonly pins: readonly number[];
  /** No pack number above this was ever accepted: raised durably before numbers are used. */
  readonly reservedPacks: number;
  /** The least revision that a pack healed now must carry. */
  readonly healRevision: number;
  /** The end of the chain of snapshots, so that it outlives a damaged last file. */
  readonly head: { readonly number: number; readonly sha256: Sha256Hex } | null;
}

export const documentBytesMax = 4 * 1024 * 1024;

/** One line of JSON for the check, one for the document: any changed byte of the file is noticed. */
export function encodeRepositoryDocument(document: RepositoryDocument): Uint8Array {
  const text = Buffer.from(`${JSON.stringify({ fallbackRepository: 1, ...document }, undefined, 1)}\n`);
  return Buffer.concat([Buffer.from(`{"sha256":"${toHex(sha256Of(text))}"}\n`), text]);
}

function invalid(reason: string): FallbackError {
  return new FallbackError('FORMAT_INVALID', `The file repository.json is not valid: ${reason}.`);
}

type Json = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown, name: string): string {
  if (typeof value !== 'string') throw invalid(`${name} is not a text`);
  return value;
}

function whole(value: unknown, name: string, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) {
    throw invalid(`${name} is not a number in range`);
  }
  return value;
}

function list(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(`${name} is not a list`);
  return value;
}

/** Whether `value` names a scope. */
export function isTokenScope(value: unknown): value is TokenScope {
  return tokenScopes.some((scope) => scope === value);
}

function readToken(value: unknown): TokenRecord {
  if (!isRecord(value)) throw invalid('a token is not an object');
  return {
    sha256: parseSha256Hex(text(value['sha256'], 'a token’s hash')),
    scopes: list(value['scopes'], 'a token’s scopes').map((scope) => {
      if (!isTokenScope(scope)) throw invalid('a token’s scope is unknown');
      return scope;
    }),
    label: text(value['label'], 'a token’s label'),
    createdAtMs: whole(value['createdAtMs'], 'a token’s time'),
  };
}

function readHead(value: unknown): RepositoryDocument['head'] {
  if (value === null) return null;
  if (!isRecord(value)) throw invalid('head is not an object');
  return {
    number: whole(value['number'], 'head', limits.snapshotNumberMax),
    sha256: parseSha256Hex(text(value['sha256'], 'head’s SHA-256')),
  };
}

/** A document from parsed JSON. @throws FORMAT_INVALID, FORMAT_UNSUPPORTED. */
export function readRepositoryDocument(json: unknown): RepositoryDocument {
  if (!isRecord(json)) throw invalid('it is not an object');
  if (json['fallbackRepository'] !== 1) {
    throw new FallbackError('FORMAT_UNSUPPORTED', 'The repository was written by a newer version.');
  }
  const quota = json['quotaBytes'];
  const retention = json['retention'];
  return {
    repositoryId: parseRepositoryId(text(json['repositoryId'], 'the id')),
    name: text(json['name'], 'the name'),
    createdAtMs: whole(json['createdAtMs'], 'the time'),
    serial: whole(json['serial'], 'serial'),
    generation: text(json['generation'], 'generation'),
    epoch: parseEpoch(whole(json['epoch'], 'epoch')),
    tokens: list(json['tokens'], 'tokens').map(readToken),
    quotaBytes: quota === null ? null : whole(quota, 'the quota'),
    retention: retention === null ? null : parseRetentionPolicy(retention),
    pins: list(json['pins'], 'pins').map((pin) => whole(pin, 'a pin', limits.snapshotNumberMax)),
    reservedPacks: whole(json['reservedPacks'], 'reservedPacks', limits.packNumberMax),
    healRevision: whole(json['healRevision'], 'healRevision', limits.packRevisionMax + 1),
    head: readHead(json['head']),
  };
}

/** Reads the file. @throws FORMAT_INVALID when any byte was changed, FORMAT_UNSUPPORTED. */
export function decodeRepositoryDocument(file: Uint8Array): RepositoryDocument {
  const end = file.indexOf(0x0a) + 1;
  const body = file.subarray(end);
  const expected = `{"sha256":"${toHex(sha256Of(body))}"}\n`;
  if (Buffer.from(file.subarray(0, end)).toString('latin1') !== expected) throw invalid('its SHA-256 is wrong');
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    throw invalid('it is not JSON');
  }
  return readRepositoryDocument(json);
}
