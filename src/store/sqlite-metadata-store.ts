// The records in metadata.sqlite: WAL, one connection that writes and one that reads.
import { existsSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { FallbackError } from '../errors/fallback-error.ts';
import { createPrivateFile } from '../fs/folder-owner.ts';
import { mapFsError } from '../fs/map-fs-error.ts';
import type { Lasting, MetadataRead, MetadataStore, MetadataWrite } from './metadata-store.ts';
import { isBusy, isCorrupt, mapSqliteError, numberIn, SqliteConnection } from './sqlite-connection.ts';
import { migrations, schema, schemaVersion } from './sqlite-schema.ts';
import { SqliteRead, SqliteWrite } from './sqlite-view.ts';
import { Turns } from './turns.ts';

/** How long another process may hold the records before we give up; a publish inside a change takes tens of milliseconds. */
const busyMsMax = 30_000;

/** Beside a database that answered with damage stands a file by this name: whoever opens it next reads all of it first. */
export const suspectSuffix = '-suspect';

function noteDamage(path: string, error: unknown): void {
  if (!isCorrupt(error)) return;
  try {
    createPrivateFile(path + suspectSuffix);
  } catch {
    // The error itself is what matters; without the note the damage is met again.
  }
}

function fileIdentity(path: string): string {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return 'none';
  }
}

/** Repeats `attempt` while another process is in the way, without blocking this one meanwhile. */
async function whenFree<T>(attempt: () => T): Promise<T> {
  const pauseMs = 5;
  for (let waitedMs = 0; ; waitedMs += pauseMs) {
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error) || waitedMs >= busyMsMax) throw error;
    }
    await sleep(pauseMs);
  }
}

/** Brings an older version's tables up, each step whole or not at all. @returns the version that they have then. */
async function migrate(writer: SqliteConnection): Promise<number> {
  for (;;) {
    const row = await whenFree(() => writer.get('PRAGMA user_version'));
    const version = row === undefined ? 0 : numberIn(row, 'user_version');
    const step = migrations[version];
    if (step === undefined) return version;
    await whenFree(() => writer.exec('BEGIN IMMEDIATE'));
    try {
      // Another process may have been quicker; then there is nothing to do any more.
      const isOurs = writer.get('PRAGMA user_version')?.['user_version'] === version;
      if (isOurs) writer.exec(`${step} PRAGMA user_version = ${version + 1};`);
      writer.exec('COMMIT');
    } catch (error) {
      writer.rollback();
      throw error;
    }
  }
}

/** Records in a SQLite file. */
export class SqliteMetadataStore implements MetadataStore {
  readonly #path: string;
  readonly #identity: string;
  readonly #reader: SqliteConnection;
  readonly #writer: SqliteConnection;
  readonly #readTurns = new Turns();
  readonly #writeTurns = new Turns();
  readonly #readView: MetadataRead;
  readonly #writeView: MetadataWrite;

  private constructor(path: string, reader: SqliteConnection, writer: SqliteConnection) {
    this.#path = path;
    this.#identity = fileIdentity(path);
    this.#reader = reader;
    this.#writer = writer;
    this.#readView = new SqliteRead(reader);
    this.#writeView = new SqliteWrite(writer);
  }

  /** Makes an empty database with mode 0600. @throws ALREADY_EXISTS, DISK_FULL, IO. */
  static create(path: string): void {
    try {
      // A file of length zero is an empty database; SQLite gives its log files the same mode and owner.
      createPrivateFile(path);
      const connection = new SqliteConnection(path);
      try {
        connection.exec('PRAGMA journal_mode = WAL');
        connection.exec(`BEGIN IMMEDIATE; ${schema} PRAGMA user_version = ${schemaVersion}; COMMIT`);
      } finally {
        connection.close();
      }
    } catch (error) {
      throw mapSqliteError(mapFsError(error, 'make the database'), path);
    }
  }

  /**
   * Opens a database that is there. `thorough` reads all of it first (seconds for a million packs), and so does a note of
   * damage beside it.
   * @throws STORE_INVALID when it is damaged or of another version: it can be rebuilt.
   */
  static async open(path: string, thorough = false): Promise<SqliteMetadataStore> {
    const connections: SqliteConnection[] = [];
    try {
      const writer = new SqliteConnection(path);
      connections.push(writer);
      if ((await migrate(writer)) !== schemaVersion) {
        throw new FallbackError('STORE_INVALID', 'The store’s database was made by another version.');
      }
      await whenFree(() => writer.exec('PRAGMA journal_mode = WAL'));
      const isSuspect = thorough || existsSync(path + suspectSuffix);
      if (isSuspect && writer.get('PRAGMA quick_check(1)')?.['quick_check'] !== 'ok') {
        throw new FallbackError('STORE_INVALID', 'The store’s database is damaged; the backups themselves are safe.');
      }
      const reader = new SqliteConnection(path);
      connections.push(reader);
      return new SqliteMetadataStore(path, reader, writer);
    } catch (error) {
      for (const connection of connections) connection.close();
      throw mapSqliteError(error, path);
    }
  }

  /** A database that was replaced under us would take writes that nobody ever sees. */
  #checkIdentity(): void {
    if (fileIdentity(this.#path) === this.#identity) return;
    throw new FallbackError('STORE_INVALID', 'The store’s database was removed or replaced while it was in use.', {
      hint: 'Start `fallback serve` again; the backups themselves are safe.',
    });
  }

  read<T>(work: (view: MetadataRead) => Promise<T>): Promise<T> {
    return this.#readTurns.take(async () => {
      try {
        await whenFree(() => this.#reader.exec('BEGIN'));
        const result = await work(this.#readView);
        this.#reader.exec('COMMIT');
        return result;
      } catch (error) {
        this.#reader.rollback();
        noteDamage(this.#path, error);
        throw mapSqliteError(error, this.#path);
      }
    });
  }

  write<T>(work: (change: MetadataWrite) => Promise<T>, lasting: Lasting = 'now'): Promise<T> {
    return this.#writeTurns.take(async () => {
      try {
        this.#checkIdentity();
        this.#writer.syncCommits(lasting === 'now');
        await whenFree(() => this.#writer.exec('BEGIN IMMEDIATE'));
        const result = await work(this.#writeView);
        this.#writer.exec('COMMIT');
        return result;
      } catch (error) {
        this.#writer.rollback();
        noteDamage(this.#path, error);
        throw mapSqliteError(error, this.#path);
      }
    });
  }

  async close(): Promise<void> {
    await this.#readTurns.take(async () => this.#reader.close());
    await this.#writeTurns.take(async () => this.#writer.close());
  }
}
