// A store in a temporary folder, with a clock that tests move.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RepositoryId } from '../../src/format/ids.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import type { Environment } from '../../src/store/environment.ts';
import type { FolderRepository } from '../../src/store/folder-repository.ts';
import { createStore, openStore } from '../../src/store/open-store.ts';
import type { StoreOptions } from '../../src/store/repository-context.ts';
import type { Store } from '../../src/store/store.ts';
import { fakeConfiguration, fakeKeyDocument, newRepositoryId, sha256Hex } from './fake-objects.ts';

/** A clock that stands still until it is moved, and true randomness. */
export class TestEnvironment implements Environment {
  timeMs = Date.UTC(2026, 0, 15, 3, 0, 0);

  nowMs(): number {
    return this.timeMs;
  }

  randomBytes(count: number): Uint8Array {
    return new Uint8Array(randomBytes(count));
  }
}

export interface PairedRepository {
  readonly id: RepositoryId;
  readonly configuration: Uint8Array;
  readonly keyDocument: Uint8Array;
  readonly pushToken: Uint8Array;
  readonly readToken: Uint8Array;
  readonly accessToken: Uint8Array;
}

/** Invites and pairs a new repository. */
export async function pair(store: Store, name = 'main.example'): Promise<PairedRepository> {
  const id = newRepositoryId();
  const [pushToken, readToken, accessToken] = [randomBytes(32), randomBytes(32), randomBytes(32)];
  const configuration = fakeConfiguration(id);
  const keyDocument = fakeKeyDocument(id, 1, accessToken);
  const invite = await store.createInvite(name, 3_600_000);
  await store.redeemInvite(invite, {
    repositoryId: id,
    pushTokenSha256: sha256Hex(pushToken),
    readTokenSha256: sha256Hex(readToken),
    configuration,
    keyDocument,
  });
  return { id, configuration, keyDocument, pushToken, readToken, accessToken };
}

/** A store with one repository. */
export class TemporaryStore {
  readonly folder: string;
  readonly environment: TestEnvironment;
  readonly options: Partial<StoreOptions>;
  readonly paired: PairedRepository;
  store: Store;

  private constructor(
    folder: string,
    environment: TestEnvironment,
    options: Partial<StoreOptions>,
    store: Store,
    paired: PairedRepository,
  ) {
    this.folder = folder;
    this.environment = environment;
    this.options = options;
    this.store = store;
    this.paired = paired;
  }

  static async create(options: Partial<StoreOptions> = {}, parent = tmpdir()): Promise<TemporaryStore> {
    const folder = await mkdtemp(join(parent, 'fallback-store-'));
    const environment = new TestEnvironment();
    const settings = { ballastBytes: 0, ...options };
    const store = await createStore({ folder, environment, options: settings });
    return new TemporaryStore(folder, environment, settings, store, await pair(store));
  }

  /** The folder opened once more, as another process would. */
  open(fileSystem?: FileSystem): Promise<Store> {
    const { folder, environment, options } = this;
    return openStore({ folder, environment, options, ...(fileSystem === undefined ? {} : { fileSystem }) });
  }

  async reopen(): Promise<void> {
    await this.store.close();
    this.store = await this.open();
  }

  repository(): Promise<FolderRepository> {
    return this.store.repository(this.paired.id);
  }

  async dispose(): Promise<void> {
    await this.store.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
