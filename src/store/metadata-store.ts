// The store's records: SQLite today, PostgreSQL tomorrow. One conformance suite (test/store) runs against each.
// Everything in here can be rebuilt from the files, but for leases, invites and the audit.
import type { Epoch, LeaseId, Origin, RepositoryId, Sha256Hex } from '../format/ids.ts';
import type { PackRange, PackRanges } from '../format/pack-ranges.ts';
import type { RepositoryDocument } from './repository-document.ts';

export interface RepositoryRecord {
  readonly document: RepositoryDocument;
  /** The highest pack number ever recorded or reserved by an earlier generation, or 0. */
  readonly lastPack: number;
  /** Up to this number all files were compared with the records after the lease that wrote them. */
  readonly settledPack: number;
}

/** Kept by the metadata store itself, in the same transaction as what they count. */
export interface RepositoryCounters {
  /** Rises with every change of a pack's record: two equal values, two equal sets of packs. */
  readonly packChanges: number;
  /** What all packs and snapshots that are not lost take on the disk: with their trailers, in whole blocks (diskBytes). */
  readonly storedBytes: number;
}

/** whole; holed (healed in part); lost (its file is damaged or gone); deleting (its file is being removed). */
export type PackState = 'whole' | 'holed' | 'lost' | 'deleting';

export interface PackRecord {
  readonly number: number;
  readonly revision: number;
  readonly state: PackState;
  /** Length of the client's bytes. */
  readonly fileBytes: number;
  /** Length of header and sealed directory. */
  readonly prefixBytes: number;
  readonly sha256: Uint8Array;
  readonly receivedAtMs: number;
  /** When retention condemned it, in milliseconds since 1970. */
  readonly condemnedAtMs: number | undefined;
}

export type SnapshotState = 'whole' | 'lost' | 'deleting';

export interface SnapshotRecord {
  readonly number: number;
  readonly state: SnapshotState;
  readonly sha256: Uint8Array;
  readonly receivedAtMs: number;
  readonly epoch: Epoch;
  readonly origin: Origin;
  readonly complete: boolean;
  readonly fileBytes: number;
  /** Costs its decoding each time it is asked for. */
  readonly packs: PackRanges;
  /** Dropped by retention, and deleted after this time. */
  readonly deletedAfterMs: number | undefined;
}

export interface LeaseRecord {
  readonly leaseId: LeaseId;
  readonly holder: string;
  readonly epoch: Epoch;
  readonly firstPack: number;
  readonly acquiredAtMs: number;
  readonly usedAtMs: number;
  readonly expiresAtMs: number;
  /** The epoch was raised under it: its writer is told so. */
  readonly fenced: boolean;
}

export interface InviteRecord {
  readonly sha256: Sha256Hex;
  readonly name: string;
  readonly expiresAtMs: number;
  /** What it was redeemed with, so that a repeated call is known; undefined while it is open. */
  readonly redeemed: { readonly repositoryId: RepositoryId; readonly requestSha256: Sha256Hex } | undefined;
}

/** A second copy of the small objects without which nothing opens: a damaged file is restored from it. */
export interface SmallObjectRecord {
  readonly kind: 'configuration' | 'key document';
  /** The key document's number; 0 for the configuration. */
  readonly number: number;
  /** The whole stored object, trailer included. */
  readonly file: Uint8Array;
}

export interface AuditEntry {
  readonly atMs: number;
  readonly repositoryId: RepositoryId | undefined;
  readonly event: string;
  readonly text: string;
}

/** Times that tell whether the clock can be trusted with deleting. */
export interface ClockRecord {
  readonly lastSeenMs: number;
  /** When the clock last jumped, by its new time. */
  readonly jumpedAtMs: number | undefined;
}

/** How far a scrub has come. */
export interface ScrubRecord {
  readonly startedAtMs: number;
  readonly phase: string;
  /** The last number that was checked in this phase. */
  readonly number: number;
  /** Its report so far, as JSON. */
  readonly report: string;
}

export interface MetadataRead {
  repositoryIds(): Promise<readonly RepositoryId[]>;
  repository(id: RepositoryId): Promise<(RepositoryRecord & RepositoryCounters) | undefined>;
  /** The repository whose document lists a token of this hash. */
  findToken(sha256: Sha256Hex): Promise<RepositoryId | undefined>;
  /** Repositories and numbers of key documents with a phrase slot of this access token's hash, ascending. */
  findRecovery(accessTokenSha256: Sha256Hex): Promise<readonly { repositoryId: RepositoryId; number: number }[]>;
  pack(id: RepositoryId, number: number): Promise<PackRecord | undefined>;
  /** Records with number >= from, ascending, at most `count`. */
  packs(id: RepositoryId, from: number, count: number): Promise<readonly PackRecord[]>;
  /** Numbers of packs: `present` is whole and not condemned; `condemned` is whole or holed, and condemned. */
  packNumbers(id: RepositoryId, which: 'present' | 'holed' | 'lost' | 'condemned' | 'deleting'): Promise<PackRanges>;
  snapshot(id: RepositoryId, number: number): Promise<SnapshotRecord | undefined>;
  /** All, ascending. */
  snapshots(id: RepositoryId): Promise<readonly SnapshotRecord[]>;
  /** When the newest whole and complete snapshot was received. */
  lastComplete(id: RepositoryId): Promise<number | undefined>;
  lease(id: RepositoryId): Promise<LeaseRecord | undefined>;
  invite(sha256: Sha256Hex): Promise<InviteRecord | undefined>;
  smallObjects(id: RepositoryId): Promise<readonly SmallObjectRecord[]>;
  /** The newest entries, newest first. */
  audit(count: number): Promise<readonly AuditEntry[]>;
  /** When the audit last noted one of these events of a repository. */
  lastAudit(id: RepositoryId, events: readonly string[]): Promise<number | undefined>;
  clock(): Promise<ClockRecord | undefined>;
  scrub(id: RepositoryId): Promise<ScrubRecord | undefined>;
}

/** Every put replaces the record of the same key. */
export interface MetadataWrite extends MetadataRead {
  putRepository(record: RepositoryRecord): Promise<void>;
  putPack(id: RepositoryId, record: PackRecord): Promise<void>;
  /** Condemns whole and holed packs of the range that are not condemned and were received before a time. */
  condemnPacks(id: RepositoryId, range: PackRange, atMs: number, receivedBeforeMs: number): Promise<void>;
  /** Takes the condemnation from the packs of the range. */
  releasePacks(id: RepositoryId, range: PackRange): Promise<void>;
  /** Marks as `deleting` the packs of the range that are condemned. */
  markPacks(id: RepositoryId, range: PackRange): Promise<void>;
  /** Forgets the packs of the range that are marked. */
  deleteMarkedPacks(id: RepositoryId, range: PackRange): Promise<void>;
  deletePack(id: RepositoryId, number: number): Promise<void>;
  putSnapshot(id: RepositoryId, record: SnapshotRecord): Promise<void>;
  /** Condemns a snapshot until a time, or takes the condemnation from it. */
  condemnSnapshot(id: RepositoryId, number: number, deletedAfterMs: number | undefined): Promise<void>;
  /** Marks a snapshot as `deleting`, whatever it was. */
  markSnapshot(id: RepositoryId, number: number): Promise<void>;
  deleteSnapshot(id: RepositoryId, number: number): Promise<void>;
  putLease(id: RepositoryId, record: LeaseRecord): Promise<void>;
  deleteLease(id: RepositoryId): Promise<void>;
  putInvite(record: InviteRecord): Promise<void>;
  /** Removes invites that expired before a time. */
  deleteInvites(expiredBeforeMs: number): Promise<void>;
  putSmallObject(id: RepositoryId, record: SmallObjectRecord, accessTokenSha256s: readonly Sha256Hex[]): Promise<void>;
  /** Removes a small object and the recoveries that it gave. */
  deleteSmallObject(id: RepositoryId, kind: SmallObjectRecord['kind'], number: number): Promise<void>;
  addAudit(entry: AuditEntry): Promise<void>;
  putClock(record: ClockRecord): Promise<void>;
  putScrub(id: RepositoryId, record: ScrubRecord | undefined): Promise<void>;
}

/**
 * When a change must outlast a power cut: `now`, before `write` resolves; `found again` leaves that to the next change that lasts now,
 * because a durable file says the same, and reconcile.ts finds it.
 */
export type Lasting = 'now' | 'found again';

export interface MetadataStore {
  /** One consistent view. `work` must await nothing but the view. */
  read<T>(work: (view: MetadataRead) => Promise<T>): Promise<T>;
  /**
   * One atomic, durable change; changes are made one after the other, across processes too. When `work` throws, nothing
   * is changed. It may publish objects meanwhile: what it decides on stays as it is until it ends.
   * @param lasting `now` when left out.
   * @throws STORE_LOCKED when another process holds the records too long, DISK_FULL, STORE_INVALID.
   */
  write<T>(work: (change: MetadataWrite) => Promise<T>, lasting?: Lasting): Promise<T>;
  close(): Promise<void>;
}
