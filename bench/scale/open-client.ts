// A paired client of the bench: its keys, and its repository over HTTPS, without the command around them.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { deriveRepositoryKeys, type RepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { FallbackError } from '../../src/errors/fallback-error.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { ClientState } from '../../src/sync/client-state.ts';
import { HttpRepository } from '../../src/sync/http/http-repository.ts';

/** Fresh random bytes in memory of their own. */
export const freshBytes = (count: number): Uint8Array => new Uint8Array(randomBytes(count));

export interface BenchClient {
  readonly keys: RepositoryKeys;
  /** With the token that pushes. The caller closes it. */
  readonly repository: HttpRepository;
}

/** Opens what `fallback init` left in `folder`. @throws NO_REPOSITORY. */
export async function openClient(folder: string): Promise<BenchClient> {
  const state = new ClientState(nodeFileSystem, folder, () => randomBytes(8).toString('hex'));
  const { address, certificate, pushToken, secret } = await state.load();
  if (certificate === undefined || pushToken === undefined) throw new FallbackError('NO_REPOSITORY', 'No pairing.');
  const { host, port, repositoryId } = address;
  const repository = new HttpRepository({
    server: { host, port, trust: { kind: 'pinned', certificatePem: certificate } },
    environment: {
      monotonicMs: () => performance.now(),
      sleep: async (ms, signal) => void (await sleep(ms, undefined, signal === undefined ? {} : { signal })),
      randomFraction: () => Math.random(),
    },
    repositoryId,
    token: pushToken,
  });
  return { keys: deriveRepositoryKeys(secret, repositoryId), repository };
}
