// One connection to metadata.sqlite: prepared statements, typed columns, SQLite's errors in our words.
import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { FallbackError } from '../errors/fallback-error.ts';
import { isOnReadOnlyFileSystem } from '../fs/read-only.ts';

export type Row = Readonly<Record<string, SQLOutputValue>>;

const primaryCodes = {
  busy: 5,
  locked: 6,
  readOnly: 8,
  io: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notDatabase: 26,
};

/** SQLite's primary result code of an error, or undefined when it is none. */
export function sqliteCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;
}

/** Whether another connection is in the way. */
export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === primaryCodes.busy || code === primaryCodes.locked;
}

/** Whether the file is no healthy database. */
export function isCorrupt(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === primaryCodes.corrupt || code === primaryCodes.notDatabase;
}

/** SQLITE_IOERR_SHMSIZE: the index of the log, a file beside the database, found no room; SQLite has no "full" for it. */
const noRoomForShared = 4874;
/** The least that SQLite asks for at a time: that index. */
const stepBytes = 32 * 1024;

function isFull(error: unknown, path: string): boolean {
  const code = sqliteCode(error);
  if (code === primaryCodes.full) return true;
  if (error instanceof Error && 'errcode' in error && error.errcode === noRoomForShared) return true;
  if (code !== primaryCodes.io && code !== primaryCodes.cannotOpen) return false;
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    return bavail * bsize < stepBytes;
  } catch {
    return false;
  }
}

/**
 * A FallbackError for SQLite's error: DISK_FULL, IO, STORE_INVALID, STORE_LOCKED; anything else as it is.
 * @param path of the database.
 */
export function mapSqliteError(error: unknown, path: string): unknown {
  const code = sqliteCode(error);
  if (code === undefined) return error;
  if (isBusy(error)) {
    return new FallbackError('STORE_LOCKED', 'Another process holds the store’s records.', { cause: error });
  }
  if (isCorrupt(error)) {
    return new FallbackError('STORE_INVALID', 'The store’s database is damaged; the backups themselves are safe.', {
      cause: error,
      hint: 'Start `fallback serve` again: the database is rebuilt from the files.',
    });
  }
  if (isFull(error, path)) {
    return new FallbackError('DISK_FULL', 'The disk of the store’s folder is full.', { cause: error });
  }
  return new FallbackError('IO', 'The store’s database could not be read or written.', { cause: error });
}

/**
 * A database that was closed cleanly has no log, and where none can be made SQLite opens it only when told that nobody changes it: on a
 * file system mounted read-only nobody does.
 */
function addressOf(path: string): string | URL {
  if (!isOnReadOnlyFileSystem(path) || existsSync(`${path}-wal`)) return path;
  const address = pathToFileURL(path);
  address.searchParams.set('immutable', '1');
  return address;
}

/** A connection with its prepared statements. */
export class SqliteConnection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #isSynced = true;

  constructor(path: string) {
    this.#database = new DatabaseSync(addressOf(path), { timeout: 0 });
    // FULL: in WAL mode it syncs the log at every commit, so that what was acknowledged survives a power cut.
    try {
      this.#database.exec('PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; PRAGMA foreign_keys = OFF');
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /**
   * Whether commits are synced to the disk from now on (FULL), or wait for the next one that is (NORMAL): in WAL mode either way a
   * crash leaves the database whole, and a synced commit takes the ones before it along. Not within a transaction.
   */
  syncCommits(isSynced: boolean): void {
    if (isSynced === this.#isSynced) return;
    this.#database.exec(`PRAGMA synchronous = ${isSynced ? 'FULL' : 'NORMAL'}`);
    this.#isSynced = isSynced;
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]): readonly Row[] {
    return this.#prepare(sql).all(...values);
  }

  get isTransaction(): boolean {
    return this.#database.isTransaction;
  }

  rollback(): void {
    if (this.#database.isOpen && this.#database.isTransaction) this.#database.exec('ROLLBACK');
  }

  close(): void {
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
  }
}

/** A column that must be a number. */
export function numberIn(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number')
    throw new FallbackError('STORE_INVALID', `The store’s database is damaged: ${column}.`);
  return value;
}

/** A column that is a number or NULL. */
export function optionalNumberIn(row: Row, column: string): number | undefined {
  return row[column] === null ? undefined : numberIn(row, column);
}

/** A column that must be a text. */
export function textIn(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string')
    throw new FallbackError('STORE_INVALID', `The store’s database is damaged: ${column}.`);
  return value;
}

/** A column that is a text or NULL. */
export function optionalTextIn(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : textIn(row, column);
}

/** A column that must be bytes. */
export function bytesIn(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) {
    throw new FallbackError('STORE_INVALID', `The store’s database is damaged: ${column}.`);
  }
  return value;
}

/** A column that must be one of `values` by its position. */
export function choiceIn<T>(row: Row, column: string, values: readonly T[]): T {
  const value = values[numberIn(row, column)];
  if (value === undefined) throw new FallbackError('STORE_INVALID', `The store’s database is damaged: ${column}.`);
  return value;
}
