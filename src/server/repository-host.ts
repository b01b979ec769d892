// What the server needs of the store beyond one repository: who may do what, invitations, recovery.
import type { LeaseId, RepositoryId, SnapshotNumber } from '../format/ids.ts';
import type { PackReading } from '../store/pack-reader.ts';
import type { PackSink } from '../store/pack-writer.ts';
import type { RepositoryTakeover } from '../store/repository-store.ts';
import type { SnapshotReading } from '../store/snapshot-reader.ts';

/** The contract, and packs and snapshots as streams, so that none is ever whole in memory for a reader. */
export interface ServedRepository extends RepositoryTakeover {
  /** @throws NOT_FOUND, DAMAGED, IO. */
  openPack(number: number): Promise<PackReading>;
  /** @throws NOT_FOUND, DAMAGED, IO. */
  openSnapshot(number: SnapshotNumber): Promise<SnapshotReading>;
  /** Checks lease and number before any byte. @throws LEASE_LOST, FENCED, LIMIT_EXCEEDED. */
  beginPack(leaseId: LeaseId, number: number): Promise<PackSink>;
  /** Checks before its body is taken whether a snapshot may be committed, or has been. @throws LEASE_LOST, FENCED. */
  expectSnapshot(leaseId: LeaseId, sha256: Uint8Array): Promise<void>;
}

/** What a token may do; it may have several. None allows to overwrite or delete. */
export type Scope = 'read' | 'push' | 'takeover';

/** A repository as one token may use it. */
export interface RepositoryAccess {
  readonly scopes: readonly Scope[];
  readonly repository: ServedRepository;
}

/** A new client's half of a pairing: it makes the tokens, and the server learns only their hashes. */
export interface PairingRequest {
  readonly repositoryId: RepositoryId;
  readonly pushTokenSha256: Uint8Array;
  readonly readTokenSha256: Uint8Array;
  /** The sealed configuration file. */
  readonly configuration: Uint8Array;
  /** The first key document. */
  readonly keyDocument: Uint8Array;
}

export interface PairingAnswer {
  readonly repositoryId: RepositoryId;
  /** The name that the invitation gave it, for people. */
  readonly name: string;
}

/** What the access token of a recovery phrase is good for: all that is needed to unwrap the secret, and nothing else. */
export interface Recovery {
  readonly repositoryId: RepositoryId;
  readonly configuration: Uint8Array;
  /** All with a slot for the phrase, ascending. */
  readonly keyDocuments: readonly { readonly number: number; readonly file: Uint8Array }[];
  /** A newer key document has no slot for this phrase: it was replaced. */
  readonly superseded: boolean;
}

/** Several repositories side by side, unable to see each other. */
export interface RepositoryHost {
  /** Undefined alike for an unknown repository, an unknown token, and another repository's token; compares in constant time. */
  authenticate(repositoryId: RepositoryId, token: Uint8Array): Promise<RepositoryAccess | undefined>;
  /** Checks before a pairing's body is taken whether there is such an invitation. @throws PAIRING_INVALID. */
  expectPairing(oneTimeToken: Uint8Array): Promise<void>;
  /** Uses an invitation up; the same request again is answered again. @throws PAIRING_INVALID, ALREADY_EXISTS, FORMAT_INVALID. */
  redeem(oneTimeToken: Uint8Array, request: PairingRequest): Promise<PairingAnswer>;
  /** Undefined when no key document has a phrase slot with this access token. */
  recover(accessToken: Uint8Array): Promise<Recovery | undefined>;
}
