// Archives of any length over a few packs, without pushing them.
import { createHash } from 'node:crypto';
import { chunkId } from '../../../src/crypto/chunk-id.ts';
import { deriveRepositoryKeys } from '../../../src/crypto/key-hierarchy.ts';
import { sealPack } from '../../../src/crypto/sealed-pack.ts';
import { parsePackNumber } from '../../../src/format/ids.ts';
import type { Run } from '../../../src/format/recipe.ts';
import type { SnapshotArchive } from '../../../src/format/snapshot.ts';
import { type ClientFixture, testEnvironment } from '../../support/client-fixture.ts';

/** Stores a pack of chunks. */
export function addPack({ repository, secret }: ClientFixture, number: number, chunks: readonly Uint8Array[]): void {
  const keys = deriveRepositoryKeys(secret, repository.repositoryId);
  const parts = sealPack(
    keys,
    {
      number: parsePackNumber(number),
      revision: 0,
      contents: new Uint8Array(Buffer.concat(chunks)),
      lengths: Uint32Array.from(chunks, (chunk) => chunk.byteLength),
      ids: new Uint8Array(Buffer.concat(chunks.map((chunk) => chunkId(keys.chunkId, chunk)))),
      holes: [],
      level: 1,
    },
    testEnvironment.randomBytes,
  );
  repository.packs.set(number, new Uint8Array(Buffer.concat(parts)));
}

/** An archive of these runs; `contentsOf` gives each run's bytes, for its SHA-256. */
export function archiveOf(name: string, runs: readonly Run[], contentsOf: (run: Run) => Uint8Array): SnapshotArchive {
  const hash = createHash('sha256');
  let lengthBytes = 0;
  for (const run of runs) {
    hash.update(contentsOf(run));
    lengthBytes += run.bytes;
  }
  const recipe = { lengthBytes, sha256: new Uint8Array(hash.digest()), nested: false, runs };
  return { name, status: 'saved', savedAtMs: 0, recipe, catalogue: undefined, attributes: {} };
}
