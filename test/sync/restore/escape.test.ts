// Hostile archives: nothing is ever written outside the target, and what is refused is named.
import assert from 'node:assert/strict';
import { lstat, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type ExtractOptions,
  type ExtractResult,
  extractMembers,
  newExtractCounters,
} from '../../../src/sync/restore/extract-members.ts';
import { folder, hardlinkTo, inFolder, symlinkTo, type TarEntryInput, tarOf, withArchive } from '../read/archives.ts';

interface Run {
  readonly result: ExtractResult;
  /** Parent of the target: holds `secret`, which must stay as it is, and `target`. */
  readonly outside: string;
  readonly target: string;
}

async function extract(
  entries: readonly TarEntryInput[],
  overrides: Partial<ExtractOptions>,
  look: (run: Run) => Promise<void>,
  prepare: (outside: string) => Promise<void> = async () => undefined,
): Promise<void> {
  await inFolder(async (outside) => {
    await writeFile(join(outside, 'secret'), 'secret');
    await prepare(outside);
    const target = join(outside, 'target');
    await withArchive(tarOf(entries), async (session, archive) => {
      const counters = newExtractCounters();
      const result = await extractMembers({ session, archive, paths: [], folder: target, counters, ...overrides });
      assert.equal(counters.membersDone, counters.membersTotal);
      await look({ result, outside, target });
      assert.equal(await readFile(join(outside, 'secret'), 'utf8'), 'secret', 'outside is untouched');
      const names = (await readdir(outside)).filter((name) => name !== 'elsewhere').sort();
      assert.deepEqual(names, ['secret', 'target'], 'nothing new lies outside');
      const left = (await readdir(target, { recursive: true })).filter((name) => name.includes('.partial'));
      assert.deepEqual(left, [], 'no partial file is left');
    });
  });
}

const codes = (result: ExtractResult): Record<string, string> =>
  Object.fromEntries(result.problems.map(({ name, error }) => [name, error.code]));

test('names that lead outside are refused, and the rest is restored', async () => {
  const entries: TarEntryInput[] = [
    ['../secret', 'x'],
    ['a/../../secret', 'x'],
    ['/secret', 'x'],
    ['a/..', 'x'],
    ['..', 'x'],
    ['./ok/./file', 'fine'],
    ['b//c', 'fine too'],
  ];
  await extract(entries, {}, async ({ result, target }) => {
    assert.deepEqual(codes(result), {
      '../secret': 'UNSAFE_PATH',
      'a/../../secret': 'UNSAFE_PATH',
      '/secret': 'UNSAFE_PATH',
      'a/..': 'UNSAFE_PATH',
      '..': 'UNSAFE_PATH',
    });
    assert.equal(await readFile(join(target, 'ok/file'), 'utf8'), 'fine');
    assert.equal(await readFile(join(target, 'b/c'), 'utf8'), 'fine too');
  });
});

test('a symbolic link is never a parent: neither one of the archive, nor one that is there', async () => {
  const entries: TarEntryInput[] = [
    symlinkTo('up', '..'),
    ['up/secret', 'overwritten'],
    symlinkTo('there/deep', '../../..'),
    ['there/deep/secret', 'overwritten'],
    ['planted/secret', 'overwritten'],
    symlinkTo('planted/link', 'x'),
    hardlinkTo('planted/hard', 'planted/secret'),
    folder('planted/new'),
  ];
  await extract(
    entries,
    { overwrite: true },
    async ({ result, target }) => {
      // The links come last, and find folders in their places.
      assert.equal(codes(result)['up'], 'IO');
      assert.equal(codes(result)['there/deep'], 'IO');
      for (const name of ['planted/secret', 'planted/link', 'planted/new']) {
        assert.equal(codes(result)[name], 'UNSAFE_PATH', name);
      }
      assert.ok((await lstat(join(target, 'up'))).isDirectory());
      assert.equal(await readFile(join(target, 'up/secret'), 'utf8'), 'overwritten');
    },
    async (outside) => {
      await mkdir(join(outside, 'target'));
      await symlink('..', join(outside, 'target/planted'));
    },
  );
});

test('a symbolic link in a file’s place is not followed, also when existing files are replaced', async () => {
  const plant = async (outside: string): Promise<void> => {
    await mkdir(join(outside, 'target'));
    await symlink('../secret', join(outside, 'target/file'));
    await symlink('../secret', join(outside, 'target/link'));
  };
  const entries: TarEntryInput[] = [['file', 'mine'], symlinkTo('link', '../elsewhere')];
  await extract(
    entries,
    {},
    async ({ result }) => assert.deepEqual(codes(result), { file: 'ALREADY_EXISTS', link: 'ALREADY_EXISTS' }),
    plant,
  );
  await extract(
    entries,
    { overwrite: true },
    async ({ result, target }) => {
      assert.deepEqual(codes(result), {});
      assert.equal(await readFile(join(target, 'file'), 'utf8'), 'mine');
      assert.ok((await lstat(join(target, 'file'))).isFile());
      assert.equal(await readlink(join(target, 'link')), '../elsewhere');
    },
    plant,
  );
});

test('hard links lead only to what this run restored', async () => {
  const entries: TarEntryInput[] = [
    hardlinkTo('out', '../secret'),
    hardlinkTo('absolute', '/etc/passwd'),
    hardlinkTo('there', 'existing'),
    ['file', 'contents'],
    hardlinkTo('good', './file'),
    hardlinkTo('again', 'good'),
    symlinkTo('soft', '../secret'),
    hardlinkTo('through', 'soft'),
    hardlinkTo('late', 'later'),
    ['later', 'x'],
  ];
  await extract(
    entries,
    {},
    async ({ result, target }) => {
      const expected = ['absolute', 'late', 'out', 'there', 'through'];
      assert.deepEqual(Object.keys(codes(result)).sort(), expected);
      for (const name of expected) assert.equal(codes(result)[name], 'NOT_FOUND');
      const inode = (await stat(join(target, 'file'))).ino;
      assert.equal((await stat(join(target, 'good'))).ino, inode);
      assert.equal((await stat(join(target, 'again'))).ino, inode);
      assert.equal((await stat(join(target, 'file'))).nlink, 3, 'the staged name is gone');
    },
    async (outside) => {
      await mkdir(join(outside, 'target'));
      await writeFile(join(outside, 'target/existing'), 'not of this run');
    },
  );
});

test('a hard link without its target gets the contents, and the next one links to it', async () => {
  const entries: TarEntryInput[] = [
    ['data/file', 'contents'],
    hardlinkTo('links/a', 'data/file'),
    hardlinkTo('links/b', 'data/file'),
  ];
  await extract(entries, { paths: ['links'] }, async ({ result, target }) => {
    assert.deepEqual(result.problems, []);
    assert.equal(await readFile(join(target, 'links/a'), 'utf8'), 'contents');
    assert.equal((await stat(join(target, 'links/a'))).ino, (await stat(join(target, 'links/b'))).ino);
    assert.deepEqual(await readdir(target), ['links']);
  });
});

test('a name that occurs twice: the later one wins, and links between keep the earlier contents', async () => {
  const entries: TarEntryInput[] = [
    ['file', 'first', { mode: 0o600 }],
    hardlinkTo('old', 'file'),
    ['file', 'second'],
    hardlinkTo('new', 'file'),
    ['self', 'same'],
    hardlinkTo('self', 'self'),
    ['was-file', 'x'],
    folder('was-file'),
    ['was-file/inner', 'y'],
  ];
  await extract(entries, {}, async ({ result, target }) => {
    assert.deepEqual(codes(result), {});
    assert.equal(await readFile(join(target, 'file'), 'utf8'), 'second');
    assert.equal(await readFile(join(target, 'old'), 'utf8'), 'first');
    assert.equal((await stat(join(target, 'old'))).mode & 0o777, 0o600, 'a hard link has its file’s mode, not its own');
    assert.equal(await readFile(join(target, 'new'), 'utf8'), 'second');
    assert.equal(await readFile(join(target, 'self'), 'utf8'), 'same');
    assert.equal(await readFile(join(target, 'was-file/inner'), 'utf8'), 'y');
  });
});

test('names that differ in case or in Unicode form stay two files, or the second is refused', async () => {
  const entries: TarEntryInput[] = [
    ['Straße/é', 'composed'],
    ['Straße/e\u0301', 'decomposed'],
    ['Case', 'upper'],
    ['case', 'lower'],
  ];
  await extract(entries, {}, async ({ result, target }) => {
    for (const [name, content] of entries) {
      if (name in codes(result)) assert.equal(codes(result)[name], 'ALREADY_EXISTS');
      else assert.equal(await readFile(join(target, name), 'utf8'), content);
    }
  });
});

test('devices, pipes and setuid bits come only when asked', async () => {
  const entries: TarEntryInput[] = [
    ['null', undefined, { type: 'character', deviceMajor: 1, deviceMinor: 3, mode: 0o666 }],
    ['pipe', undefined, { type: 'fifo', mode: 0o600 }],
    ['su', 'x', { mode: 0o6755 }],
    folder('sticky', { mode: 0o3777 }),
  ];
  await extract(entries, {}, async ({ result, target }) => {
    assert.deepEqual(codes(result), { null: 'UNSAFE_PATH', pipe: 'UNSAFE_PATH' });
    assert.equal((await stat(join(target, 'su'))).mode & 0o7777, 0o755);
    assert.equal((await stat(join(target, 'sticky'))).mode & 0o7777, 0o1777);
  });
  await extract(entries, { withDevices: true, withSetuid: true }, async ({ result, target }) => {
    assert.equal((await stat(join(target, 'su'))).mode & 0o7777, 0o6755);
    assert.ok((await lstat(join(target, 'pipe'))).isFIFO());
    if (codes(result)['null'] === 'IO') return;
    assert.ok((await lstat(join(target, 'null'))).isCharacterDevice());
  });
});

test('names too long or too deep for a file system are refused', async () => {
  const long = 'n'.repeat(255);
  const deep = Array.from({ length: 128 }, () => 'd').join('/');
  const wide = `${'w'.repeat(255)}/`.repeat(15);
  const entries: TarEntryInput[] = [
    [long, 'fits'],
    [`${long}n`, 'x'],
    [deep, 'fits'],
    [`${deep}/d`, 'x'],
    [`${wide}fits`, 'fits'],
    [`${wide}${long}/x`, 'x'],
  ];
  await extract(entries, {}, async ({ result, target }) => {
    const refused = [`${long}n`, `${deep}/d`, `${wide}${long}/x`];
    assert.deepEqual(Object.keys(codes(result)).sort(), [...refused].sort());
    for (const name of refused) assert.equal(codes(result)[name], 'UNSAFE_PATH');
    assert.equal(await readFile(join(target, long), 'utf8'), 'fits');
    assert.equal(await readFile(join(target, deep), 'utf8'), 'fits');
  });
});

test('existing files stay as they are, and existing folders keep their mode', async () => {
  const entries: TarEntryInput[] = [folder('dir', { mode: 0o700 }), ['dir/old', 'archive'], ['dir/new', 'archive']];
  const plant = async (outside: string): Promise<void> => {
    await mkdir(join(outside, 'target/dir'), { recursive: true, mode: 0o755 });
    await writeFile(join(outside, 'target/dir/old'), 'mine');
  };
  await extract(
    entries,
    {},
    async ({ result, target }) => {
      assert.deepEqual(codes(result), { 'dir/old': 'ALREADY_EXISTS' });
      assert.equal(await readFile(join(target, 'dir/old'), 'utf8'), 'mine');
      assert.equal(await readFile(join(target, 'dir/new'), 'utf8'), 'archive');
      assert.equal((await stat(join(target, 'dir'))).mode & 0o777, 0o755);
    },
    plant,
  );
  await extract(
    entries,
    { overwrite: true },
    async ({ result, target }) => {
      assert.deepEqual(codes(result), {});
      assert.equal(await readFile(join(target, 'dir/old'), 'utf8'), 'archive');
      assert.equal((await stat(join(target, 'dir'))).mode & 0o777, 0o700);
    },
    plant,
  );
});
