// An opened repository: a store, the keys, and the configuration that they open. What every client operation starts from.
import { deriveRepositoryKeys, type RepositoryKeys, type RepositorySecret } from '../crypto/key-hierarchy.ts';
import { openConfiguration } from '../crypto/sealed-configuration.ts';
import type { RepositoryConfiguration } from '../format/configuration.ts';
import type { RepositoryReader, RepositoryStatus } from '../store/repository-store.ts';
import { checkTrust, type SeenHead } from './trust.ts';
import { workerKeys } from './workers/crypto-tasks.ts';
import { type CryptoRunner, WorkerPool } from './workers/worker-pool.ts';

/** What a client operation needs of the world; main.ts builds the real one. */
export interface ClientEnvironment {
  nowMs(): number;
  randomBytes(count: number): Uint8Array;
  readonly hostName: string;
  readonly programVersion: string;
  /** Threads for hashing and sealing; usually the number of cores. */
  readonly threads: number;
}

/** A repository whose keys fit, and whose head was found trustworthy. */
export interface RepositorySession<Store extends RepositoryReader = RepositoryReader> {
  readonly repository: Store;
  readonly keys: RepositoryKeys;
  readonly configuration: RepositoryConfiguration;
  readonly status: RepositoryStatus;
  /** False when the store has lost the newest snapshot's file: older ones can be read, and the head is not to be remembered. */
  readonly isHeadProved: boolean;
  /** What this machine had seen before; undefined when nothing. */
  readonly seen: SeenHead | undefined;
  readonly crypto: CryptoRunner;
  readonly environment: ClientEnvironment;
  close(): Promise<void>;
}

/**
 * Opens a repository with its secret.
 * @param seen what this machine has seen last, if anything.
 * @throws SEAL_BROKEN when the secret is not this repository's, TRUST_…, and network errors.
 */
export async function openSession<Store extends RepositoryReader>(
  repository: Store,
  secret: RepositorySecret,
  seen: SeenHead | undefined,
  environment: ClientEnvironment,
): Promise<RepositorySession<Store>> {
  const keys = deriveRepositoryKeys(secret, repository.repositoryId);
  const status = await repository.status();
  const configuration = openConfiguration(keys, await repository.configuration());
  const isHeadProved = await checkTrust(repository, keys, status, seen);
  const crypto = new WorkerPool(workerKeys(keys), environment.threads);
  return {
    repository,
    keys,
    configuration,
    status,
    isHeadProved,
    seen,
    crypto,
    environment,
    async close() {
      await crypto.close();
      await repository.close();
    },
  };
}
