// Packs and snapshots as a client seals them, but small: real headers, directories, ids and seals over a few bytes of contents.
import { chunkHasher } from '../../src/crypto/chunk-id.ts';
import type { RepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { sealPack } from '../../src/crypto/sealed-pack.ts';
import { type SealedSnapshot, sealSnapshot } from '../../src/crypto/sealed-snapshot.ts';
import { parseEpoch, parseOrigin, parsePackNumber, parseSnapshotNumber } from '../../src/format/ids.ts';
import type { PackRanges } from '../../src/format/pack-ranges.ts';
import type { SnapshotArchive } from '../../src/format/snapshot.ts';
import type { SnapshotPointer } from '../../src/store/repository-store.ts';
import type { SeededRandom } from '../nights/random.ts';
import { freshBytes } from './open-client.ts';

const chunkBytes = 16;
const archiveCount = 10;

/** A pack of `chunks` chunks that nobody has seen before. @returns its parts: the first holds header and directory. */
export function sealSmallPack(
  keys: RepositoryKeys,
  number: number,
  chunks: number,
  random: SeededRandom,
): readonly Uint8Array[] {
  const contents = random.bytes(chunks * chunkBytes);
  const lengths = new Uint32Array(chunks).fill(chunkBytes);
  const ids = new Uint8Array(chunks * 32);
  chunkHasher(keys.chunkId).write(
    contents,
    lengths.map((length, index) => length * (index + 1)),
    ids,
  );
  const pack = { number: parsePackNumber(number), revision: 0, contents, lengths, ids, holes: [], level: 0 };
  return sealPack(keys, pack, freshBytes);
}

/** A snapshot after `previous` that needs `packs`: ten archives, each with one chunk of the newest pack. */
export function sealSmallSnapshot(
  keys: RepositoryKeys,
  previous: SnapshotPointer | undefined,
  packs: PackRanges,
  timeMs: number,
): SealedSnapshot & SnapshotPointer {
  const newest = packs.ranges.at(-1)?.last ?? 1;
  const archive = (index: number): SnapshotArchive => ({
    name: `app-${index}`,
    status: 'saved',
    savedAtMs: timeMs,
    recipe: {
      lengthBytes: chunkBytes,
      sha256: new Uint8Array(32).fill(index),
      nested: false,
      runs: [{ pack: newest, first: 0, count: 1, bytes: chunkBytes }],
    },
    catalogue: undefined,
    attributes: {},
  });
  const number = parseSnapshotNumber((previous?.number ?? 0) + 1);
  const head = {
    repositoryId: keys.repositoryId,
    number,
    epoch: parseEpoch(1),
    complete: true,
    previousSha256: previous?.sha256 ?? new Uint8Array(32),
    origin: parseOrigin('main'),
    packs,
  };
  const record = {
    createdAtMs: timeMs,
    hostName: 'bench',
    programVersion: '1.0.0',
    archives: Array.from({ length: archiveCount }, (_, index) => archive(index)),
    attributes: {},
  };
  return { ...sealSnapshot(keys, head, record, freshBytes), number };
}
