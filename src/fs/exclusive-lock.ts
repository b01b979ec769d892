// A lock that the kernel takes away with its process, SIGKILL included. Node has no flock; SQLite's write lock is one:
// the holder keeps a transaction open on a small database of its own, in which others can still read who it is.
import { hostname } from 'node:os';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { FallbackError } from '../errors/fallback-error.ts';
import { createPrivateFile } from './folder-owner.ts';
import { mapFsError, systemErrorCode } from './map-fs-error.ts';
import { isOnReadOnlyFileSystem } from './read-only.ts';

/** Who holds a lock, as it said itself. */
export interface LockHolder {
  readonly processId: number;
  readonly host: string;
  readonly purpose: string;
  readonly sinceMs: number;
}

export interface ExclusiveLock {
  release(): void;
}

/** Never opens an existing one: closing it would end this process's own kernel lock on it. */
function ensureLockFile(path: string): void {
  try {
    createPrivateFile(path);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw mapFsError(error, 'make the lock file');
  }
}

function isBusy(error: unknown): boolean {
  // SQLITE_BUSY (5) and its extended codes.
  return (
    error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' && (error.errcode & 0xff) === 5
  );
}

/** What SQLite says when the file system is in the way: 8 read-only, 10 I/O, 13 full, 14 cannot open; as an error of the table. */
function mapSqliteError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return error;
  const what = `lock ${path}`;
  const asSystem = (code: string): unknown => mapFsError(Object.assign(new Error(error.message), { code }), what);
  const codes: Readonly<Record<number, string>> = { 8: 'EACCES', 10: 'EIO', 13: 'ENOSPC', 14: 'EACCES' };
  const code = codes[error.errcode & 0xff];
  return code === undefined ? error : asSystem(code);
}

function readHolder(database: DatabaseSync): LockHolder | undefined {
  try {
    const row = database.prepare('SELECT process_id, host, purpose, since_ms FROM holder').get();
    if (row === undefined) return undefined;
    return {
      processId: Number(row['process_id']),
      host: String(row['host']),
      purpose: String(row['purpose']),
      sinceMs: Number(row['since_ms']),
    };
  } catch {
    return undefined;
  }
}

/** Whether SQLite could write nothing because the disk is full, fails, or is mounted read-only: then nobody's note can be written. */
function cannotWrite(error: unknown, path: string): boolean {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return false;
  const code = error.errcode & 0xff;
  // A file that this user may not write is another matter: others may.
  return code === 10 || code === 13 || (code === 8 && isOnReadOnlyFileSystem(path));
}

/** Notes the holder and commits it, to be seen by others. Returns false where that cannot be written. */
function noteHolder(database: DatabaseSync, path: string, purpose: string, nowMs: number): boolean {
  try {
    database.exec('CREATE TABLE IF NOT EXISTS holder (process_id INTEGER, host TEXT, purpose TEXT, since_ms INTEGER)');
    database.exec('DELETE FROM holder');
    database.prepare('INSERT INTO holder VALUES (?, ?, ?, ?)').run(process.pid, hostname(), purpose, nowMs);
    database.exec('COMMIT');
    return true;
  } catch (error) {
    if (!cannotWrite(error, path)) throw error;
    if (database.isTransaction) database.exec('ROLLBACK');
    return false;
  }
}

/** One attempt; undefined when another process has it. */
function tryLock(database: DatabaseSync, path: string, purpose: string, nowMs: number): ExclusiveLock | undefined {
  let isNoted: boolean;
  try {
    database.exec('BEGIN IMMEDIATE');
    // The note is for people. What locks is the transaction, which is begun again, to be held.
    isNoted = noteHolder(database, path, purpose, nowMs);
    database.exec('BEGIN IMMEDIATE');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    if (isBusy(error)) return undefined;
    throw error;
  }
  const holder = readHolder(database);
  if (isNoted && (holder?.processId !== process.pid || holder.sinceMs !== nowMs)) {
    database.exec('ROLLBACK');
    return undefined;
  }
  return {
    release() {
      if (!database.isOpen) return;
      database.exec('ROLLBACK');
      database.close();
    },
  };
}

function lockedError(holder: LockHolder | undefined, nowMs: number): FallbackError {
  if (holder === undefined) return new FallbackError('STORE_LOCKED', 'Another process holds the store’s folder.');
  const seconds = Math.max(0, Math.round((nowMs - holder.sinceMs) / 1000));
  return new FallbackError(
    'STORE_LOCKED',
    `Process ${holder.processId} on ${holder.host} (${holder.purpose}) has held the store’s folder for ${seconds} seconds.`,
    { details: { ...holder } },
  );
}

export interface LockRequest {
  /** For people: what the holder does. */
  readonly purpose: string;
  readonly nowMs: () => number;
  /** How long to wait for another holder, in milliseconds. */
  readonly waitMs?: number;
}

/**
 * Takes the lock at `path` (a file that stays there, empty of meaning) until it is released or the process ends.
 * @throws STORE_LOCKED, naming the holder.
 */
export async function acquireExclusiveLock(path: string, request: LockRequest): Promise<ExclusiveLock> {
  ensureLockFile(path);
  const database = openDatabase(path);
  const pauseMs = 20;
  // Two that ask at the same moment may both find the other in the way; a few tries let one of them through.
  const waitMs = Math.max(request.waitMs ?? 0, 3 * pauseMs);
  try {
    for (let waitedMs = 0; ; waitedMs += pauseMs) {
      const lock = tryLock(database, path, request.purpose, request.nowMs());
      if (lock !== undefined) return lock;
      if (waitedMs >= waitMs) throw lockedError(readHolder(database), request.nowMs());
      await sleep(pauseMs);
    }
  } catch (error) {
    database.close();
    throw mapSqliteError(error, path);
  }
}

function openDatabase(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: 0 });
  } catch (error) {
    throw mapSqliteError(error, path);
  }
}
