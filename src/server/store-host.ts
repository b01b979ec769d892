// The host of the repositories that lie in one store's folder.
import type { RepositoryId } from '../format/ids.ts';
import { sha256FromBytes } from '../format/ids.ts';
import type { Store } from '../store/store.ts';
import type { PairingAnswer, PairingRequest, Recovery, RepositoryAccess, RepositoryHost } from './repository-host.ts';

/** Lets the clients of a server at the store's repositories. */
export class StoreHost implements RepositoryHost {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async authenticate(repositoryId: RepositoryId, token: Uint8Array): Promise<RepositoryAccess | undefined> {
    // The token is looked up alone: whether the repository exists has no influence on the way that is taken.
    const access = await this.#store.authenticate(token);
    if (access?.repositoryId !== repositoryId) return undefined;
    return { scopes: access.scopes, repository: await this.#store.repository(repositoryId) };
  }

  async redeem(oneTimeToken: Uint8Array, request: PairingRequest): Promise<PairingAnswer> {
    const repositoryId = await this.#store.redeemInvite(oneTimeToken, {
      ...request,
      pushTokenSha256: sha256FromBytes(request.pushTokenSha256),
      readTokenSha256: sha256FromBytes(request.readTokenSha256),
    });
    const { name } = await (await this.#store.repository(repositoryId)).status();
    return { repositoryId, name };
  }

  async recover(accessToken: Uint8Array): Promise<Recovery | undefined> {
    const found = await this.#store.findRecovery(accessToken);
    const access = found.find(({ superseded }) => !superseded) ?? found[0];
    if (access === undefined) return undefined;
    const { repositoryId, keyDocumentNumber: number, superseded } = access;
    const repository = await this.#store.repository(repositoryId);
    const configuration = await repository.configuration();
    const keyDocuments = [{ number, file: await repository.keyDocument(number) }];
    return { repositoryId, configuration, keyDocuments, superseded };
  }
}
