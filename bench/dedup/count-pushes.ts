// What a night costs with given cut rules: the real pipeline, down to padding, directories, recipes and the snapshot's file,
// into a repository that only counts.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { CutSizes } from '../../src/chunker/chunker.ts';
import { defaultChunkerParameters } from '../../src/chunker/parameters.ts';
import { deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { sealConfiguration } from '../../src/crypto/sealed-configuration.ts';
import type { RepositoryConfiguration } from '../../src/format/configuration.ts';
import { parseEpoch, parseOrigin } from '../../src/format/ids.ts';
import { packTargets } from '../../src/sync/pair/init-repository.ts';
import { openFileSource } from '../../src/sync/push/byte-source.ts';
import { push } from '../../src/sync/push/push.ts';
import { newPushCounters } from '../../src/sync/push/push-counters.ts';
import { type ClientEnvironment, openSession } from '../../src/sync/repository-session.ts';
import type { Night } from '../nights/prepare-nights.ts';
import { CountingRepository } from './counting-repository.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** A way to cut, with its name for the tables. */
export interface CutRules {
  readonly name: string;
  readonly configuration: RepositoryConfiguration;
}

/** What one night cost, in bytes. */
export interface NightCost {
  readonly readBytes: number;
  /** Contents of new chunks, before compression. */
  readonly newBytes: number;
  /** Pack files and the snapshot's file. */
  readonly sentBytes: number;
  /** Share of headers and sealed directories in it. */
  readonly directoryBytes: number;
  readonly chunks: number;
}

/** Chunks of about `averageBytes`, everything else as in a new repository. */
export function rulesOfSize(averageBytes: number, overrides: Partial<RepositoryConfiguration> = {}): CutRules {
  const { edited, coarse, largeMemberBytesMin, coarseMemberBytesMin } = defaultChunkerParameters;
  const fine: CutSizes = {
    minimumBytes: averageBytes / 4,
    averageBytes,
    maximumBytes: Math.min(averageBytes * 8, 2 * MiB),
  };
  const isCoarse = averageBytes > coarse.averageBytes;
  const configuration: RepositoryConfiguration = {
    engine: 'fallback',
    fine,
    edited,
    coarse: isCoarse ? fine : coarse,
    largeMemberBytesMin: Math.max(largeMemberBytesMin, averageBytes),
    coarseMemberBytesMin: Math.max(coarseMemberBytesMin, averageBytes),
    ...packTargets,
    ...overrides,
  };
  const name = averageBytes >= MiB ? `${averageBytes / MiB} MiB` : `${averageBytes / KiB} KiB`;
  return { name, configuration };
}

/** No member is large enough to be seen: cuts by content alone. */
export const withoutTar: Partial<RepositoryConfiguration> = {
  largeMemberBytesMin: 2 ** 50,
  coarseMemberBytesMin: 2 ** 50,
};

const environment: ClientEnvironment = {
  nowMs: () => Date.now(),
  randomBytes: (count) => new Uint8Array(randomBytes(count)),
  hostName: 'main.test',
  programVersion: '1.0.0',
  threads: 2,
};

/** Pushes all nights, one after the other, into a counting repository. @param folder for the index's cache. */
export async function countPushes(rules: CutRules, nights: readonly Night[], folder: string): Promise<NightCost[]> {
  const secret = new Uint8Array(randomBytes(32));
  const repository = new CountingRepository(({ repositoryId }) =>
    sealConfiguration(deriveRepositoryKeys(secret, repositoryId), rules.configuration, environment.randomBytes),
  );
  const costs: NightCost[] = [];
  for (const night of nights) {
    const before = { pack: repository.packBytes, snapshot: repository.snapshotBytes, dir: repository.directoryBytes };
    const counters = newPushCounters();
    const session = await openSession(repository, secret, undefined, environment);
    try {
      await push({
        session,
        archives: night.files.map(({ name, path }) => ({
          name: name.replace(/\.tar(\.gz)?$/, ''),
          open: () => openFileSource(path),
        })),
        origin: parseOrigin('main'),
        epoch: parseEpoch(1),
        holder: 'bench',
        indexPath: join(folder, `index-${repository.repositoryId}`),
        spoolPath: join(folder, 'spool'),
        counters,
        archivesAtOnce: 2,
      });
    } finally {
      await session.crypto.close();
    }
    costs.push({
      readBytes: counters.readBytes,
      newBytes: counters.newBytes,
      sentBytes: repository.packBytes - before.pack + repository.snapshotBytes - before.snapshot,
      directoryBytes: repository.directoryBytes - before.dir,
      chunks: counters.chunks,
    });
  }
  return costs;
}
