// A client over a repository in memory or any other: keys, configuration, sessions, pushes of byte strings.
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { defaultChunkerParameters } from '../../src/chunker/parameters.ts';
import { deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { sealConfiguration } from '../../src/crypto/sealed-configuration.ts';
import type { RepositoryConfiguration } from '../../src/format/configuration.ts';
import { parseEpoch, parseOrigin, parseRepositoryId } from '../../src/format/ids.ts';
import { encodeKeyDocument } from '../../src/format/key-document.ts';
import type { RepositoryReader, RepositoryWriter } from '../../src/store/repository-store.ts';
import { StreamSource } from '../../src/sync/push/byte-source.ts';
import { type PushOptions, type PushResult, push } from '../../src/sync/push/push.ts';
import { newPushCounters } from '../../src/sync/push/push-counters.ts';
import { type ClientEnvironment, openSession, type RepositorySession } from '../../src/sync/repository-session.ts';
import { MemoryRepository } from './memory-repository.ts';

export const testEnvironment: ClientEnvironment = {
  nowMs: () => Date.now(),
  randomBytes: (count) => new Uint8Array(randomBytes(count)),
  hostName: 'main.test',
  programVersion: '1.0.0',
  threads: 2,
};

export const testConfiguration: RepositoryConfiguration = {
  ...defaultChunkerParameters,
  packTargetBytesMin: 192 * 1024,
  packTargetBytesMax: 256 * 1024,
};

export interface ClientFixture {
  readonly repository: MemoryRepository;
  readonly secret: Uint8Array;
}

/** A repository in memory with a fresh secret. */
export function makeMemoryRepository(configuration: RepositoryConfiguration = testConfiguration): ClientFixture {
  const secret = new Uint8Array(randomBytes(32));
  const repository = new MemoryRepository(parseRepositoryId(randomBytes(16).toString('hex')));
  const keys = deriveRepositoryKeys(secret, repository.repositoryId);
  repository.configurationFile = sealConfiguration(keys, configuration, testEnvironment.randomBytes);
  const { repositoryId } = repository;
  repository.keyDocuments.push(encodeKeyDocument({ repositoryId, number: 1, slots: [{ type: 'clear', secret }] }));
  return { repository, secret };
}

/** Opens a session and closes its threads afterwards. */
export async function withSession<Store extends RepositoryReader, Result>(
  repository: Store,
  secret: Uint8Array,
  work: (session: RepositorySession<Store>) => Promise<Result>,
): Promise<Result> {
  const session = await openSession(repository, secret, undefined, testEnvironment);
  try {
    return await work(session);
  } finally {
    await session.crypto.close();
  }
}

/** Pushes byte strings as archives. */
export async function pushBytes(
  session: RepositorySession<RepositoryWriter>,
  folder: string,
  archives: Readonly<Record<string, Uint8Array>>,
  overrides: Partial<PushOptions> = {},
): Promise<PushResult & { counters: ReturnType<typeof newPushCounters> }> {
  const counters = newPushCounters();
  const result = await push({
    session,
    archives: Object.entries(archives).map(([name, bytes]) => ({
      name,
      open: async () => new StreamSource(name, Readable.from(slices(bytes))),
    })),
    origin: parseOrigin('main'),
    epoch: parseEpoch(1),
    holder: 'test',
    indexPath: `${folder}/index`,
    spoolPath: `${folder}/spool`,
    counters,
    archivesAtOnce: 2,
    ...overrides,
  });
  return { ...result, counters };
}

function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += 100_000) yield bytes.subarray(at, at + 100_000);
}
