// connect: from the recovery sheet alone (address, fingerprint, phrase) to read access on a new machine.
import { equalBytes, toHex } from '../../bytes/hex.ts';
import { deriveRepositoryKeys } from '../../crypto/key-hierarchy.ts';
import { recoveryAccessToken } from '../../crypto/recovery-phrase.ts';
import { openSnapshot } from '../../crypto/sealed-snapshot.ts';
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import type { ServerAddress } from '../../format/pairing-code.ts';
import type { SnapshotRecord } from '../../format/snapshot.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { RepositoryReader, RepositoryStatus } from '../../store/repository-store.ts';
import type { ClientCredentials, ClientState } from '../client-state.ts';
import type { FetchedRecovery } from '../http/fetch-recovery.ts';
import type { TrustedServer } from '../http/server-trust.ts';
import { checkTrust } from '../trust.ts';
import { clearLeftovers } from './clear-leftovers.ts';
import { openSecretWith, showOlder } from './key-documents.ts';

export interface ConnectRequest {
  readonly fs: FileSystem;
  readonly state: ClientState;
  readonly address: ServerAddress;
  /** The 16 bytes behind the recovery phrase. */
  readonly phraseEntropy: Uint8Array;
  readonly keyDocument: number | undefined;
  /** A push token that the fallback server's admin made for this machine (32 bytes); read-only without one. */
  readonly pushToken: Uint8Array | undefined;
}

/** The calls to the server: sync/http, or a test's own. */
export interface ConnectCalls {
  fetchRecovery(address: ServerAddress, accessToken: Uint8Array): Promise<FetchedRecovery>;
  openRepository(server: TrustedServer, recovery: FetchedRecovery, token: Uint8Array): RepositoryReader;
}

export interface Connected {
  readonly credentials: ClientCredentials;
  readonly status: RepositoryStatus;
  /** What the newest snapshot says under its seal: T2 without a memory is for people to judge. Undefined without any. */
  readonly newest: SnapshotRecord | undefined;
}

const alreadyConnected = ({ address }: ClientCredentials): FallbackError =>
  new FallbackError(
    'ALREADY_EXISTS',
    `This machine is connected already, with repository ${address.name} on ${address.host}. Nothing was changed.`,
    { hint: 'To see it: fallback status. To connect with another one besides, choose another folder with --state.' },
  );

/**
 * What this machine has already: it can be given a push token later, or another one in place of a revoked one.
 * @throws ALREADY_EXISTS when it is paired or connected, and nothing would change.
 */
export async function findConnected(
  state: ClientState,
  pushToken: Uint8Array | undefined,
): Promise<ClientCredentials | undefined> {
  if (!(await state.isPaired())) return undefined;
  const credentials = await state.load();
  const own = credentials.pushToken;
  if (pushToken !== undefined && (own === undefined || !equalBytes(own, pushToken))) return credentials;
  throw alreadyConnected(credentials);
}

/**
 * Fetches the key document, opens the secret, proves it on configuration and newest snapshot, and keeps the access.
 * @throws CERTIFICATE_MISMATCH, UNAUTHORIZED, KEY_WRONG, SEAL_BROKEN, ALREADY_EXISTS, UNREACHABLE, TIMEOUT, PROTOCOL.
 */
export async function connectWithPhrase(request: ConnectRequest, calls: ConnectCalls): Promise<Connected> {
  const { fs, state, address, phraseEntropy, keyDocument, pushToken } = request;
  const connected = await findConnected(state, pushToken);
  const recovery = await fetch(request, calls);
  const { repositoryId, keyDocuments, configuration, server } = recovery;
  if (connected !== undefined && connected.address.repositoryId !== repositoryId) throw alreadyConnected(connected);
  if (recovery.superseded && keyDocument === undefined) {
    throw new FallbackError('KEY_WRONG', 'This recovery phrase was replaced by a newer one. Nothing was changed.', {
      hint: `Use the newer recovery sheet. If nobody of you replaced it, the old one still opens with ${showOlder(keyDocuments.map(({ number }) => number))}.`,
    });
  }
  const offer = { type: 'phrase', entropy: phraseEntropy } as const;
  const secret = openSecretWith(keyDocuments, repositoryId, configuration, offer, keyDocument);
  const keys = deriveRepositoryKeys(secret, repositoryId);
  const repository = calls.openRepository(server, recovery, keys.readToken);
  try {
    const status = await repository.status();
    const isHeadProved = await checkTrust(repository, keys, status, await seenOf(state, repositoryId));
    const { head } = status;
    const newest =
      head === undefined || !isHeadProved
        ? undefined
        : openSnapshot(keys, await repository.snapshot(head.number), head.number).record;
    if (pushToken !== undefined) await provePushToken(calls.openRepository(server, recovery, pushToken));
    const isPinned = server.trust.kind === 'pinned';
    const credentials: ClientCredentials = {
      address: {
        host: server.host,
        port: server.port,
        repositoryId,
        name: status.name,
        certificateSha256: isPinned ? toHex(address.certificateSha256) : undefined,
      },
      certificate: server.trust.kind === 'pinned' ? server.trust.certificatePem : undefined,
      pushToken,
      secret,
    };
    await clearLeftovers(fs, state, repositoryId);
    await state.save(credentials);
    return { credentials, status, newest };
  } finally {
    await repository.close();
  }
}

/** A wrong token is said now, not in the first night. */
async function provePushToken(repository: RepositoryReader): Promise<void> {
  try {
    await repository.status();
  } catch (error) {
    if (!isFallbackError(error, 'UNAUTHORIZED')) throw error;
    throw new FallbackError('UNAUTHORIZED', 'The server does not accept the push token. Nothing was changed.', {
      cause: error,
      hint: 'Make a new one on the fallback server: fallback repositories grant NAME --token-file FILE.',
    });
  } finally {
    await repository.close();
  }
}

/** A machine that saw this repository before does not forget it because it was connected anew. */
async function seenOf(state: ClientState, repositoryId: string): ReturnType<ClientState['seenHead']> {
  const seen = await state.seenHead();
  return seen?.repositoryId === repositoryId ? seen : undefined;
}

async function fetch({ address, phraseEntropy }: ConnectRequest, calls: ConnectCalls): Promise<FetchedRecovery> {
  try {
    return await calls.fetchRecovery(address, recoveryAccessToken(phraseEntropy));
  } catch (error) {
    if (!isFallbackError(error, 'UNAUTHORIZED')) throw error;
    throw new FallbackError('KEY_WRONG', 'The server holds no repository that this recovery phrase opens.', {
      cause: error,
      hint: 'Compare each word and the address with the recovery sheet. A sheet that was replaced by a newer one is no good.',
    });
  }
}
