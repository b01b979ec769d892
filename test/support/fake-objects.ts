// Valid packs, snapshots, key documents and configurations without any key: random bytes stand for the sealed parts.
import { createHash, randomBytes } from 'node:crypto';
import { encodeConfigurationHead } from '../../src/format/configuration.ts';
import {
  type Epoch,
  type LeaseId,
  leaseIdFromBytes,
  parseEpoch,
  parseOrigin,
  parsePackNumber,
  parseSnapshotNumber,
  type RepositoryId,
  repositoryIdFromBytes,
  type Sha256Hex,
  sha256FromBytes,
} from '../../src/format/ids.ts';
import { encodeKeyDocument } from '../../src/format/key-document.ts';
import { encodePackHeader, packHeaderBytes } from '../../src/format/pack.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import { encodeSnapshotHead } from '../../src/format/snapshot.ts';
import type { SnapshotPointer } from '../../src/store/repository-store.ts';

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());
export const sha256Hex = (bytes: Uint8Array): Sha256Hex => sha256FromBytes(sha256(bytes));
export const newLeaseId = (): LeaseId => leaseIdFromBytes(randomBytes(16));
export const newRepositoryId = (): RepositoryId => repositoryIdFromBytes(randomBytes(16));

export interface FakePackOptions {
  readonly revision?: number;
  readonly hasHoles?: boolean;
  readonly directoryBytes?: number;
  readonly bodyBytes?: number;
}

export interface FakePack {
  readonly number: number;
  readonly file: Uint8Array;
  readonly sha256: Uint8Array;
  /** Header and sealed directory. */
  readonly prefix: Uint8Array;
}

/** A pack that no key opens. */
export function fakePack(repositoryId: RepositoryId, number: number, options: FakePackOptions = {}): FakePack {
  const directoryBytes = options.directoryBytes ?? 100;
  const bodyBytes = options.bodyBytes ?? 1000;
  const header = encodePackHeader({
    repositoryId,
    number: parsePackNumber(number),
    revision: options.revision ?? 0,
    hasHoles: options.hasHoles ?? false,
    directoryBytes,
    bodyBytes,
  });
  const file = new Uint8Array(Buffer.concat([header, randomBytes(directoryBytes + bodyBytes)]));
  return { number, file, sha256: sha256(file), prefix: file.subarray(0, packHeaderBytes + directoryBytes) };
}

export interface FakeSnapshotOptions {
  readonly epoch?: Epoch;
  readonly complete?: boolean;
  readonly origin?: string;
  readonly sealedBytes?: number;
}

/** A snapshot after `previous` that no key opens. @param packs numbers or ranges that it needs. */
export function fakeSnapshot(
  repositoryId: RepositoryId,
  previous: SnapshotPointer | undefined,
  packs: Iterable<number> | PackRanges,
  options: FakeSnapshotOptions = {},
): Uint8Array {
  const sealed = randomBytes(options.sealedBytes ?? 200);
  const head = encodeSnapshotHead(
    {
      repositoryId,
      number: parseSnapshotNumber((previous?.number ?? 0) + 1),
      epoch: options.epoch ?? parseEpoch(1),
      complete: options.complete ?? true,
      previousSha256: previous?.sha256 ?? new Uint8Array(32),
      origin: parseOrigin(options.origin ?? 'main'),
      packs: packs instanceof PackRanges ? packs : PackRanges.fromNumbers(packs),
    },
    sealed.byteLength,
  );
  return new Uint8Array(Buffer.concat([head, sealed]));
}

/** A configuration that no key opens. */
export function fakeConfiguration(repositoryId: RepositoryId): Uint8Array {
  return new Uint8Array(Buffer.concat([encodeConfigurationHead({ version: 1, repositoryId }), randomBytes(80)]));
}

/** A key document with one recovery phrase. @param accessToken what the phrase would give. */
export function fakeKeyDocument(repositoryId: RepositoryId, number: number, accessToken?: Uint8Array): Uint8Array {
  const wrapped = { commitment: randomBytes(32), nonce: randomBytes(24), sealed: randomBytes(48) };
  return new Uint8Array(
    encodeKeyDocument({
      repositoryId,
      number,
      slots: [{ type: 'phrase', accessTokenSha256: sha256(accessToken ?? randomBytes(32)), wrapped }],
    }),
  );
}
