// The one store interface: reached over HTTPS (sync/http-repository.ts) or in the folder itself (store/folder-repository.ts).
// One conformance suite runs against both. Who may not write cannot even name the call: Reader ⊂ Writer ⊂ Takeover.
import type { Epoch, LeaseId, Origin, RepositoryId, SnapshotNumber } from '../format/ids.ts';
import type { PackRanges } from '../format/pack-ranges.ts';

/** A snapshot's number and the SHA-256 of its file: what the chain of snapshots ends in. */
export interface SnapshotPointer {
  readonly number: SnapshotNumber;
  readonly sha256: Uint8Array;
}

/** What a server tells of a snapshot without a key. */
export interface SnapshotSummary extends SnapshotPointer {
  /** When the server received it, in milliseconds since 1970 by the server's clock. */
  readonly receivedAtMs: number;
  readonly epoch: Epoch;
  readonly origin: Origin;
  readonly complete: boolean;
  readonly fileBytes: number;
  readonly pinned: boolean;
  /** Dropped by retention, and deleted after this time (ms since 1970); undefined while it is kept. */
  readonly deletedAfterMs: number | undefined;
  /** Packs that it needs and that are lost or healed only in part. */
  readonly packsDamaged: PackRanges;
  /** Set when its own file is damaged or gone: it is listed, and cannot be restored. */
  readonly fileLost?: boolean;
}

/** The state of a repository as its server sees it. */
export interface RepositoryStatus {
  readonly repositoryId: RepositoryId;
  readonly name: string;
  readonly epoch: Epoch;
  /** Random, drawn anew when the server's records were rebuilt: a client's cached index of another generation is void. */
  readonly generation: string;
  readonly head: SnapshotPointer | undefined;
  /** The highest pack number ever handed out, or 0. */
  readonly lastPack: number;
  /** Numbers of all packs that are whole and not condemned: those that a new snapshot may name. */
  readonly present: PackRanges;
  /** Packs that some snapshot needs and that are missing or damaged. */
  readonly lost: PackRanges;
  /** Packs that were healed only in part: present, with holes. */
  readonly holed: PackRanges;
  /** The revision that a pack healed now must carry. */
  readonly healRevision: number;
  /** What packs and snapshots take on the store's disk. */
  readonly storedBytes: number;
  /** Undefined: no quota. */
  readonly quotaBytes: number | undefined;
  readonly freeBytes: number;
  readonly leaseHolder: string | undefined;
  /** The newest complete snapshot's time of receipt, in milliseconds since 1970. */
  readonly lastCompleteAtMs: number | undefined;
  readonly serverTimeMs: number;
}

/** Permission for one writer at a time. Every write that names it renews it. */
export interface Lease {
  readonly leaseId: LeaseId;
  /** New packs take this number, then the next, and so on. */
  readonly firstPack: number;
  /** It ends this many milliseconds after the last write that named it. */
  readonly lifetimeMs: number;
  /** The state that the writer may build on: nothing in it goes away while the lease lives. */
  readonly status: RepositoryStatus;
}

export interface LeaseRequest {
  readonly leaseId: LeaseId;
  /** The epoch that the writer lives in: refused as FENCED when the repository's is higher. */
  readonly epoch: Epoch;
  /** For people: host name and purpose. The same holder takes its own dead lease over at once. */
  readonly holder: string;
}

/** Bytes `start` to `end` of an object, `end` excluded. */
export interface ByteSpan {
  readonly start: number;
  readonly end: number;
}

/** A pack's file that this process may read by itself, in any thread. Its bytes are unverified. */
export interface OpenPackFile {
  readonly descriptor: number;
  /** Length of the pack: what follows in the file is the store's. */
  readonly sizeBytes: number;
  close(): Promise<void>;
}

/** What a read token may do. All methods throw NOT_FOUND for what is not there, and network errors where there is a network. */
export interface RepositoryReader {
  readonly repositoryId: RepositoryId;
  status(): Promise<RepositoryStatus>;
  configuration(): Promise<Uint8Array>;
  /** Numbers of the key documents, ascending. */
  keyDocumentNumbers(): Promise<readonly number[]>;
  keyDocument(number: number): Promise<Uint8Array>;
  /** All snapshots, ascending by number. */
  snapshots(): Promise<readonly SnapshotSummary[]>;
  /** A snapshot's file. */
  snapshot(number: SnapshotNumber): Promise<Uint8Array>;
  /** A pack's file, or a span of it. The bytes are unverified: opening the seal verifies them. */
  pack(number: number, span?: ByteSpan): Promise<Uint8Array>;
  /** A pack's open file, so that whoever uses the bytes reads them himself; undefined where there is no file on this machine. */
  packFile(number: number): Promise<OpenPackFile | undefined>;
  /** For every present pack from `fromPack` on, ascending: its header and sealed directory, as one byte string each. */
  directories(fromPack: number): AsyncIterable<Uint8Array>;
  /** Header and sealed directory of a lost pack, as far as its quarantined file still has them; unverified. */
  lostDirectory(number: number): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

/** What a push token may do: add, never overwrite, never delete. */
export interface RepositoryWriter extends RepositoryReader {
  /** @throws BUSY while another holder's lease lives, FENCED when the epoch is over. */
  acquireLease(request: LeaseRequest): Promise<Lease>;
  /** @throws LEASE_LOST. */
  renewLease(leaseId: LeaseId): Promise<void>;
  /** Ends it; no error when it has ended already. */
  releaseLease(leaseId: LeaseId): Promise<void>;
  /**
   * Stores a pack durably: once this resolves, it survives a power cut. The same bytes again are accepted again.
   * @param parts the pack file's bytes, in order.
   * @param sha256 of all parts; checked on arrival.
   * @throws LEASE_LOST, CONFLICT (other bytes under this number), DIGEST_MISMATCH, QUOTA_EXCEEDED, SERVER_FULL.
   */
  putPack(leaseId: LeaseId, number: number, parts: readonly Uint8Array[], sha256: Uint8Array): Promise<void>;
  /**
   * Publishes a snapshot: the only commit point. The same bytes again are accepted again, also under a new lease.
   * @throws PACKS_MISSING (details.missing: ranges), CONFLICT (not the next number, or not chained to the head), LEASE_LOST, FENCED.
   */
  commitSnapshot(leaseId: LeaseId, file: Uint8Array): Promise<SnapshotSummary>;
  /** Adds a key document with the next number. @throws CONFLICT when the number is taken by another. */
  putKeyDocument(number: number, file: Uint8Array): Promise<void>;
}

/** What a takeover may do besides. */
export interface RepositoryTakeover extends RepositoryWriter {
  /** Raises the epoch from `expected` to `expected + 1`; the same call again is accepted again. Ends any lease of an older epoch. */
  raiseEpoch(expected: Epoch): Promise<Epoch>;
}
