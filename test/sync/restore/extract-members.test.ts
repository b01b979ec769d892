// Extraction against two oracles: GNU tar, and this program's own tar reader.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { FallbackError, isFallbackError } from '../../../src/errors/fallback-error.ts';
import { extractMembers, newExtractCounters } from '../../../src/sync/restore/extract-members.ts';
import { newRestoreCounters } from '../../../src/sync/restore/restore-archive.ts';
import { extractToStream } from '../../../src/sync/restore/restore-stream.ts';
import { findArchive, findSnapshot } from '../../../src/sync/snapshots.ts';
import { makeMemoryRepository } from '../../support/client-fixture.ts';
import {
  folder,
  hardlinkTo,
  inFolder,
  lines,
  noise,
  pushNights,
  symlinkTo,
  type TarEntryInput,
  tarOf,
  withArchive,
  withQuickSession,
} from '../read/archives.ts';

/** Everything below a folder, as text: types, modes, times, contents, link targets. */
async function describe(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of (await readdir(root, { recursive: true })).sort()) {
    const path = join(root, name);
    const stats = await lstat(path);
    const mode = (stats.mode & 0o7777).toString(8);
    const time = Math.floor(stats.mtimeMs / 1000);
    if (stats.isSymbolicLink()) found[name] = `link ${await readlink(path)} ${time}`;
    else if (stats.isDirectory()) found[name] = `folder ${mode} ${time}`;
    else found[name] = `file ${mode} ${time} ${stats.nlink} ${(await readFile(path)).toString('base64')}`;
  }
  return found;
}

const hasTar = ((): boolean => {
  try {
    return execFileSync('tar', ['--version']).toString().includes('GNU tar');
  } catch {
    return false;
  }
})();

const part = fc.constantFrom('a', 'b', 'Ü', 'x'.repeat(90));
const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const node = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('file' as const),
      size: fc.nat(5000),
      seed: fc.nat(9),
      mode: fc.constantFrom(0o644, 0o600, 0o755),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('folder' as const), mode: fc.constantFrom(0o755, 0o700, 0o500) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('symlink' as const), to: fc.constantFrom('a', '../b', '/nowhere') }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('hardlink' as const), to: fc.nat(20) }) },
);

/** Turns random nodes into a tar that GNU tar accepts: no member below a file or link, hard links to earlier files only. */
function entriesOf(
  nodes: readonly (readonly [string, typeof node extends fc.Arbitrary<infer Node> ? Node : never])[],
): TarEntryInput[] {
  const entries: TarEntryInput[] = [];
  const kinds = new Map<string, string>();
  for (const [name, value] of nodes) {
    const parents = name
      .split('/')
      .map((_, index, parts) => parts.slice(0, index).join('/'))
      .slice(1);
    if (parents.some((parent) => (kinds.get(parent) ?? 'folder') !== 'folder')) continue;
    const known = kinds.get(name);
    if (known !== undefined && !(known === 'file' && value.kind === 'file')) continue;
    const files = [...kinds].filter(([, kind]) => kind === 'file').map(([file]) => file);
    for (const parent of parents) {
      if (!kinds.has(parent)) entries.push(folder(parent));
      kinds.set(parent, 'folder');
    }
    kinds.set(name, value.kind);
    if (value.kind === 'file') entries.push([name, noise(value.size, value.seed), { mode: value.mode }]);
    else if (value.kind === 'folder') entries.push(folder(name, { mode: value.mode }));
    else if (value.kind === 'symlink') entries.push(symlinkTo(name, value.to));
    else {
      const target = files[value.to % Math.max(1, files.length)];
      if (target === undefined) kinds.delete(name);
      else entries.push(hardlinkTo(name, target));
    }
  }
  return entries;
}

test('what is restored equals what GNU tar restores', { skip: !hasTar }, async () => {
  const fixture = makeMemoryRepository();
  let night = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(path, node), { maxLength: 12 }), async (nodes) => {
      const entries = entriesOf(nodes);
      if (entries.length === 0) return;
      const tar = tarOf(entries, night++ % 2 === 0 ? 'pax' : 'gnu');
      await pushNights([{ app: tar }], fixture);
      await inFolder(async (outside) => {
        const [ours, theirs] = [join(outside, 'ours'), join(outside, 'theirs')];
        await mkdir(theirs);
        await writeFile(join(outside, 'tar'), tar);
        execFileSync('tar', [
          '-xpf',
          join(outside, 'tar'),
          '-C',
          theirs,
          '--no-same-owner',
          '--delay-directory-restore',
        ]);
        await withQuickSession(fixture.repository, fixture.secret, async (session) => {
          const archive = findArchive(await findSnapshot(session, 'latest'), 'app');
          const result = await extractMembers({
            session,
            archive,
            paths: [],
            folder: ours,
            counters: newExtractCounters(),
          });
          assert.deepEqual(result.problems, []);
        });
        assert.deepEqual(await describe(ours), await describe(theirs));
      });
    }),
    { numRuns: 25 },
  );
});

const sample: TarEntryInput[] = [
  folder('apps'),
  folder('apps/nextcloud/backup'),
  ['apps/nextcloud/backup/db.sql', lines(20_000, 3)],
  ['apps/nextcloud/backup/var/www/index.php', '<?php', { mode: 0o640, modifiedSeconds: 1700000000.25 }],
  ['apps/nextcloud/backup/var/www/data/photo.jpg', noise(900_000, 5)],
  ['apps/nextcloud/backup/var/www-old', 'not under var/www'],
  symlinkTo('apps/nextcloud/backup/var/www/current', 'data'),
  ['info.json', '{}'],
];

test('paths, folders and globs choose members; counters end where they should', async () => {
  await withArchive(tarOf(sample), async (session, archive) => {
    const choose = (paths: readonly string[]) =>
      inFolder(async (outside) => {
        const counters = newExtractCounters();
        const target = join(outside, 'target');
        const result = await extractMembers({ session, archive, paths, folder: target, counters });
        assert.deepEqual(result.problems, []);
        assert.equal(counters.membersDone, counters.membersTotal);
        assert.equal(counters.writtenBytes, counters.totalBytes);
        const names = await readdir(target, { recursive: true, withFileTypes: true });
        return names
          .filter((entry) => !entry.isDirectory())
          .map((entry) => entry.name)
          .sort();
      });
    const underWww = ['current', 'index.php', 'photo.jpg'];
    for (const text of [
      'apps/nextcloud/backup/var/www',
      './apps/nextcloud/backup/var/www/',
      '/apps//nextcloud/backup/var/www',
    ]) {
      assert.deepEqual(await choose([text]), underWww, text);
    }
    assert.deepEqual(await choose(['apps/*/backup/*.sql', 'info.json']), ['db.sql', 'info.json']);
    assert.deepEqual(await choose(['**/*.jpg']), ['photo.jpg']);
    assert.deepEqual(await choose(['apps/**/index.ph?']), ['index.php']);
    assert.deepEqual(await choose(['**']), ['current', 'db.sql', 'index.php', 'info.json', 'photo.jpg', 'www-old']);
  });
});

test('a name that is not there: nothing is written, and near names are told', async () => {
  await withArchive(tarOf(sample), async (session, archive) => {
    await inFolder(async (outside) => {
      const target = join(outside, 'target');
      const attempt = (text: string) =>
        extractMembers({
          session,
          archive,
          paths: ['info.json', text],
          folder: target,
          counters: newExtractCounters(),
        }).then(
          () => assert.fail('found'),
          (error: unknown) => error,
        );
      const hints: Record<string, string> = {
        'apps/nextcluod/backup': 'apps/nextcloud',
        'db.sql': 'apps/nextcloud/backup/db.sql',
        'apps/nextcloud/backup/var/zzzzzzzzz': 'apps/nextcloud/backup/var holds: www',
      };
      for (const [text, hint] of Object.entries(hints)) {
        const error = await attempt(text);
        assert.ok(isFallbackError(error, 'NOT_FOUND'));
        assert.ok(error.hint.includes(hint), `${text}: ${error.hint}`);
      }
      assert.deepEqual(await readdir(outside), []);
    });
  });
});

test('zero regions stay sparse; modes, times and names of any bytes come back', async () => {
  const odd = 'odd-\udc80\udcff';
  const entries: TarEntryInput[] = [
    ['image', Buffer.concat([noise(100_000, 1), Buffer.alloc(8_000_000), noise(100_000, 2)])],
    ['only-zeros', Buffer.alloc(1_000_000)],
    ['empty', ''],
    [odd, 'x', { mode: 0o751, modifiedSeconds: 1234567890.5 }],
  ];
  await withArchive(tarOf(entries, 'gnu'), async (session, archive) => {
    await inFolder(async (outside) => {
      const result = await extractMembers({
        session,
        archive,
        paths: [],
        folder: outside,
        counters: newExtractCounters(),
      });
      assert.deepEqual(result.problems, []);
      const image = await stat(join(outside, 'image'));
      assert.ok((await readFile(join(outside, 'image'))).equals(Buffer.from(entries[0]?.[1] ?? '')));
      assert.ok(image.blocks * 512 < 1_000_000, `${image.blocks} blocks`);
      assert.equal((await stat(join(outside, 'only-zeros'))).size, 1_000_000);
      assert.equal((await stat(join(outside, 'empty'))).size, 0);
      const names = await readdir(outside, { encoding: 'buffer' });
      const name = names.find((one) => one.toString('latin1') === 'odd-\x80\xff');
      assert.ok(name !== undefined, 'the name’s bytes are the archive’s');
      const stats = await stat(Buffer.concat([Buffer.from(`${outside}/`), name]));
      assert.equal(stats.mode & 0o777, 0o751);
      assert.equal(stats.mtimeMs, 1234567890_000);
    });
  });
});

test('names that are not UTF-8 and look alike are two files, and no link is made to the wrong one', async () => {
  const entries: TarEntryInput[] = [
    ['caf\udce8.txt', 'one'],
    ['caf\udce9.txt', 'two'],
    hardlinkTo('link', 'caf\udce8.txt'),
  ];
  await withArchive(tarOf(entries, 'gnu'), async (session, archive) => {
    await inFolder(async (outside) => {
      const counters = newExtractCounters();
      const result = await extractMembers({ session, archive, paths: [], folder: outside, counters });
      assert.deepEqual(
        result.problems.map(({ name, error }) => [name, error.code]),
        [['link', 'NOT_FOUND']],
      );
      const names = (await readdir(outside, { encoding: 'buffer' })).map((one) => one.toString('latin1'));
      assert.deepEqual(names.sort(), ['caf\xe8.txt', 'caf\xe9.txt']);
    });
  });
});

test('a file goes to no stream when its name, or the name that it is linked to, looks like another one', async () => {
  const entries: TarEntryInput[] = [
    ['caf\udce8.txt', 'one'],
    ['caf\udce9.txt', 'two'],
    hardlinkTo('link', 'caf\udce8.txt'),
    ['alone\udce9.txt', 'three'],
  ];
  await withArchive(tarOf(entries, 'gnu'), async (session, archive) => {
    const read = (path: string): Promise<void> =>
      extractToStream({ session, archive, stream: new PassThrough().resume(), path, counters: newRestoreCounters() });
    for (const path of ['caf\ufffd.txt', 'link'])
      await assert.rejects(read(path), (error) => isFallbackError(error, 'USAGE'));
    await read('alone\ufffd.txt');
  });
});

test('times before 1970 come back, and a link to a name with a zero byte costs no other member', async () => {
  const entries: TarEntryInput[] = [
    ['old', 'x', { modifiedSeconds: -1_000_000 }],
    symlinkTo('bad', 'ä\0b'),
    symlinkTo('good', 'old'),
  ];
  await withArchive(tarOf(entries), async (session, archive) => {
    await inFolder(async (outside) => {
      const counters = newExtractCounters();
      const result = await extractMembers({ session, archive, paths: [], folder: outside, counters });
      assert.deepEqual(
        result.problems.map(({ name, error }) => [name, error.code]),
        [['bad', 'UNSAFE_PATH']],
      );
      assert.equal((await stat(join(outside, 'old'))).mtimeMs, -1_000_000_000);
      assert.equal(await readlink(join(outside, 'good')), 'old');
    });
  });
});

test('all members of an archive whose list ended early: what lies behind is told', async () => {
  const entries: TarEntryInput[] = [
    ['a', 'first'],
    ['b', 'second'],
    ['c', 'third'],
  ];
  const whole = tarOf(entries, 'gnu');
  const damaged = Buffer.from(whole);
  // The second header's checksum.
  damaged[1024 + 148] = 0x39;
  await withArchive(damaged, async (session, archive) => {
    for (const [paths, expected] of [
      [[], ['ARCHIVE_UNREADABLE']],
      [['**'], ['ARCHIVE_UNREADABLE']],
      [['a'], []],
    ] as const) {
      await inFolder(async (outside) => {
        const counters = newExtractCounters();
        const result = await extractMembers({ session, archive, paths, folder: outside, counters });
        assert.deepEqual(
          result.problems.map(({ error }) => error.code),
          expected,
        );
        assert.deepEqual(await readdir(outside), ['a']);
      });
    }
  });
});

test('a run that is interrupted leaves its folders as the archive has them, and says how to go on', async () => {
  const entries: TarEntryInput[] = [folder('data', { mode: 0o755 }), ['data/a', noise(300_000, 1)], ['data/b', 'b']];
  await withArchive(tarOf(entries), async (session, archive) => {
    await inFolder(async (outside) => {
      const controller = new AbortController();
      let done = 0;
      const counters = Object.defineProperty(newExtractCounters(), 'membersDone', {
        get: () => done,
        set: (count: number) => {
          done = count;
          if (count === 2) controller.abort(new FallbackError('INTERRUPTED', 'The run was interrupted.'));
        },
      });
      const { signal } = controller;
      await assert.rejects(
        extractMembers({ session, archive, paths: [], folder: outside, counters, signal }),
        (error) => isFallbackError(error, 'INTERRUPTED') && /--overwrite/.test(error.hint),
      );
      assert.deepEqual(await readdir(outside, { recursive: true }), ['data', 'data/a']);
      assert.equal((await stat(join(outside, 'data'))).mode & 0o777, 0o755);
    });
  });
});

test('one file to a stream: the last of its name, hard links followed', async () => {
  const entries: TarEntryInput[] = [
    ['a', 'first'],
    ['a', noise(500_000, 7)],
    hardlinkTo('b', 'a'),
    symlinkTo('s', 'a'),
    folder('d'),
  ];
  await withArchive(tarOf(entries), async (session, archive) => {
    const read = async (name: string): Promise<Buffer> => {
      const pieces: Buffer[] = [];
      const stream = new Writable({
        write(piece: Buffer, _encoding, done) {
          pieces.push(Buffer.from(piece));
          done();
        },
      });
      await extractToStream({ session, archive, stream, path: name, counters: newRestoreCounters() });
      return Buffer.concat(pieces);
    };
    assert.ok((await read('a')).equals(noise(500_000, 7)));
    assert.ok((await read('./b')).equals(noise(500_000, 7)));
    for (const name of ['s', 'd', '?']) await assert.rejects(read(name), (error) => isFallbackError(error, 'USAGE'));
    await assert.rejects(read('c'), (error) => isFallbackError(error, 'NOT_FOUND'));
  });
});

test('a sparse member goes to no stream: what is stored are its pieces', { skip: !hasTar }, async () => {
  await inFolder(async (source) => {
    await writeFile(join(source, 'plain'), 'as it is');
    execFileSync('sh', ['-c', 'truncate -s 3M disk.img; printf piece | dd of=disk.img bs=1 seek=1M conv=notrunc'], {
      cwd: source,
      stdio: 'ignore',
    });
    for (const format of ['gnu', 'posix']) {
      const args = ['-S', `--format=${format}`, '-c', 'plain', 'disk.img'];
      await withArchive(execFileSync('tar', args, { cwd: source }), async (session, archive) => {
        let bytes = '';
        const stream = new Writable({
          write(piece: Buffer, _encoding, done) {
            bytes += piece.toString();
            done();
          },
        });
        const read = (path: string) =>
          extractToStream({ session, archive, stream, path, counters: newRestoreCounters() });
        await assert.rejects(read('disk.img'), (error) => isFallbackError(error, 'FORMAT_UNSUPPORTED'));
        assert.equal(bytes, '');
        await read('plain');
        assert.equal(bytes, 'as it is');
      });
    }
  });
});

test('a lost pack costs the members that lie in it, and no others', async () => {
  const entries: TarEntryInput[] = Array.from({ length: 12 }, (_, index) => [`f${index}`, noise(120_000, index + 1)]);
  await withArchive(tarOf(entries), async (session, archive, { repository }) => {
    const runs = archive.recipe.runs;
    // Headers of all members share a pack; the contents of a few lie in each of the others.
    const lost = runs.find((run) => run.bytes > 100_000)?.pack;
    assert.ok(lost !== undefined);
    repository.packs.delete(lost);
    await inFolder(async (outside) => {
      const result = await extractMembers({
        session,
        archive,
        paths: [],
        folder: outside,
        counters: newExtractCounters(),
      });
      assert.ok(result.problems.length > 0 && result.problems.length < entries.length);
      for (const { error } of result.problems) assert.equal(error.code, 'NOT_FOUND');
      const missing = new Set(result.problems.map(({ name }) => name));
      assert.deepEqual(
        (await readdir(outside)).sort(),
        entries
          .map(([name]) => name)
          .filter((name) => !missing.has(name))
          .sort(),
      );
      for (const [name, content] of entries) {
        if (!missing.has(name)) assert.ok((await readFile(join(outside, name))).equals(Buffer.from(content ?? '')));
      }
    });
  });
});
