// The tar that is made while it is read, against Python's own tarfile where there is one, and files that change meanwhile.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { HostPaths } from '../../../src/yunohost/command/host-paths.ts';
import { readAccountNames } from '../../../src/yunohost/stream/account-names.ts';
import { compareCodePoints, decodeName } from '../../../src/yunohost/stream/python-text.ts';
import { parseBackupCsv } from '../../../src/yunohost/stream/read-backup-csv.ts';
import { type StreamWarning, streamTar, type TarStreamOptions } from '../../../src/yunohost/stream/tar-stream.ts';
import { inTemporaryFolder } from '../../support/temporary-folder.ts';
import { listMembers } from '../double/tar-read.ts';

async function collect(options: Omit<TarStreamOptions, 'accounts' | 'onWarning'>): Promise<[Buffer, StreamWarning[]]> {
  const warnings: StreamWarning[] = [];
  const accounts = await readAccountNames(new HostPaths());
  const parts: Uint8Array[] = [];
  for await (const part of streamTar({ ...options, accounts, onWarning: (warning) => warnings.push(warning) })) {
    parts.push(Uint8Array.from(part));
  }
  return [Buffer.concat(parts), warnings];
}

/** Everything that a server's files can be. */
function layTree(folder: string): string {
  const root = join(folder, 'tree');
  mkdirSync(join(root, 'b/empty'), { recursive: true });
  writeFileSync(join(root, 'b/large.bin'), Buffer.alloc(3_000_001, 7));
  writeFileSync(join(root, 'b/Zoë café.txt'), 'ü\n');
  writeFileSync(Buffer.concat([Buffer.from(`${root}/b/latin-`), Buffer.of(0xe9, 0xff), Buffer.from('.txt')]), 'old\n');
  writeFileSync(join(root, 'b/\u{1F600}.txt'), 'astral\n');
  writeFileSync(join(root, 'b/\uFF21.txt'), 'wide\n');
  mkdirSync(join(root, `deep-${'x'.repeat(80)}`));
  writeFileSync(join(root, `deep-${'x'.repeat(80)}`, `file-${'y'.repeat(80)}`), 'deep\n', { mode: 0o600 });
  writeFileSync(join(root, 'one'), 'linked\n');
  linkSync(join(root, 'one'), join(root, 'two'));
  symlinkSync('one', join(root, 'link'));
  symlinkSync(`/nowhere/${'z'.repeat(120)}`, join(root, 'dangling'));
  utimesSync(join(root, 'one'), 1_758_209_844.123_456_7, 1_758_209_844.123_456_7);
  utimesSync(join(root, 'b/large.bin'), 12, 12);
  spawnSync('mkfifo', [join(root, 'pipe')]);
  return root;
}

const python = (script: string, ...args: string[]) =>
  spawnSync('python3', ['-c', script, ...args], { maxBuffer: 64 * 1024 * 1024 });
const hasPython = python('import sys; sys.exit(0 if sys.version_info >= (3, 8) else 1)').status === 0;

describe('a streamed tar', () => {
  it('equals what Python’s tarfile writes, byte for byte', { skip: !hasPython }, async () => {
    await inTemporaryFolder(async (folder) => {
      const root = layTree(folder);
      const rows = [
        { source: root, dest: 'apps/wiki/backup/var/www/wiki' },
        { source: join(root, 'one'), dest: '/data/one' },
        { source: join(root, 'two'), dest: 'data/two' },
      ];
      const script =
        'import sys,tarfile\nt=tarfile.open(sys.argv[1],"w")\nfor i in range(2,len(sys.argv),2): t.add(sys.argv[i],arcname=sys.argv[i+1])\nt.close()';
      const file = join(folder, 'python.tar');
      const ran = python(script, file, ...rows.flatMap(({ source, dest }) => [source, dest]));
      assert.equal(ran.status, 0, String(ran.stderr));
      const expected = spawnSync('cat', [file], { maxBuffer: 64 * 1024 * 1024 }).stdout;
      const [bytes, warnings] = await collect({ rows });
      assert.deepEqual(warnings, []);
      assert.equal(bytes.length, expected.length);
      assert.ok(bytes.equals(expected));
    });
  });

  it('goes on when files vanish, shrink, grow, or are sockets; each is told', async () => {
    await inTemporaryFolder(async (folder) => {
      const root = join(folder, 'tree');
      mkdirSync(root);
      for (const name of ['a', 'grows', 'shrinks', 'vanishes', 'z'])
        writeFileSync(join(root, name), Buffer.alloc(3_000_000, 1));
      const socket = createServer().listen(join(root, 'socket'));
      const warnings: StreamWarning[] = [];
      const accounts = await readAccountNames(new HostPaths());
      const parts: Uint8Array[] = [];
      const stream = streamTar({
        rows: [{ source: root, dest: 'd' }],
        accounts,
        onWarning: (one) => warnings.push(one),
      });
      for await (const part of stream) {
        // While `a` is on its way, the others change.
        if (parts.length === 1) {
          appendFileSync(join(root, 'grows'), 'more');
          rmSync(join(root, 'vanishes'));
        }
        const seen = Buffer.from(part).includes('d/shrinks');
        if (seen) truncateSync(join(root, 'shrinks'), 1_000_000);
        if (Buffer.from(part).includes('d/grows')) appendFileSync(join(root, 'grows'), 'and more');
        parts.push(Uint8Array.from(part));
      }
      socket.close();
      const members = listMembers(Buffer.concat(parts));
      assert.deepEqual(
        members.map(({ name }) => name),
        ['d', 'd/a', 'd/grows', 'd/shrinks', 'd/z'],
      );
      assert.equal(members.find(({ name }) => name === 'd/shrinks')?.content().length, 3_000_000);
      assert.deepEqual(
        warnings.map(({ kind, path }) => [kind, path.slice(root.length + 1)]),
        [
          ['grew', 'grows'],
          ['shrank', 'shrinks'],
          ['socket', 'socket'],
          ['vanished', 'vanishes'],
        ],
      );
    });
  });

  it('leaves out what is excluded, and what is not there any more', async () => {
    await inTemporaryFolder(async (folder) => {
      const root = layTree(folder);
      const rows = [
        { source: join(folder, 'gone'), dest: 'gone' },
        { source: root, dest: 'tree' },
      ];
      const [bytes, warnings] = await collect({ rows, exclude: [join(root, 'b/')] });
      const names = listMembers(bytes).map(({ name }) => name);
      assert.ok(names.includes('tree/one') && !names.some((name) => name.startsWith('tree/b')));
      assert.deepEqual(
        warnings.map(({ kind }) => kind),
        ['vanished'],
      );
    });
  });
});

describe('names and rows', () => {
  it('bytes that are no UTF-8 become escapes, and sort as Python sorts them', () => {
    assert.equal(decodeName(Buffer.from('é')), 'é');
    assert.equal(decodeName(Buffer.of(0x61, 0xff, 0xc3, 0xa9, 0xed, 0xa0, 0x80)), 'a\udcffé\udced\udca0\udc80');
    const names = ['\u{1F600}', '\uFF21', '\udcff', 'z', 'é', 'A', 'AB'];
    assert.deepEqual(names.sort(compareCodePoints), ['A', 'AB', 'z', 'é', '\udcff', '\uFF21', '\u{1F600}']);
  });

  it('backup.csv with quotes, commas and line ends in names', () => {
    assert.deepEqual(parseBackupCsv('"/a,b","x ""y"""\r\n"/c\nd","e"\r\n'), [
      { source: '/a,b', dest: 'x "y"' },
      { source: '/c\nd', dest: 'e' },
    ]);
    assert.deepEqual(parseBackupCsv('"/a","b"\n'), [{ source: '/a', dest: 'b' }]);
    assert.deepEqual(parseBackupCsv(''), []);
    for (const bad of ['"/a"\r\n', '"relative","x"\r\n', '"/a","b","c"\r\n', '"/a","b']) {
      assert.throws(() => parseBackupCsv(bad), /backup\.csv/);
    }
  });
});
