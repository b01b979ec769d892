// A store whose clock is simulated: nights are pushed into it by the real push, and swept by the real retention.
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { sealConfiguration } from '../../src/crypto/sealed-configuration.ts';
import type { RepositoryConfiguration } from '../../src/format/configuration.ts';
import { parseEpoch, parseOrigin, parseRepositoryId, parseSha256Hex } from '../../src/format/ids.ts';
import { encodeKeyDocument } from '../../src/format/key-document.ts';
import type { FolderRepository } from '../../src/store/folder-repository.ts';
import { createStore } from '../../src/store/open-store.ts';
import type { ByteSpan, RepositoryReader } from '../../src/store/repository-store.ts';
import { applyRetention } from '../../src/store/retention.ts';
import { dayMs } from '../../src/store/retention-policy.ts';
import type { Store } from '../../src/store/store.ts';
import { openFileSource } from '../../src/sync/push/byte-source.ts';
import { push } from '../../src/sync/push/push.ts';
import { newPushCounters } from '../../src/sync/push/push-counters.ts';
import { type ClientEnvironment, openSession, type RepositorySession } from '../../src/sync/repository-session.ts';
import { newRestoreCounters, restoreArchivesToFolder } from '../../src/sync/restore/restore-archive.ts';
import { findSnapshot } from '../../src/sync/snapshots.ts';
import type { Night } from '../nights/prepare-nights.ts';

export interface SimulatedOptions {
  readonly configuration: RepositoryConfiguration;
  /** When its clock begins, in milliseconds since 1970. */
  readonly startMs: number;
  /** Whether half-dead packs are left alone, for comparison. */
  readonly keepHalfDead: boolean;
}

/** One repository in a folder of its own, and the client that pushes to it. */
export class SimulatedStore {
  readonly session: RepositorySession<FolderRepository>;
  readonly #store: Store;
  readonly #folder: string;
  readonly #clock: { nowMs: number };
  readonly #keepHalfDead: boolean;

  private constructor(
    folder: string,
    clock: { nowMs: number },
    store: Store,
    session: RepositorySession<FolderRepository>,
    keepHalfDead: boolean,
  ) {
    this.#folder = folder;
    this.#clock = clock;
    this.#store = store;
    this.session = session;
    this.#keepHalfDead = keepHalfDead;
  }

  /** Makes the store and pairs one client with it. */
  static async make(folder: string, options: SimulatedOptions): Promise<SimulatedStore> {
    const clock = { nowMs: options.startMs };
    const random = (count: number): Uint8Array => new Uint8Array(randomBytes(count));
    const environment = { nowMs: () => clock.nowMs, randomBytes: random };
    await mkdir(join(folder, 'store'), { recursive: true });
    const store = await createStore({ folder: join(folder, 'store'), environment });
    const secret = random(32);
    const repositoryId = parseRepositoryId(randomBytes(16).toString('hex'));
    const keys = deriveRepositoryKeys(secret, repositoryId);
    await store.redeemInvite(await store.createInvite('bench', dayMs), {
      repositoryId,
      pushTokenSha256: parseSha256Hex(randomBytes(32).toString('hex')),
      readTokenSha256: parseSha256Hex(randomBytes(32).toString('hex')),
      configuration: sealConfiguration(keys, options.configuration, random),
      keyDocument: encodeKeyDocument({ repositoryId, number: 1, slots: [{ type: 'clear', secret }] }),
    });
    const client: ClientEnvironment = {
      nowMs: () => clock.nowMs,
      randomBytes: random,
      hostName: 'main.test',
      programVersion: '1.0.0',
      threads: 2,
    };
    const session = await openSession(await store.repository(repositoryId), secret, undefined, client);
    return new SimulatedStore(folder, clock, store, session, options.keepHalfDead);
  }

  /** Sets the clock, pushes a night, and applies retention. @returns what was sent, in bytes: packs and snapshot. */
  async night(night: Night, nowMs: number): Promise<number> {
    this.#clock.nowMs = nowMs;
    const counters = newPushCounters();
    const result = await push({
      session: this.session,
      archives: night.files.map(({ name, path }) => ({
        name: name.replace(/\.tar$/, ''),
        open: () => openFileSource(path),
      })),
      origin: parseOrigin('main'),
      epoch: parseEpoch(1),
      holder: 'bench',
      indexPath: join(this.#folder, 'index'),
      spoolPath: join(this.#folder, 'spool'),
      counters,
      archivesAtOnce: 2,
      keepHalfDead: this.#keepHalfDead,
    });
    await applyRetention(this.session.repository);
    return counters.packBytesSent + result.snapshotBytes;
  }

  /** Restores the newest snapshot, and throws the files away. @returns the bytes of packs that were fetched for it. */
  async restore(): Promise<number> {
    const folder = join(this.#folder, 'restored');
    let fetchedBytes = 0;
    const { repository } = this.session;
    const counting: RepositoryReader = Object.create(repository, {
      pack: {
        value: async (number: number, span?: ByteSpan) => {
          const bytes = await repository.pack(number, span);
          fetchedBytes += bytes.byteLength;
          return bytes;
        },
      },
    });
    const session = { ...this.session, repository: counting };
    const { record } = await findSnapshot(session, 'latest');
    const restored = await restoreArchivesToFolder({
      session,
      archives: record.archives,
      folder,
      counters: newRestoreCounters(),
      overwrite: false,
    });
    for (const { error } of restored) if (error !== undefined) throw error;
    await rm(folder, { recursive: true });
    return fetchedBytes;
  }

  async close(): Promise<void> {
    await this.session.crypto.close();
    await this.#store.close();
  }
}
