// A process of its own: builds the index of a paired client, from the server where the cache lacks it, and prints what it took.
// Arguments: the client's folder, the cache file.
import { randomBytes } from 'node:crypto';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import { loadIndex } from '../../src/sync/index/load-index.ts';
import type { RebuiltFigures } from './bench-repository.ts';
import { openClient } from './open-client.ts';

const [state = '', cache = ''] = process.argv.slice(2);
const { keys, repository } = await openClient(state);
const status = await repository.status();
const bareBytes = process.memoryUsage.rss();
const start = performance.now();
const { index, fetchedDirectories } = await loadIndex(
  cache,
  keys,
  repository,
  status,
  PackRanges.empty,
  (count) => new Uint8Array(randomBytes(count)),
);
const loadMs = performance.now() - start;
const { wireReceivedBytes: receivedBytes } = repository.traffic();
await repository.close();
const figures: RebuiltFigures = { chunks: index.size, loadMs, bareBytes, fetchedDirectories, receivedBytes };
process.stdout.write(JSON.stringify(figures));
