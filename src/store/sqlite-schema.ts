// The tables of metadata.sqlite. A repository's long id stands once; other tables carry its small key.

import { diskBlockBytes, trailerBytes } from './stored-object.ts';

/** Bumped with every change of the tables: a database of a version that no migration leads from is rebuilt from the files. */
export const schemaVersion = 2;

export const packStates = ['whole', 'holed', 'lost', 'deleting'] as const;
export const snapshotStates = ['whole', 'lost', 'deleting'] as const;

/** diskBytes of stored-object.ts, of a row. */
export const diskBytesSql = `(file_bytes + ${trailerBytes + diskBlockBytes - 1}) / ${diskBlockBytes} * ${diskBlockBytes}`;

/** From each older version to the next. */
export const migrations: Readonly<Record<number, string>> = {
  // Stored bytes were counted to the byte.
  1: `UPDATE repositories SET stored_bytes =
    (SELECT coalesce(sum(${diskBytesSql}), 0) FROM packs WHERE repository = key AND state <> ${packStates.indexOf('lost')}) +
    (SELECT coalesce(sum(${diskBytesSql}), 0) FROM snapshots WHERE repository = key AND state <> ${snapshotStates.indexOf('lost')});`,
};

export const schema = `
CREATE TABLE repositories (
  key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, document TEXT NOT NULL,
  last_pack INTEGER NOT NULL, settled_pack INTEGER NOT NULL,
  pack_changes INTEGER NOT NULL DEFAULT 0, stored_bytes INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE tokens (sha256 TEXT PRIMARY KEY, repository INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_of ON tokens (repository);
CREATE TABLE packs (
  repository INTEGER NOT NULL, number INTEGER NOT NULL, revision INTEGER NOT NULL, state INTEGER NOT NULL,
  file_bytes INTEGER NOT NULL, prefix_bytes INTEGER NOT NULL, sha256 BLOB NOT NULL, received_at INTEGER NOT NULL,
  condemned_at INTEGER, PRIMARY KEY (repository, number)) STRICT, WITHOUT ROWID;
CREATE INDEX packs_unusual ON packs (repository, state, number) WHERE state <> 0 OR condemned_at IS NOT NULL;
CREATE TABLE snapshots (
  repository INTEGER NOT NULL, number INTEGER NOT NULL, state INTEGER NOT NULL, sha256 BLOB NOT NULL,
  received_at INTEGER NOT NULL, epoch INTEGER NOT NULL, origin TEXT NOT NULL, complete INTEGER NOT NULL,
  file_bytes INTEGER NOT NULL, packs BLOB NOT NULL, deleted_after INTEGER,
  PRIMARY KEY (repository, number)) STRICT, WITHOUT ROWID;
CREATE TABLE leases (
  repository INTEGER PRIMARY KEY, lease_id TEXT NOT NULL, holder TEXT NOT NULL, epoch INTEGER NOT NULL,
  first_pack INTEGER NOT NULL, acquired_at INTEGER NOT NULL, used_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
  fenced INTEGER NOT NULL) STRICT;
CREATE TABLE invites (
  sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, expires_at INTEGER NOT NULL,
  redeemed_id TEXT, request_sha256 TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE small_objects (
  repository INTEGER NOT NULL, kind INTEGER NOT NULL, number INTEGER NOT NULL, file BLOB NOT NULL,
  PRIMARY KEY (repository, kind, number)) STRICT;
CREATE TABLE recoveries (
  sha256 TEXT NOT NULL, repository INTEGER NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (sha256, repository, number)) STRICT, WITHOUT ROWID;
CREATE TABLE audit (key INTEGER PRIMARY KEY, at INTEGER NOT NULL, id TEXT, event TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), last_seen INTEGER NOT NULL, jumped_at INTEGER) STRICT;
CREATE TABLE scrubs (
  repository INTEGER PRIMARY KEY, started_at INTEGER NOT NULL, phase TEXT NOT NULL, number INTEGER NOT NULL,
  report TEXT NOT NULL) STRICT;
`;
