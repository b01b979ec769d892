// Reading and changing records through one SQLite connection.
import type { RepositoryId, Sha256Hex } from '../format/ids.ts';
import { parseRepositoryId } from '../format/ids.ts';
import { type PackRange, PackRanges } from '../format/pack-ranges.ts';
import type {
  AuditEntry,
  ClockRecord,
  InviteRecord,
  LeaseRecord,
  MetadataRead,
  MetadataWrite,
  PackRecord,
  RepositoryCounters,
  RepositoryRecord,
  ScrubRecord,
  SmallObjectRecord,
  SnapshotRecord,
} from './metadata-store.ts';
import { readRepositoryDocument } from './repository-document.ts';
import { bytesIn, choiceIn, numberIn, optionalNumberIn, type SqliteConnection, textIn } from './sqlite-connection.ts';
import { auditFrom, encodeRanges, inviteFrom, leaseFrom, packFrom, scrubFrom, snapshotFrom } from './sqlite-rows.ts';
import { diskBytesSql, packStates, snapshotStates } from './sqlite-schema.ts';
import { diskBytes } from './stored-object.ts';

const smallKinds = ['configuration', 'key document'] as const;

// What is not ordinary has a small index of its own; SQLite takes it only when it is told to.
const unusual = 'packs INDEXED BY packs_unusual WHERE (state <> 0 OR condemned_at IS NOT NULL)';
const numberQueries = {
  present: ['packs WHERE state = 0 AND condemned_at IS NULL'],
  holed: [`${unusual} AND state = 1 AND condemned_at IS NULL`],
  lost: [`${unusual} AND state = 2`],
  // One state each: only so the index has the numbers in order.
  condemned: [0, 1].map((state) => `${unusual} AND state = ${state} AND condemned_at IS NOT NULL`),
  deleting: [`${unusual} AND state = 3`],
} as const;
/** A row costs more to hand over than a number to find: a million numbers take 0.2 s instead of 0.8. */
const numbersPerRow = 4_096;

const numbersIn = (listed: string): PackRanges => PackRanges.fromNumbers(listed.split(',').map(Number));

/** A view through a connection that is inside a transaction. */
export class SqliteRead implements MetadataRead {
  protected readonly db: SqliteConnection;

  constructor(db: SqliteConnection) {
    this.db = db;
  }

  protected key(id: RepositoryId): number {
    const row = this.db.get('SELECT key FROM repositories WHERE id = ?', id);
    return row === undefined ? -1 : numberIn(row, 'key');
  }

  async repositoryIds(): Promise<readonly RepositoryId[]> {
    return this.db.all('SELECT id FROM repositories ORDER BY id').map((row) => parseRepositoryId(textIn(row, 'id')));
  }

  async repository(id: RepositoryId): Promise<(RepositoryRecord & RepositoryCounters) | undefined> {
    const row = this.db.get('SELECT * FROM repositories WHERE id = ?', id);
    if (row === undefined) return undefined;
    return {
      document: readRepositoryDocument(JSON.parse(textIn(row, 'document'))),
      lastPack: numberIn(row, 'last_pack'),
      settledPack: numberIn(row, 'settled_pack'),
      packChanges: numberIn(row, 'pack_changes'),
      storedBytes: numberIn(row, 'stored_bytes'),
    };
  }

  async findToken(sha256: Sha256Hex): Promise<RepositoryId | undefined> {
    const row = this.db.get(
      'SELECT id FROM tokens JOIN repositories ON repositories.key = tokens.repository WHERE sha256 = ?',
      sha256,
    );
    return row === undefined ? undefined : parseRepositoryId(textIn(row, 'id'));
  }

  async findRecovery(sha256: Sha256Hex): Promise<readonly { repositoryId: RepositoryId; number: number }[]> {
    const rows = this.db.all(
      'SELECT id, number FROM recoveries JOIN repositories ON repositories.key = recoveries.repository WHERE sha256 = ? ORDER BY id, number',
      sha256,
    );
    return rows.map((row) => ({
      repositoryId: parseRepositoryId(textIn(row, 'id')),
      number: numberIn(row, 'number'),
    }));
  }

  async pack(id: RepositoryId, number: number): Promise<PackRecord | undefined> {
    const row = this.db.get('SELECT * FROM packs WHERE repository = ? AND number = ?', this.key(id), number);
    return row === undefined ? undefined : packFrom(row);
  }

  async packs(id: RepositoryId, from: number, count: number): Promise<readonly PackRecord[]> {
    const sql = 'SELECT * FROM packs WHERE repository = ? AND number >= ? ORDER BY number LIMIT ?';
    return this.db.all(sql, this.key(id), from, count).map(packFrom);
  }

  async packNumbers(id: RepositoryId, which: keyof typeof numberQueries): Promise<PackRanges> {
    const key = this.key(id);
    return numberQueries[which].reduce((all, query) => all.union(this.#numbers(query, key)), PackRanges.empty);
  }

  #numbers(query: string, key: number): PackRanges {
    const sql = `SELECT count(*) AS count, min(number) AS first, max(number) AS last, group_concat(number) AS listed
      FROM (SELECT number FROM ${query} AND repository = ? AND number > ? ORDER BY number LIMIT ${numbersPerRow})`;
    const ranges: PackRange[] = [];
    for (let after = 0; ; ) {
      const row = this.db.get(sql, key, after);
      if (row === undefined || numberIn(row, 'count') === 0) return PackRanges.from(ranges);
      const [first, last] = [numberIn(row, 'first'), numberIn(row, 'last')];
      const isWhole = last - first + 1 === numberIn(row, 'count');
      ranges.push(...(isWhole ? [{ first, last }] : numbersIn(textIn(row, 'listed')).ranges));
      after = last;
    }
  }

  async snapshot(id: RepositoryId, number: number): Promise<SnapshotRecord | undefined> {
    const row = this.db.get('SELECT * FROM snapshots WHERE repository = ? AND number = ?', this.key(id), number);
    return row === undefined ? undefined : snapshotFrom(row);
  }

  async snapshots(id: RepositoryId): Promise<readonly SnapshotRecord[]> {
    return this.db.all('SELECT * FROM snapshots WHERE repository = ? ORDER BY number', this.key(id)).map(snapshotFrom);
  }

  async lastComplete(id: RepositoryId): Promise<number | undefined> {
    // From the newest backwards: every push asks, and the row that answers is among the last.
    const sql = `SELECT received_at FROM snapshots WHERE repository = ? AND complete = 1 AND state = 0
      ORDER BY number DESC LIMIT 1`;
    const row = this.db.get(sql, this.key(id));
    return row === undefined ? undefined : numberIn(row, 'received_at');
  }

  async lease(id: RepositoryId): Promise<LeaseRecord | undefined> {
    const row = this.db.get('SELECT * FROM leases WHERE repository = ?', this.key(id));
    return row === undefined ? undefined : leaseFrom(row);
  }

  async invite(sha256: Sha256Hex): Promise<InviteRecord | undefined> {
    const row = this.db.get('SELECT * FROM invites WHERE sha256 = ?', sha256);
    return row === undefined ? undefined : inviteFrom(row);
  }

  async smallObjects(id: RepositoryId): Promise<readonly SmallObjectRecord[]> {
    const rows = this.db.all('SELECT * FROM small_objects WHERE repository = ? ORDER BY kind, number', this.key(id));
    return rows.map((row) => ({
      kind: choiceIn(row, 'kind', smallKinds),
      number: numberIn(row, 'number'),
      file: bytesIn(row, 'file'),
    }));
  }

  async audit(count: number): Promise<readonly AuditEntry[]> {
    return this.db.all('SELECT * FROM audit ORDER BY key DESC LIMIT ?', count).map(auditFrom);
  }

  async lastAudit(id: RepositoryId, events: readonly string[]): Promise<number | undefined> {
    const marks = events.map(() => '?').join(', ');
    const sql = `SELECT at FROM audit WHERE id = ? AND event IN (${marks}) ORDER BY key DESC LIMIT 1`;
    const row = this.db.get(sql, id, ...events);
    return row === undefined ? undefined : numberIn(row, 'at');
  }

  async clock(): Promise<ClockRecord | undefined> {
    const row = this.db.get('SELECT * FROM clock');
    if (row === undefined) return undefined;
    return { lastSeenMs: numberIn(row, 'last_seen'), jumpedAtMs: optionalNumberIn(row, 'jumped_at') };
  }

  async scrub(id: RepositoryId): Promise<ScrubRecord | undefined> {
    const row = this.db.get('SELECT * FROM scrubs WHERE repository = ?', this.key(id));
    return row === undefined ? undefined : scrubFrom(row);
  }
}

const auditRowsMax = 10_000;

/** A change through a connection that is inside a write transaction. */
export class SqliteWrite extends SqliteRead implements MetadataWrite {
  #count(id: RepositoryId, packChanges: number, bytes: number): void {
    this.db.run(
      'UPDATE repositories SET pack_changes = pack_changes + ?, stored_bytes = stored_bytes + ? WHERE key = ?',
      packChanges,
      bytes,
      this.key(id),
    );
  }

  #storedBytes(table: 'packs' | 'snapshots', id: RepositoryId, number: number): number {
    const lost = table === 'packs' ? packStates.indexOf('lost') : snapshotStates.indexOf('lost');
    const sql = `SELECT file_bytes FROM ${table} WHERE repository = ? AND number = ? AND state <> ${lost}`;
    const row = this.db.get(sql, this.key(id), number);
    return row === undefined ? 0 : diskBytes(numberIn(row, 'file_bytes'));
  }

  async putRepository(record: RepositoryRecord): Promise<void> {
    const { document } = record;
    this.db.run(
      `INSERT INTO repositories (id, document, last_pack, settled_pack) VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET document = excluded.document, last_pack = excluded.last_pack, settled_pack = excluded.settled_pack`,
      document.repositoryId,
      JSON.stringify({ fallbackRepository: 1, ...document }),
      record.lastPack,
      record.settledPack,
    );
    const key = this.key(document.repositoryId);
    this.db.run('DELETE FROM tokens WHERE repository = ?', key);
    for (const token of document.tokens) {
      this.db.run('INSERT OR REPLACE INTO tokens VALUES (?, ?)', token.sha256, key);
    }
  }

  async putPack(id: RepositoryId, record: PackRecord): Promise<void> {
    const before = this.#storedBytes('packs', id, record.number);
    const after = record.state === 'lost' ? 0 : diskBytes(record.fileBytes);
    this.db.run(
      'INSERT OR REPLACE INTO packs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      this.key(id),
      record.number,
      record.revision,
      packStates.indexOf(record.state),
      record.fileBytes,
      record.prefixBytes,
      record.sha256,
      record.receivedAtMs,
      record.condemnedAtMs ?? null,
    );
    this.db.run('UPDATE repositories SET last_pack = max(last_pack, ?) WHERE key = ?', record.number, this.key(id));
    this.#count(id, 1, after - before);
  }

  async condemnPacks(id: RepositoryId, range: PackRange, atMs: number, receivedBeforeMs: number): Promise<void> {
    this.db.run(
      `UPDATE packs SET condemned_at = ? WHERE repository = ? AND number BETWEEN ? AND ?
       AND condemned_at IS NULL AND state IN (0, 1) AND received_at < ?`,
      atMs,
      this.key(id),
      range.first,
      range.last,
      receivedBeforeMs,
    );
    this.#count(id, 1, 0);
  }

  async releasePacks(id: RepositoryId, range: PackRange): Promise<void> {
    this.db.run(
      'UPDATE packs SET condemned_at = NULL WHERE repository = ? AND number BETWEEN ? AND ? AND condemned_at IS NOT NULL AND state <> 3',
      this.key(id),
      range.first,
      range.last,
    );
    this.#count(id, 1, 0);
  }

  async markPacks(id: RepositoryId, range: PackRange): Promise<void> {
    this.db.run(
      `UPDATE packs SET state = 3 WHERE repository = ? AND number BETWEEN ? AND ?
       AND condemned_at IS NOT NULL AND state IN (0, 1)`,
      this.key(id),
      range.first,
      range.last,
    );
    this.#count(id, 1, 0);
  }

  async deleteMarkedPacks(id: RepositoryId, range: PackRange): Promise<void> {
    const marked = 'FROM packs WHERE repository = ? AND number BETWEEN ? AND ? AND state = 3';
    const bounds = [this.key(id), range.first, range.last] as const;
    const sum = this.db.get(`SELECT total(${diskBytesSql}) AS bytes ${marked}`, ...bounds);
    this.db.run(`DELETE ${marked}`, ...bounds);
    this.#count(id, 1, sum === undefined ? 0 : -numberIn(sum, 'bytes'));
  }

  async deletePack(id: RepositoryId, number: number): Promise<void> {
    const before = this.#storedBytes('packs', id, number);
    this.db.run('DELETE FROM packs WHERE repository = ? AND number = ?', this.key(id), number);
    this.#count(id, 1, -before);
  }

  async putSnapshot(id: RepositoryId, record: SnapshotRecord): Promise<void> {
    const before = this.#storedBytes('snapshots', id, record.number);
    const after = record.state === 'lost' ? 0 : diskBytes(record.fileBytes);
    this.db.run(
      'INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      this.key(id),
      record.number,
      snapshotStates.indexOf(record.state),
      record.sha256,
      record.receivedAtMs,
      record.epoch,
      record.origin,
      record.complete ? 1 : 0,
      record.fileBytes,
      encodeRanges(record.packs),
      record.deletedAfterMs ?? null,
    );
    this.#count(id, 0, after - before);
  }

  // A snapshot's ranges are most of its record: what changes only a state or a time does not encode them again.
  async condemnSnapshot(id: RepositoryId, number: number, deletedAfterMs: number | undefined): Promise<void> {
    const sql = 'UPDATE snapshots SET deleted_after = ? WHERE repository = ? AND number = ?';
    this.db.run(sql, deletedAfterMs ?? null, this.key(id), number);
  }

  async markSnapshot(id: RepositoryId, number: number): Promise<void> {
    const before = this.#storedBytes('snapshots', id, number);
    this.db.run('UPDATE snapshots SET state = 2 WHERE repository = ? AND number = ?', this.key(id), number);
    this.#count(id, 0, this.#storedBytes('snapshots', id, number) - before);
  }

  async deleteSnapshot(id: RepositoryId, number: number): Promise<void> {
    const before = this.#storedBytes('snapshots', id, number);
    this.db.run('DELETE FROM snapshots WHERE repository = ? AND number = ?', this.key(id), number);
    this.#count(id, 0, -before);
  }

  async putLease(id: RepositoryId, record: LeaseRecord): Promise<void> {
    this.db.run(
      'INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      this.key(id),
      record.leaseId,
      record.holder,
      record.epoch,
      record.firstPack,
      record.acquiredAtMs,
      record.usedAtMs,
      record.expiresAtMs,
      record.fenced ? 1 : 0,
    );
  }

  async deleteLease(id: RepositoryId): Promise<void> {
    this.db.run('DELETE FROM leases WHERE repository = ?', this.key(id));
  }

  async putInvite(record: InviteRecord): Promise<void> {
    this.db.run(
      'INSERT OR REPLACE INTO invites VALUES (?, ?, ?, ?, ?)',
      record.sha256,
      record.name,
      record.expiresAtMs,
      record.redeemed?.repositoryId ?? null,
      record.redeemed?.requestSha256 ?? null,
    );
  }

  async deleteInvites(expiredBeforeMs: number): Promise<void> {
    this.db.run('DELETE FROM invites WHERE expires_at < ?', expiredBeforeMs);
  }

  async putSmallObject(id: RepositoryId, record: SmallObjectRecord, sha256s: readonly Sha256Hex[]): Promise<void> {
    const key = this.key(id);
    const kind = smallKinds.indexOf(record.kind);
    this.db.run('INSERT OR REPLACE INTO small_objects VALUES (?, ?, ?, ?)', key, kind, record.number, record.file);
    for (const sha256 of sha256s) {
      this.db.run('INSERT OR REPLACE INTO recoveries VALUES (?, ?, ?)', sha256, key, record.number);
    }
  }

  async deleteSmallObject(id: RepositoryId, kind: SmallObjectRecord['kind'], number: number): Promise<void> {
    const key = this.key(id);
    this.db.run(
      'DELETE FROM small_objects WHERE repository = ? AND kind = ? AND number = ?',
      key,
      smallKinds.indexOf(kind),
      number,
    );
    if (kind === 'key document') this.db.run('DELETE FROM recoveries WHERE repository = ? AND number = ?', key, number);
  }

  async addAudit(entry: AuditEntry): Promise<void> {
    this.db.run(
      'INSERT INTO audit (at, id, event, text) VALUES (?, ?, ?, ?)',
      entry.atMs,
      entry.repositoryId ?? null,
      entry.event,
      entry.text,
    );
    this.db.run('DELETE FROM audit WHERE key <= (SELECT max(key) FROM audit) - ?', auditRowsMax);
  }

  async putClock(record: ClockRecord): Promise<void> {
    this.db.run('INSERT OR REPLACE INTO clock VALUES (1, ?, ?)', record.lastSeenMs, record.jumpedAtMs ?? null);
  }

  async putScrub(id: RepositoryId, record: ScrubRecord | undefined): Promise<void> {
    if (record === undefined) {
      this.db.run('DELETE FROM scrubs WHERE repository = ?', this.key(id));
      return;
    }
    this.db.run(
      'INSERT OR REPLACE INTO scrubs VALUES (?, ?, ?, ?, ?)',
      this.key(id),
      record.startedAtMs,
      record.phase,
      record.number,
      record.report,
    );
  }
}
