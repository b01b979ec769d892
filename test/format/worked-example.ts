// The worked example of docs/FORMAT.md: fixed secret, fixed nonces, everything else as a push would make it.

import { createHash } from 'node:crypto';
import { ByteWriter } from '../../src/bytes/byte-writer.ts';
import { chunkId } from '../../src/crypto/chunk-id.ts';
import { deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { sealPack } from '../../src/crypto/sealed-pack.ts';
import { sealSnapshot } from '../../src/crypto/sealed-snapshot.ts';
import {
  parseEpoch,
  parseOrigin,
  parsePackNumber,
  parseRepositoryId,
  parseSnapshotNumber,
} from '../../src/format/ids.ts';
import { encodePackDirectory } from '../../src/format/pack.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import { type Recipe, writeRecipe } from '../../src/format/recipe.ts';
import { encodeSnapshotRecord, type SnapshotRecord } from '../../src/format/snapshot.ts';

const repositoryId = parseRepositoryId('00112233445566778899aabbccddeeff');
const secret = Uint8Array.from({ length: 32 }, (_, index) => index);
const chunks = [Buffer.from('Hello, '), Buffer.from('fallback!\n')];

/** Every byte string of the example, by the name that docs/FORMAT.md gives it. */
export function workedExample(): ReadonlyMap<string, Uint8Array> {
  const keys = deriveRepositoryKeys(secret, repositoryId);
  let drawn = 0;
  const nonces = (count: number): Uint8Array => new Uint8Array(count).fill(++drawn);
  const contents = new Uint8Array(Buffer.concat(chunks));
  const lengths = Uint32Array.from(chunks, (chunk) => chunk.byteLength);
  const ids = new Uint8Array(Buffer.concat(chunks.map((chunk) => chunkId(keys.chunkId, chunk))));
  const number = parsePackNumber(1);
  const pack = Buffer.concat(
    sealPack(keys, { number, revision: 0, contents, lengths, ids, holes: [], level: 0 }, nonces),
  );

  const recipe: Recipe = {
    lengthBytes: contents.byteLength,
    sha256: new Uint8Array(createHash('sha256').update(contents).digest()),
    nested: false,
    runs: [{ pack: 1, first: 0, count: 2, bytes: contents.byteLength }],
  };
  const recipeWriter = new ByteWriter();
  writeRecipe(recipeWriter, recipe);
  const record: SnapshotRecord = {
    createdAtMs: 1_700_000_000_000,
    hostName: 'main',
    programVersion: '1.0.0',
    archives: [
      { name: 'hello', status: 'saved', savedAtMs: 1_700_000_000_000, recipe, catalogue: undefined, attributes: {} },
    ],
    attributes: {},
  };
  const head = {
    repositoryId,
    number: parseSnapshotNumber(1),
    epoch: parseEpoch(1),
    complete: true,
    previousSha256: new Uint8Array(32),
    origin: parseOrigin('main'),
    packs: PackRanges.fromNumbers([1]),
  };
  const snapshot = sealSnapshot(keys, head, record, nonces);
  const directory = encodePackDirectory({
    compression: 'stored',
    payloadBytes: contents.byteLength,
    lengths,
    ids,
    holes: [],
  });
  return new Map<string, Uint8Array>([
    ['secret', secret],
    ['chunk-id-key', new Uint8Array(keys.chunkId.export())],
    ['pack-key', keys.pack],
    ['snapshot-key', keys.snapshot],
    ['contents', contents],
    ['directory', directory],
    ['pack', new Uint8Array(pack)],
    ['recipe', recipeWriter.finish()],
    ['record', encodeSnapshotRecord(record)],
    ['snapshot', snapshot.file],
    ['snapshot-sha256', snapshot.sha256],
  ]);
}
