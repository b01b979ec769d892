// Making and opening a store's folder, and what must be put right before anything is answered from it.
import { join } from 'node:path';
import { fromHex } from '../bytes/hex.ts';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import type { RepositoryId } from '../format/ids.ts';
import { Ballast } from '../fs/ballast.ts';
import { ensureFolder } from '../fs/ensure-folder.ts';
import { acquireExclusiveLock } from '../fs/exclusive-lock.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { withFsErrors } from '../fs/map-fs-error.ts';
import { nodeFileSystem } from '../fs/node-file-system.ts';
import { beginFile } from '../fs/publish-file.ts';
import { readWholeFile } from '../fs/read-file.ts';
import { removeLeftovers } from '../fs/temporary-file.ts';
import { type Environment, randomName } from './environment.ts';
import { FolderObjectStore } from './folder-object-store.ts';
import { importRepository, readDocument } from './import-repository.ts';
import type { MetadataStore } from './metadata-store.ts';
import { documentKey, parseRepositoryFolder, repositoriesPrefix, repositoryPrefix } from './object-keys.ts';
import { isDamage } from './read-object.ts';
import { databaseName, type RebuildProgress, rebuildMetadata } from './rebuild-metadata.ts';
import { reconcile } from './reconcile.ts';
import { defaultStoreOptions, RepositoryContext, type StoreOptions, type StoreParts } from './repository-context.ts';
import { encodeRepositoryDocument } from './repository-document.ts';
import { RunningBytes } from './running-bytes.ts';
import { SqliteMetadataStore } from './sqlite-metadata-store.ts';
import { Store } from './store.ts';
import { WatchedMetadataStore } from './watched-metadata.ts';

export interface OpenStoreRequest {
  readonly folder: string;
  readonly environment: Environment;
  readonly options?: Partial<StoreOptions>;
  /** The machine's own when left out. */
  readonly fileSystem?: FileSystem;
  /** Told while the database is rebuilt from the files. */
  readonly onRebuild?: (progress: RebuildProgress) => void;
  /** Told once the store is open, whenever its database turns out damaged or replaced: only opening it anew helps (STORE_INVALID). */
  readonly onInvalid?: (error: FallbackError) => void;
}

const descriptionName = 'store.json';
const descriptionBytesMax = 4096;

/** Makes a store in a folder that is missing or empty; a store that is there stays as it is. @throws STORE_INVALID, DISK_FULL, IO. */
export async function createStore(request: OpenStoreRequest): Promise<Store> {
  const fs = request.fileSystem ?? nodeFileSystem;
  const { folder, environment } = request;
  await ensureFolder(fs, folder);
  if ((await withFsErrors('look at the folder', () => fs.facts(join(folder, descriptionName)))) === undefined) {
    await withFsErrors('look at the folder', () => removeLeftovers(fs, folder));
    const entries = await withFsErrors('look at the folder', () => fs.list(folder));
    if (entries.some(({ name }) => !name.endsWith('.tmp'))) {
      throw new FallbackError('STORE_INVALID', `${folder} is not empty and not a store; nothing was changed.`, {
        hint: 'Choose an empty folder.',
      });
    }
    const storeId = randomName(environment);
    const draft = await beginFile(fs, folder, randomName(environment));
    await draft.write(Buffer.from(`${JSON.stringify({ fallbackStore: 1, storeId })}\n`));
    await draft.publish(join(folder, descriptionName));
  }
  const store = await openStore(request);
  await ballastOf(request).fill();
  return store;
}

function ballastOf({ folder, environment, options, fileSystem = nodeFileSystem }: OpenStoreRequest): Ballast {
  const sizeBytes = options?.ballastBytes ?? defaultStoreOptions.ballastBytes;
  return new Ballast(fileSystem, { folder, sizeBytes, randomBytes: (count) => environment.randomBytes(count) });
}

async function readStoreId(fs: FileSystem, folder: string): Promise<string> {
  const invalid = (cause?: unknown): FallbackError =>
    new FallbackError('STORE_INVALID', `${folder} is not a fallback store, or was written by a newer version.`, {
      cause,
    });
  try {
    const text = Buffer.from(await readWholeFile(fs, join(folder, descriptionName), descriptionBytesMax)).toString();
    const json: unknown = JSON.parse(text);
    if (typeof json !== 'object' || json === null) throw invalid();
    const values = new Map<string, unknown>(Object.entries(json));
    const storeId = values.get('storeId');
    if (values.get('fallbackStore') !== 1 || typeof storeId !== 'string' || fromHex(storeId, 16) === undefined)
      throw invalid();
    return storeId;
  } catch (error) {
    if (isFallbackError(error, 'NOT_FOUND') && (await fs.facts(folder)) === undefined) {
      throw new FallbackError('STORE_INVALID', `There is no folder ${folder}; a disk that is not mounted?`, {
        cause: error,
      });
    }
    if (error instanceof SyntaxError || isFallbackError(error, 'NOT_FOUND')) throw invalid(error);
    throw error;
  }
}

async function openMetadata(
  fs: FileSystem,
  request: OpenStoreRequest,
  parts: Omit<StoreParts, 'metadata'>,
): Promise<SqliteMetadataStore> {
  const path = join(request.folder, databaseName);
  const tryOpen = async (): Promise<SqliteMetadataStore | undefined> => {
    if ((await withFsErrors('look at the database', () => fs.facts(path))) === undefined) return undefined;
    try {
      return await SqliteMetadataStore.open(path);
    } catch (error) {
      if (isFallbackError(error, 'STORE_INVALID')) return undefined;
      throw error;
    }
  };
  const first = await tryOpen();
  if (first !== undefined) return first;
  const lock = await acquireExclusiveLock(join(request.folder, 'rebuild.lock'), {
    purpose: 'rebuilding the database',
    nowMs: () => request.environment.nowMs(),
    waitMs: 10 * 60_000,
  });
  try {
    // Another process may have rebuilt it while this one waited.
    const second = await tryOpen();
    if (second !== undefined) return second;
    await rebuildMetadata(fs, request.folder, parts, request.onRebuild ?? (() => undefined));
    return await SqliteMetadataStore.open(path);
  } finally {
    lock.release();
  }
}

/** Makes repository.json and its record the same: the one with the higher serial is newer. */
async function settleDocument(context: RepositoryContext): Promise<void> {
  const key = documentKey(context.id);
  await context.write(async (change) => {
    const state = await context.state(change);
    try {
      const document = await readDocument(context);
      if (document.serial > state.document.serial) {
        await change.putRepository({ document, lastPack: state.lastPack, settledPack: state.settledPack });
        // The newest snapshot was being dropped.
        for (const { number } of await change.snapshots(context.id)) {
          if (number > (document.head?.number ?? 0)) await change.deleteSnapshot(context.id, number);
        }
        const lease = await change.lease(context.id);
        if (lease !== undefined && lease.epoch < document.epoch) {
          await change.putLease(context.id, { ...lease, fenced: true });
        }
        return;
      }
      if (JSON.stringify(document) === JSON.stringify(state.document)) return;
    } catch (error) {
      if (!isDamage(error) && !isFallbackError(error, 'NOT_FOUND')) throw error;
    }
    await context.objects.replace(key, encodeRepositoryDocument(state.document), context.prefix);
  });
}

/** A repository whose document is durable and whose record a crash took. */
async function adoptRepository(context: RepositoryContext): Promise<void> {
  if ((await context.objects.stat(documentKey(context.id))) === undefined) return;
  await context.write(async (change) => {
    if ((await change.repository(context.id)) !== undefined) return;
    await importRepository(change, context, () => undefined);
  });
}

/** Finds what a crash left: in every repository, and repositories themselves. Costs a few calls each. */
export async function settleStore(parts: StoreParts & { readonly objects: FolderObjectStore }): Promise<void> {
  const recorded = new Set<RepositoryId>(await parts.metadata.read((view) => view.repositoryIds()));
  for (const prefix of await parts.objects.list(repositoriesPrefix)) {
    const id = parseRepositoryFolder(prefix);
    if (id === undefined) continue;
    const context = new RepositoryContext(parts, id);
    if (!recorded.has(id)) {
      await adoptRepository(context);
      continue;
    }
    await parts.objects.removeLeftovers(repositoryPrefix(id));
    await settleDocument(context);
    await context.write((change) => reconcile(change, context));
  }
}

/**
 * Opens a store. A missing or damaged database is rebuilt from the files first; on a full disk the ballast is given up.
 * @throws STORE_INVALID, STORE_LOCKED (another process rebuilds the database), DISK_FULL, IO.
 */
export async function openStore(request: OpenStoreRequest): Promise<Store> {
  const ballast = ballastOf(request);
  try {
    return await openOnce(request, ballast);
  } catch (error) {
    const hasMoreRoom = isFallbackError(error, 'DISK_FULL') && (await ballast.release());
    // Damage deep in the database shows only when it is used; it was noted, and the second opening rebuilds.
    const isNoted = isFallbackError(error, 'STORE_INVALID') && error.cause !== undefined;
    if (!hasMoreRoom && !isNoted) throw error;
    return await openOnce(request, ballast);
  }
}

async function openOnce(request: OpenStoreRequest, ballast: Ballast): Promise<Store> {
  const fs = request.fileSystem ?? nodeFileSystem;
  const storeId = await readStoreId(fs, request.folder);
  const { environment } = request;
  const objects = new FolderObjectStore(fs, request.folder, environment);
  const options = { ...defaultStoreOptions, ...request.options };
  const running = new RunningBytes();
  const metadata: MetadataStore = await openMetadata(fs, request, { objects, environment, options, running });
  const parts = { objects, metadata, environment, options, ballast, running };
  try {
    await settleStore(parts);
  } catch (error) {
    await metadata.close();
    throw error;
  }
  const { onInvalid } = request;
  const watched = onInvalid === undefined ? metadata : new WatchedMetadataStore(metadata, onInvalid);
  return new Store(request.folder, storeId, { ...parts, metadata: watched });
}
