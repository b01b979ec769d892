// The host of the repositories that lie in one store's folder.
import { isFallbackError } from '../errors/fallback-error.ts';
import type { RepositoryId } from '../format/ids.ts';
import { sha256FromBytes } from '../format/ids.ts';
import type { FolderRepository } from '../store/folder-repository.ts';
import type { Store } from '../store/store.ts';
import type { PairingAnswer, PairingRequest, Recovery, RepositoryAccess, RepositoryHost } from './repository-host.ts';

/** A damaged key document must not hide the others. @throws DAMAGED when all are. */
async function readWhatCanBeRead(repository: FolderRepository, numbers: readonly number[]) {
  const documents: { readonly number: number; readonly file: Uint8Array }[] = [];
  let damage: unknown;
  for (const number of numbers) {
    try {
      documents.push({ number, file: await repository.keyDocument(number) });
    } catch (error) {
      if (!isFallbackError(error, 'DAMAGED')) throw error;
      damage = error;
    }
  }
  if (documents.length === 0) throw damage;
  return documents;
}

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

  async expectPairing(oneTimeToken: Uint8Array): Promise<void> {
    await this.#store.requireInvite(oneTimeToken);
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
    const [access] = await this.#store.findRecovery(accessToken);
    if (access === undefined) return undefined;
    const { repositoryId, keyDocumentNumbers, superseded } = access;
    const repository = await this.#store.repository(repositoryId);
    const configuration = await repository.configuration();
    const keyDocuments = await readWhatCanBeRead(repository, keyDocumentNumbers);
    return { repositoryId, configuration, keyDocuments, superseded };
  }
}
