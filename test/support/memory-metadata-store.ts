// The records in memory: the slow, readable twin of the SQLite store. A change works on a copy, which takes the place of
// the original when it ends well: like a commit, it is there whole or not at all.
import type { RepositoryId, Sha256Hex } from '../../src/format/ids.ts';
import { type PackRange, PackRanges } from '../../src/format/pack-ranges.ts';
import type {
  AuditEntry,
  ClockRecord,
  InviteRecord,
  LeaseRecord,
  MetadataRead,
  MetadataStore,
  MetadataWrite,
  PackRecord,
  RepositoryCounters,
  RepositoryRecord,
  ScrubRecord,
  SmallObjectRecord,
  SnapshotRecord,
} from '../../src/store/metadata-store.ts';
import { diskBytes } from '../../src/store/stored-object.ts';
import { Turns } from '../../src/store/turns.ts';

interface RepositoryTables {
  record: RepositoryRecord;
  packChanges: number;
  packs: Map<number, PackRecord>;
  snapshots: Map<number, SnapshotRecord>;
  small: Map<string, { record: SmallObjectRecord; tokens: readonly Sha256Hex[] }>;
  lease: LeaseRecord | undefined;
  scrub: ScrubRecord | undefined;
}

interface Tables {
  repositories: Map<RepositoryId, RepositoryTables>;
  invites: Map<Sha256Hex, InviteRecord>;
  audit: AuditEntry[];
  clock: ClockRecord | undefined;
}

function copyOf(tables: Tables): Tables {
  const repositories = new Map<RepositoryId, RepositoryTables>();
  for (const [id, one] of tables.repositories) {
    repositories.set(id, {
      ...one,
      packs: new Map(one.packs),
      snapshots: new Map(one.snapshots),
      small: new Map(one.small),
    });
  }
  return { repositories, invites: new Map(tables.invites), audit: [...tables.audit], clock: tables.clock };
}

const passes = {
  present: (pack: PackRecord) => pack.state === 'whole' && pack.condemnedAtMs === undefined,
  holed: (pack: PackRecord) => pack.state === 'holed' && pack.condemnedAtMs === undefined,
  lost: (pack: PackRecord) => pack.state === 'lost',
  condemned: (pack: PackRecord) =>
    (pack.state === 'whole' || pack.state === 'holed') && pack.condemnedAtMs !== undefined,
  deleting: (pack: PackRecord) => pack.state === 'deleting',
};

class MemoryView implements MetadataWrite {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  #of(id: RepositoryId): RepositoryTables {
    const found = this.#tables.repositories.get(id);
    if (found === undefined) throw new Error(`no repository ${id}`);
    return found;
  }

  #packs(id: RepositoryId): PackRecord[] {
    return [...(this.#tables.repositories.get(id)?.packs.values() ?? [])].sort((a, b) => a.number - b.number);
  }

  async repositoryIds(): Promise<readonly RepositoryId[]> {
    return [...this.#tables.repositories.keys()].sort();
  }

  async repository(id: RepositoryId): Promise<(RepositoryRecord & RepositoryCounters) | undefined> {
    const one = this.#tables.repositories.get(id);
    if (one === undefined) return undefined;
    const stored = [...one.packs.values(), ...one.snapshots.values()].filter(({ state }) => state !== 'lost');
    const storedBytes = stored.reduce((sum, { fileBytes }) => sum + diskBytes(fileBytes), 0);
    return { ...one.record, packChanges: one.packChanges, storedBytes };
  }

  async findToken(sha256: Sha256Hex): Promise<RepositoryId | undefined> {
    for (const [id, { record }] of this.#tables.repositories) {
      if (record.document.tokens.some((token) => token.sha256 === sha256)) return id;
    }
    return undefined;
  }

  async findRecovery(sha256: Sha256Hex): Promise<readonly { repositoryId: RepositoryId; number: number }[]> {
    const found: { repositoryId: RepositoryId; number: number }[] = [];
    for (const repositoryId of await this.repositoryIds()) {
      for (const { record, tokens } of this.#of(repositoryId).small.values()) {
        if (tokens.includes(sha256)) found.push({ repositoryId, number: record.number });
      }
    }
    return found.sort((a, b) => (a.repositoryId === b.repositoryId ? a.number - b.number : 0));
  }

  async pack(id: RepositoryId, number: number): Promise<PackRecord | undefined> {
    return this.#tables.repositories.get(id)?.packs.get(number);
  }

  async packs(id: RepositoryId, from: number, count: number): Promise<readonly PackRecord[]> {
    return this.#packs(id)
      .filter((pack) => pack.number >= from)
      .slice(0, count);
  }

  async packNumbers(id: RepositoryId, which: keyof typeof passes): Promise<PackRanges> {
    return PackRanges.fromNumbers(
      this.#packs(id)
        .filter(passes[which])
        .map((pack) => pack.number),
    );
  }

  async snapshot(id: RepositoryId, number: number): Promise<SnapshotRecord | undefined> {
    return this.#tables.repositories.get(id)?.snapshots.get(number);
  }

  async snapshots(id: RepositoryId): Promise<readonly SnapshotRecord[]> {
    return [...(this.#tables.repositories.get(id)?.snapshots.values() ?? [])].sort((a, b) => a.number - b.number);
  }

  async lastComplete(id: RepositoryId): Promise<number | undefined> {
    return (await this.snapshots(id)).findLast((one) => one.complete && one.state === 'whole')?.receivedAtMs;
  }

  async lease(id: RepositoryId): Promise<LeaseRecord | undefined> {
    return this.#tables.repositories.get(id)?.lease;
  }

  async invite(sha256: Sha256Hex): Promise<InviteRecord | undefined> {
    return this.#tables.invites.get(sha256);
  }

  async smallObjects(id: RepositoryId): Promise<readonly SmallObjectRecord[]> {
    const all = [...(this.#tables.repositories.get(id)?.small.values() ?? [])].map(({ record }) => record);
    return all.sort((a, b) => a.kind.localeCompare(b.kind) || a.number - b.number);
  }

  async audit(count: number): Promise<readonly AuditEntry[]> {
    return this.#tables.audit.toReversed().slice(0, count);
  }

  async lastAudit(id: RepositoryId, events: readonly string[]): Promise<number | undefined> {
    return this.#tables.audit.findLast((one) => one.repositoryId === id && events.includes(one.event))?.atMs;
  }

  async clock(): Promise<ClockRecord | undefined> {
    return this.#tables.clock;
  }

  async scrub(id: RepositoryId): Promise<ScrubRecord | undefined> {
    return this.#tables.repositories.get(id)?.scrub;
  }

  async putRepository(record: RepositoryRecord): Promise<void> {
    const old = this.#tables.repositories.get(record.document.repositoryId);
    const empty = { packChanges: 0, packs: new Map(), snapshots: new Map(), small: new Map() };
    const fresh = { ...empty, lease: undefined, scrub: undefined };
    this.#tables.repositories.set(record.document.repositoryId, { ...(old ?? fresh), record });
  }

  async putPack(id: RepositoryId, record: PackRecord): Promise<void> {
    const one = this.#of(id);
    one.packs.set(record.number, record);
    one.packChanges++;
    one.record = { ...one.record, lastPack: Math.max(one.record.lastPack, record.number) };
  }

  async condemnPacks(id: RepositoryId, range: PackRange, atMs: number, receivedBeforeMs: number): Promise<void> {
    const one = this.#of(id);
    for (const pack of this.#packs(id)) {
      if (pack.number < range.first || pack.number > range.last || pack.condemnedAtMs !== undefined) continue;
      if (pack.state !== 'whole' && pack.state !== 'holed') continue;
      if (pack.receivedAtMs < receivedBeforeMs) one.packs.set(pack.number, { ...pack, condemnedAtMs: atMs });
    }
    one.packChanges++;
  }

  async releasePacks(id: RepositoryId, range: PackRange): Promise<void> {
    const one = this.#of(id);
    for (const pack of this.#packs(id)) {
      if (pack.number < range.first || pack.number > range.last || pack.state === 'deleting') continue;
      one.packs.set(pack.number, { ...pack, condemnedAtMs: undefined });
    }
    one.packChanges++;
  }

  async markPacks(id: RepositoryId, range: PackRange): Promise<void> {
    const one = this.#of(id);
    for (const pack of this.#packs(id)) {
      if (pack.number < range.first || pack.number > range.last || pack.condemnedAtMs === undefined) continue;
      if (pack.state === 'whole' || pack.state === 'holed') one.packs.set(pack.number, { ...pack, state: 'deleting' });
    }
    one.packChanges++;
  }

  async deleteMarkedPacks(id: RepositoryId, range: PackRange): Promise<void> {
    const one = this.#of(id);
    for (const { number, state } of this.#packs(id)) {
      if (number >= range.first && number <= range.last && state === 'deleting') one.packs.delete(number);
    }
    one.packChanges++;
  }

  async deletePack(id: RepositoryId, number: number): Promise<void> {
    this.#of(id).packs.delete(number);
    this.#of(id).packChanges++;
  }

  async putSnapshot(id: RepositoryId, record: SnapshotRecord): Promise<void> {
    this.#of(id).snapshots.set(record.number, record);
  }

  async condemnSnapshot(id: RepositoryId, number: number, deletedAfterMs: number | undefined): Promise<void> {
    const snapshot = this.#of(id).snapshots.get(number);
    if (snapshot !== undefined) this.#of(id).snapshots.set(number, { ...snapshot, deletedAfterMs });
  }

  async markSnapshot(id: RepositoryId, number: number): Promise<void> {
    const snapshot = this.#of(id).snapshots.get(number);
    if (snapshot !== undefined) this.#of(id).snapshots.set(number, { ...snapshot, state: 'deleting' });
  }

  async deleteSnapshot(id: RepositoryId, number: number): Promise<void> {
    this.#of(id).snapshots.delete(number);
  }

  async putLease(id: RepositoryId, record: LeaseRecord): Promise<void> {
    this.#of(id).lease = record;
  }

  async deleteLease(id: RepositoryId): Promise<void> {
    this.#of(id).lease = undefined;
  }

  async putInvite(record: InviteRecord): Promise<void> {
    this.#tables.invites.set(record.sha256, record);
  }

  async deleteInvites(expiredBeforeMs: number): Promise<void> {
    for (const [key, invite] of this.#tables.invites) {
      if (invite.expiresAtMs < expiredBeforeMs) this.#tables.invites.delete(key);
    }
  }

  async putSmallObject(id: RepositoryId, record: SmallObjectRecord, tokens: readonly Sha256Hex[]): Promise<void> {
    this.#of(id).small.set(`${record.kind} ${record.number}`, { record, tokens });
  }

  async deleteSmallObject(id: RepositoryId, kind: SmallObjectRecord['kind'], number: number): Promise<void> {
    this.#of(id).small.delete(`${kind} ${number}`);
  }

  async addAudit(entry: AuditEntry): Promise<void> {
    this.#tables.audit.push(entry);
  }

  async putClock(record: ClockRecord): Promise<void> {
    this.#tables.clock = record;
  }

  async putScrub(id: RepositoryId, record: ScrubRecord | undefined): Promise<void> {
    this.#of(id).scrub = record;
  }
}

/** Records in memory. */
export class MemoryMetadataStore implements MetadataStore {
  #tables: Tables;
  readonly #turns = new Turns();
  /** Called just before a change is committed; what it throws ends the change, as a crash would. */
  beforeCommit: () => void = () => undefined;

  constructor(tables: Tables = { repositories: new Map(), invites: new Map(), audit: [], clock: undefined }) {
    this.#tables = tables;
  }

  /** What a process that starts after a power cut finds: all that was committed. */
  afterCrash(): MemoryMetadataStore {
    const tables = copyOf(this.#tables);
    return new MemoryMetadataStore(tables);
  }

  async read<T>(work: (view: MetadataRead) => Promise<T>): Promise<T> {
    return await work(new MemoryView(copyOf(this.#tables)));
  }

  write<T>(work: (change: MetadataWrite) => Promise<T>): Promise<T> {
    return this.#turns.take(async () => {
      const copy = copyOf(this.#tables);
      const result = await work(new MemoryView(copy));
      this.beforeCommit();
      this.#tables = copy;
      return result;
    });
  }

  async close(): Promise<void> {}
}
