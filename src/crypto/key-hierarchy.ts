// One repository secret, and what HKDF-SHA-256 (RFC 5869) derives from it. THREAT-MODEL.md, Keys.
import { createSecretKey, type KeyObject } from 'node:crypto';
import { expand, extract } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { idBytes, type RepositoryId } from '../format/ids.ts';

/** 32 random bytes: the root of all keys of one repository. */
export type RepositorySecret = Uint8Array;

const label = (purpose: string): Uint8Array => new Uint8Array(Buffer.from(`fallback/v1/${purpose}`, 'ascii'));

const expandKey = (extracted: Uint8Array, purpose: string): Uint8Array => expand(sha256, extracted, label(purpose), 32);

/** HKDF-SHA-256 with a label of its own for each purpose: 32 bytes. Nothing is derived in any other way. */
export function deriveKey(secret: Uint8Array, salt: Uint8Array, purpose: string): Uint8Array {
  return expandKey(extract(sha256, secret, salt), purpose);
}

/** The keys of one repository. */
export interface RepositoryKeys {
  readonly repositoryId: RepositoryId;
  /** HMAC-SHA-256 key of chunk ids. */
  readonly chunkId: KeyObject;
  /** Seed of the chunker's gear table, 32 bytes. */
  readonly chunkerSeed: Uint8Array;
  /** Seals directories and bodies of packs, 32 bytes. */
  readonly pack: Uint8Array;
  /** Seals snapshot records, 32 bytes. */
  readonly snapshot: Uint8Array;
  /** Seals the configuration, 32 bytes. */
  readonly configuration: Uint8Array;
  /** Tags spans on the main server, 32 bytes. */
  readonly spanTag: KeyObject;
  /** Seals what is remembered there of packs, spans and archives, 32 bytes. */
  readonly memory: Uint8Array;
  /** A bearer token that may read: whoever has the secret has it too. 32 bytes. */
  readonly readToken: Uint8Array;
}

/** Derives all keys of a repository. @param secret 32 bytes. */
export function deriveRepositoryKeys(secret: RepositorySecret, repositoryId: RepositoryId): RepositoryKeys {
  // What all keys have in common is computed once: cold, each HKDF takes a millisecond of every start.
  const extracted = extract(sha256, secret, idBytes(repositoryId));
  return {
    repositoryId,
    chunkId: createSecretKey(expandKey(extracted, 'chunk-id')),
    chunkerSeed: expandKey(extracted, 'chunker'),
    pack: expandKey(extracted, 'pack'),
    snapshot: expandKey(extracted, 'snapshot'),
    configuration: expandKey(extracted, 'configuration'),
    spanTag: createSecretKey(expandKey(extracted, 'span-tag')),
    memory: expandKey(extracted, 'span-memory'),
    readToken: expandKey(extracted, 'read-token'),
  };
}
