// init: makes a repository's secret, keys and configuration, and pairs with a server. Every step can be repeated after a crash:
//   1 the record of the pairing, durable   2 the server makes the repository   3 the client's state, address last
//   4 the recovery sheet is handed over    5 the record is removed
// Crash before 2: the same command begins anew from the record. Between 2 and 5: it goes on; the server knows the request.
import { createHash } from 'node:crypto';
import { toHex } from '../../bytes/hex.ts';
import type { ChunkerEngine } from '../../chunker/chunker.ts';
import { defaultChunkerParameters } from '../../chunker/parameters.ts';
import { deriveRepositoryKeys } from '../../crypto/key-hierarchy.ts';
import { defaultArgon2Cost, makePassphraseSlot, makePhraseSlot, openSecret } from '../../crypto/key-slots.ts';
import { makeRecoveryPhrase, parseRecoveryPhrase } from '../../crypto/recovery-phrase.ts';
import { openConfiguration, sealConfiguration } from '../../crypto/sealed-configuration.ts';
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import type { RepositoryConfiguration } from '../../format/configuration.ts';
import { repositoryIdFromBytes } from '../../format/ids.ts';
import { type Argon2Cost, decodeKeyDocument, encodeKeyDocument, type KeySlot } from '../../format/key-document.ts';
import type { PairingCode } from '../../format/pairing-code.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { ClientCredentials, ClientState } from '../client-state.ts';
import type { Pairing, PairingRequest } from '../http/pair-with-server.ts';
import { clearLeftovers } from './clear-leftovers.ts';
import {
  codeSha256,
  loadPairingRecord,
  type PairingRecord,
  removePairingRecord,
  savePairingRecord,
} from './pairing-record.ts';

const MiB = 1024 * 1024;

/** Packs of 3 to 5 MiB of new chunks: DESIGN section 3, 4 MiB on average and never the same length. */
export const packTargets = { packTargetBytesMin: 3 * MiB, packTargetBytesMax: 5 * MiB } as const;

/** The configuration of a new repository. */
export const newConfiguration = (engine: ChunkerEngine): RepositoryConfiguration => ({
  ...defaultChunkerParameters,
  ...packTargets,
  engine,
});

export interface PairEnvironment {
  nowMs(): number;
  randomBytes(count: number): Uint8Array;
}

/** Where a pairing is kept and what it takes from outside. */
export interface PairingPlace {
  readonly state: ClientState;
  readonly fs: FileSystem;
  readonly environment: PairEnvironment;
}

/** How the secret is kept. */
export interface NewKeys {
  /** A second way in beside the recovery phrase; undefined for none. */
  readonly passphrase: string | undefined;
  /** False: the secret stands in the key document in the clear, and whoever has the store's folder reads everything. */
  readonly isEncrypted: boolean;
  readonly engine: ChunkerEngine;
  /** For tests; RFC 9106's second recommendation when left out. */
  readonly argon2Cost?: Argon2Cost;
}

/** A pairing that was begun with this code on this machine, if any. @throws ALREADY_EXISTS when the machine is paired otherwise. */
export async function findBegunPairing(place: PairingPlace, code: PairingCode): Promise<PairingRecord | undefined> {
  const record = await loadPairingRecord(place.fs, place.state.folder, code);
  if (!(await place.state.isPaired())) return record;
  const { address } = await place.state.load();
  if (record !== undefined && record.repositoryId === address.repositoryId) return record;
  throw new FallbackError(
    'ALREADY_EXISTS',
    `This machine is paired already, with repository ${address.name} on ${address.host}. Nothing was changed.`,
    {
      hint:
        'To see it: fallback status. For a new recovery sheet: fallback key recovery. ' +
        'To pair with another server besides, choose another folder with --state.',
      details: { repositoryId: address.repositoryId, host: address.host, folder: place.state.folder },
    },
  );
}

/** Makes all that is secret, and keeps it durably before the server hears of it. @throws VERIFY_FAILED, DISK_FULL, IO. */
export async function beginPairing(place: PairingPlace, code: PairingCode, keys: NewKeys): Promise<PairingRecord> {
  const { environment, state, fs } = place;
  const randomBytes = (count: number): Uint8Array => environment.randomBytes(count);
  const repositoryId = repositoryIdFromBytes(randomBytes(16));
  const secret = randomBytes(32);
  const phraseEntropy = parseRecoveryPhrase(makeRecoveryPhrase(randomBytes));
  const slots: KeySlot[] = [makePhraseSlot(repositoryId, secret, phraseEntropy, randomBytes)];
  if (!keys.isEncrypted) slots.unshift({ type: 'clear', secret });
  if (keys.passphrase !== undefined) {
    const cost = keys.argon2Cost ?? defaultArgon2Cost;
    slots.unshift(makePassphraseSlot(repositoryId, secret, keys.passphrase, randomBytes, cost));
  }
  const derived = deriveRepositoryKeys(secret, repositoryId);
  const record: PairingRecord = {
    codeSha256: codeSha256(code),
    begunAtMs: environment.nowMs(),
    repositoryId,
    secret,
    pushToken: randomBytes(32),
    phraseEntropy,
    configuration: sealConfiguration(derived, newConfiguration(keys.engine), randomBytes),
    keyDocument: encodeKeyDocument({ repositoryId, number: 1, slots }),
  };
  await savePairingRecord(fs, state.folder, record, toHex(randomBytes(8)));
  return record;
}

/** Whether a begun pairing was made with this passphrase. */
export function hasPassphrase(record: PairingRecord, passphrase: string): boolean {
  try {
    openSecret([decodeKeyDocument(record.keyDocument)], { type: 'passphrase', passphrase }, record.repositoryId);
    return true;
  } catch (error) {
    if (isFallbackError(error, 'KEY_WRONG')) return false;
    throw error;
  }
}

/** What a begun pairing was begun with. */
export function facetsOf({ keyDocument, secret, repositoryId, configuration }: PairingRecord): {
  readonly isEncrypted: boolean;
  readonly hasPassphrase: boolean;
  readonly engine: ChunkerEngine;
} {
  const { slots } = decodeKeyDocument(keyDocument);
  return {
    isEncrypted: !slots.some(({ type }) => type === 'clear'),
    hasPassphrase: slots.some(({ type }) => type === 'passphrase'),
    engine: openConfiguration(deriveRepositoryKeys(secret, repositoryId), configuration).engine,
  };
}

/** The call to the server: sync/http/pair-with-server.ts, or a test's own. */
export type PairCall = (code: PairingCode, request: PairingRequest) => Promise<Pairing>;

const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());

/**
 * Pairs with the server and keeps the client's state; a state that is there already is returned as it is.
 * @throws CERTIFICATE_MISMATCH, PAIRING_INVALID (the record is gone then), ALREADY_EXISTS, UNREACHABLE, TIMEOUT, PROTOCOL, DISK_FULL, IO.
 */
export async function completePairing(
  place: PairingPlace,
  code: PairingCode,
  record: PairingRecord,
  pair: PairCall,
): Promise<ClientCredentials> {
  const { state, fs } = place;
  if (await state.isPaired()) return await state.load();
  const keys = deriveRepositoryKeys(record.secret, record.repositoryId);
  let pairing: Pairing;
  try {
    pairing = await pair(code, {
      repositoryId: record.repositoryId,
      pushTokenSha256: sha256(record.pushToken),
      readTokenSha256: sha256(keys.readToken),
      configuration: record.configuration,
      keyDocument: record.keyDocument,
    });
  } catch (error) {
    if (isFallbackError(error, 'PAIRING_INVALID')) await removePairingRecord(fs, state.folder);
    throw error;
  }
  const { trust, host, port } = pairing.server;
  const isPinned = trust.kind === 'pinned';
  await clearLeftovers(fs, state, record.repositoryId);
  await state.save({
    address: {
      host,
      port,
      repositoryId: record.repositoryId,
      name: pairing.name,
      certificateSha256: isPinned ? toHex(code.certificateSha256) : undefined,
    },
    certificate: isPinned ? trust.certificatePem : undefined,
    pushToken: record.pushToken,
    secret: record.secret,
  });
  return await state.load();
}

/** Ends a pairing: the phrase was handed over, and is on this machine no more. */
export async function finishPairing({ fs, state }: PairingPlace): Promise<void> {
  await removePairingRecord(fs, state.folder);
}
