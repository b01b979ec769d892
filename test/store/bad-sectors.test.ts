// A disk that cannot read some files: each costs what lies in it, and nothing else.
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { parseSnapshotNumber } from '../../src/format/ids.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { scrubRepository } from '../../src/store/scrub.ts';
import { pair, TemporaryStore } from '../support/temporary-store.ts';
import { pushOnce } from '../support/writer.ts';
import { rejectsWith } from './repository-conformance.ts';

/** The real file system, on a disk that cannot read what lies under these names. */
function unreadable(...ends: string[]): FileSystem {
  const check = (path: string): void => {
    if (ends.some((end) => path.endsWith(end))) throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  return {
    ...nodeFileSystem,
    async openFile(path) {
      const file = await nodeFileSystem.openFile(path);
      return {
        append: (bytes) => file.append(bytes),
        read: async (target, position) => {
          check(path);
          return await file.read(target, position);
        },
        sizeBytes: () => file.sizeBytes(),
        sync: () => file.sync(),
        close: () => file.close(),
      };
    },
    async readStart(path, bytesMax) {
      check(path);
      return await nodeFileSystem.readStart(path, bytesMax);
    },
  };
}

let temporary: TemporaryStore;
const packName = (number: number): string => `${String(number).padStart(12, '0')}.pack`;
const repositoryFolder = (): string => join(temporary.folder, 'repositories', temporary.paired.id);
const packPath = (number: number): string => join(repositoryFolder(), 'packs', '000000000', packName(number));

async function reopenOn(fileSystem: FileSystem): Promise<void> {
  await temporary.store.close();
  temporary.store = await temporary.open(fileSystem);
}

beforeEach(async () => {
  temporary = await TemporaryStore.create();
});
afterEach(() => temporary.dispose());

describe('bad sectors', () => {
  test('under repository.json and a key document: their second copies serve, and scrub goes on to the end', async () => {
    await pushOnce(await temporary.repository(), 2);
    await reopenOn(unreadable('repository.json', 'keys/00000001'));
    const repository = await temporary.repository();
    assert.equal((await repository.status()).head?.number, 1);
    assert.deepEqual(Buffer.from(await repository.keyDocument(1)), Buffer.from(temporary.paired.keyDocument));
    const report = await scrubRepository(repository);
    assert.ok(report.finishedAtMs !== undefined);
    assert.deepEqual(
      report.damage.map(({ kind, repaired }) => [kind, repaired]),
      [
        ['document', true],
        ['key document', true],
      ],
    );
  });

  test('under a pack: it reads as damaged, and the others as they are', async () => {
    await pushOnce(await temporary.repository(), 3);
    await reopenOn(unreadable(packName(2)));
    const repository = await temporary.repository();
    await rejectsWith(repository.pack(2), 'DAMAGED');
    assert.ok((await repository.pack(3)).byteLength > 0);
    let directories = 0;
    for await (const _ of repository.directories(1)) directories++;
    assert.equal(directories, 2);
  });

  test('when the records are made again: what cannot be read, or says another version, is lost; the rest is there', async () => {
    await pushOnce(await temporary.repository(), 4);
    const bytes = await readFile(packPath(3));
    bytes.writeUInt8(bytes.readUInt8(4) ^ 0x10, 4);
    await writeFile(packPath(3), bytes);
    await temporary.store.close();
    await rm(join(temporary.folder, 'metadata.sqlite'));
    temporary.store = await temporary.open(unreadable(packName(2)));
    const repository = await temporary.repository();
    const { lost, present, head } = await repository.status();
    assert.deepEqual([lost.toText(), present.toText(), head?.number as number], ['2-3', '1, 4', 1]);
    assert.ok((await repository.snapshot(parseSnapshotNumber(1))).byteLength > 0);
  });

  test('under the document of one repository, without a database: the other one opens', async () => {
    await pushOnce(await temporary.repository(), 1);
    const other = await pair(temporary.store, 'other.example');
    await temporary.store.close();
    await rm(join(temporary.folder, 'metadata.sqlite'));
    temporary.store = await temporary.open(unreadable(`${other.id}/repository.json`));
    assert.deepEqual(await temporary.store.repositoryIds(), [temporary.paired.id]);
    assert.equal((await (await temporary.repository()).status()).present.toText(), '1');
    assert.ok((await temporary.store.audit(10)).some(({ event }) => event === 'repository unreadable'));
  });
});
