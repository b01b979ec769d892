// A process of its own: loads an index from its cache file and prints what it took. Arguments: cache file, number of packs.
import { randomBytes } from 'node:crypto';
import { deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { parseEpoch, parseRepositoryId } from '../../src/format/ids.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import type { RepositoryReader, RepositoryStatus } from '../../src/store/repository-store.ts';
import { loadIndex } from '../../src/sync/index/load-index.ts';
import { benchRepository, benchSecret, type LoadedFigures } from './bench-repository.ts';

const [path = '', packs = '0'] = process.argv.slice(2);
const repositoryId = parseRepositoryId(benchRepository.id);
const status: RepositoryStatus = {
  repositoryId,
  name: 'bench',
  epoch: parseEpoch(1),
  generation: benchRepository.generation,
  head: undefined,
  lastPack: Number(packs),
  present: PackRanges.from([{ first: 1, last: Number(packs) }]),
  lost: PackRanges.empty,
  holed: PackRanges.empty,
  healRevision: 1,
  storedBytes: 0,
  quotaBytes: undefined,
  freeBytes: 0,
  leaseHolder: undefined,
  lastCompleteAtMs: undefined,
  serverTimeMs: 0,
};
// Everything comes from the cache: the repository is never asked.
const repository = {} as RepositoryReader;
const bareBytes = process.memoryUsage.rss();
const start = performance.now();
const { index, fetchedDirectories } = await loadIndex(
  path,
  deriveRepositoryKeys(benchSecret, repositoryId),
  repository,
  status,
  PackRanges.empty,
  (count) => new Uint8Array(randomBytes(count)),
);
if (fetchedDirectories > 0) throw new Error('the cache was not believed');
const figures: LoadedFigures = { chunks: index.size, loadMs: performance.now() - start, bareBytes };
process.stdout.write(JSON.stringify(figures));
