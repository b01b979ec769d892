// A repository in a store's folder with real keys and a clock that tests set: what a main server pushes to.
import { randomBytes } from 'node:crypto';
import { deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { sealConfiguration } from '../../src/crypto/sealed-configuration.ts';
import type { RepositoryConfiguration } from '../../src/format/configuration.ts';
import { encodeKeyDocument } from '../../src/format/key-document.ts';
import type { FolderRepository } from '../../src/store/folder-repository.ts';
import { createStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/store.ts';
import { testConfiguration, testEnvironment } from './client-fixture.ts';
import { newRepositoryId, sha256Hex } from './fake-objects.ts';
import { TestEnvironment } from './temporary-store.ts';

export interface RealRepository {
  readonly store: Store;
  readonly repository: FolderRepository;
  readonly secret: Uint8Array;
  /** The store's clock. */
  readonly environment: TestEnvironment;
}

/** Makes a store with one repository. @param folder an empty one. */
export async function makeRealRepository(
  folder: string,
  configuration: RepositoryConfiguration = testConfiguration,
): Promise<RealRepository> {
  const environment = new TestEnvironment();
  const store = await createStore({ folder, environment });
  const secret = new Uint8Array(randomBytes(32));
  const repositoryId = newRepositoryId();
  const keys = deriveRepositoryKeys(secret, repositoryId);
  await store.redeemInvite(await store.createInvite('main.test', 3_600_000), {
    repositoryId,
    pushTokenSha256: sha256Hex(randomBytes(32)),
    readTokenSha256: sha256Hex(randomBytes(32)),
    configuration: sealConfiguration(keys, configuration, testEnvironment.randomBytes),
    keyDocument: encodeKeyDocument({ repositoryId, number: 1, slots: [{ type: 'clear', secret }] }),
  });
  return { store, repository: await store.repository(repositoryId), secret, environment };
}
