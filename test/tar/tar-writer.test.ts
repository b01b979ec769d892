// The writer against Python's tarfile and GNU tar (when they are there), and against vectors that stand here.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  buildTar,
  encodeTarEnd,
  encodeTarHeaders,
  type TarFormat,
  type TarMember,
  type TarMemberType,
  tarPadding,
} from '../../src/tar/tar-writer.ts';
import { plainMember } from './tar-samples.ts';

const hasPython = spawnSync('python3', ['-c', 'import sys, tarfile; sys.exit(sys.version_info < (3, 8))']).status === 0;
const skipPython = hasPython
  ? false
  : 'python3 (3.8 or newer) is not installed: the comparison with tarfile is left out';
const hasGnuTar = spawnSync('tar', ['--version']).stdout?.includes('GNU tar') ?? false;
const skipGnuTar = hasGnuTar ? false : 'GNU tar is not installed: the comparison with it is left out';

/** Reads a JSON list of members from stdin, writes for each the hex of its headers, or "-" when Python refuses it. */
const pythonHeaders = `
import json, sys, tarfile
types = dict(file=b'0', hardlink=b'1', symlink=b'2', character=b'3', block=b'4', directory=b'5', fifo=b'6')
formats = dict(pax=tarfile.PAX_FORMAT, gnu=tarfile.GNU_FORMAT, ustar=tarfile.USTAR_FORMAT)
for m in json.load(sys.stdin):
    t = tarfile.TarInfo(m['name'])
    t.type = types[m['type']]; t.mode = m['mode']; t.uid = m['userId']; t.gid = m['groupId']
    t.uname = m['userName']; t.gname = m['groupName']; t.mtime = float(m['modifiedSeconds'])
    t.size = m['sizeBytes'] if m['type'] == 'file' else 0
    t.linkname = m.get('linkName', ''); t.devmajor = m.get('deviceMajor', 0); t.devminor = m.get('deviceMinor', 0)
    try: print(t.tobuf(formats[m['format']], 'utf-8', 'surrogateescape').hex())
    except ValueError: print('-')
`;

const text = (maxLength: number) =>
  fc.oneof(
    fc.string({ unit: fc.constantFrom('a', 'b', '/', '.', 'Z'), maxLength }),
    fc.string({ unit: fc.constantFrom('a', 'é', '/', '日', '😀', '\udc80', '\udcff'), maxLength }),
  );

const member: fc.Arbitrary<TarMember & { format: TarFormat }> = fc.record({
  name: fc.oneof(text(40), text(300)).map((name) => `n${name}`),
  type: fc.constantFrom<TarMemberType>('file', 'directory', 'symlink', 'hardlink', 'character', 'block', 'fifo'),
  mode: fc.nat(0o177777),
  userId: fc.oneof(fc.nat(70000), fc.constantFrom(0o7777777, 0o10000000, 4294967294)),
  groupId: fc.oneof(fc.nat(70000), fc.constantFrom(0o7777777, 0o10000000, 4294967294)),
  userName: text(40),
  groupName: text(40),
  modifiedSeconds: fc.oneof(
    fc.nat(2 ** 31),
    fc.double({ min: 0, max: 2 ** 31, noNaN: true }),
    fc.constantFrom(0.5, 1.5, 2.5, -0.25, -1, -1.5, 1e-7, 1e15, 1e16, 123456789012345680000, 8589934591.6, 8589934592),
  ),
  linkName: text(150),
  sizeBytes: fc.oneof(fc.nat(10000), fc.constantFrom(0o77777777777, 0o100000000000, 2 ** 52)),
  deviceMajor: fc.nat(300),
  deviceMinor: fc.nat(300),
  format: fc.constantFrom<TarFormat>('pax', 'gnu', 'ustar'),
});

function headersOrRefusal(sample: TarMember, format: TarFormat): string {
  try {
    return Buffer.from(encodeTarHeaders(sample, format)).toString('hex');
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'LIMIT_EXCEEDED');
    return '-';
  }
}

test('headers are those of Python’s tarfile, byte for byte', { skip: skipPython }, () => {
  fc.assert(
    fc.property(fc.array(member, { minLength: 150, maxLength: 250 }), (members) => {
      const output = execFileSync('python3', ['-c', pythonHeaders], { input: JSON.stringify(members) }).toString();
      const expected = output.trim().split('\n');
      for (const [index, sample] of members.entries()) {
        assert.equal(headersOrRefusal(sample, sample.format), expected[index], JSON.stringify(sample));
      }
    }),
    { numRuns: 8, endOnFailure: true },
  );
});

test('a tree that Python’s TarFile.add packed comes out the same', { skip: skipPython }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tar-writer-'));
  try {
    const root = join(folder, 'tree');
    mkdirSync(root);
    writeFileSync(join(root, 'a'), 'hello');
    linkSync(join(root, 'a'), join(root, 'b'));
    symlinkSync('a', join(root, 'c'));
    writeFileSync(join(root, 'é'.repeat(60)), Buffer.alloc(1024, 1));
    utimesSync(join(root, 'a'), 1758209844, 1758209844.25);
    const script = `import sys, tarfile\nt = tarfile.open(sys.argv[1], 'w')\nt.add(sys.argv[2], arcname='tree')\nt.close()`;
    execFileSync('python3', ['-c', script, join(folder, 'python.tar'), root]);
    const owner = ownerNames();
    const entry = (name: string, type: TarMemberType, content: Uint8Array, linkName = '') => {
      const stat = lstatSync(join(folder, name), { bigint: true });
      // Python's st_mtime is the nanoseconds times 1e-9, added to the seconds.
      const modifiedSeconds = Number(stat.mtimeNs / 1_000_000_000n) + Number(stat.mtimeNs % 1_000_000_000n) * 1e-9;
      const [userId, groupId, mode] = [Number(stat.uid), Number(stat.gid), Number(stat.mode)];
      const sizeBytes = content.byteLength;
      return {
        member: { name, type, mode, userId, groupId, ...owner, modifiedSeconds, linkName, sizeBytes },
        content,
      };
    };
    const none = new Uint8Array(0);
    const ours = buildTar(
      [
        entry('tree', 'directory', none),
        entry('tree/a', 'file', Buffer.from('hello')),
        entry('tree/b', 'hardlink', none, 'tree/a'),
        entry('tree/c', 'symlink', none, 'a'),
        entry(`tree/${'é'.repeat(60)}`, 'file', Buffer.alloc(1024, 1)),
      ],
      'pax',
    );
    writeFileSync(join(folder, 'ours.tar'), ours);
    const same = spawnSync('cmp', [join(folder, 'python.tar'), join(folder, 'ours.tar')]);
    assert.equal(same.status, 0, same.stdout.toString());
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function ownerNames(): { userName: string; groupName: string } {
  const script = 'import os, pwd, grp\nprint(pwd.getpwuid(os.getuid())[0]); print(grp.getgrgid(os.getgid())[0])';
  const [userName = userInfo().username, groupName = ''] = execFileSync('python3', ['-c', script])
    .toString()
    .split('\n');
  return { userName, groupName };
}

test('GNU tar lists what each format wrote', { skip: skipGnuTar }, () => {
  for (const format of ['pax', 'gnu', 'ustar'] as const) {
    const long = `${'folder/'.repeat(15)}file`;
    const tar = buildTar(
      [
        { member: plainMember('folder', 'directory') },
        { member: { ...plainMember(long), sizeBytes: 600 }, content: Buffer.alloc(600, 7) },
        { member: { ...plainMember('link', 'symlink'), linkName: long.slice(0, 100) } },
      ],
      format,
    );
    const listed = spawnSync('tar', ['-t'], { input: tar });
    assert.equal(listed.stderr.toString(), '');
    assert.deepEqual(listed.stdout.toString().trim().split('\n'), ['folder/', long, 'link']);
  }
});

test('vectors made by Python 3.11.7 stand', () => {
  const sample: TarMember = {
    name: 'apps/wiki/backup/db.sql',
    type: 'file',
    mode: 0o100640,
    userId: 33,
    groupId: 33,
    userName: 'www-data',
    groupName: 'www-data',
    modifiedSeconds: 1758209844,
    sizeBytes: 5,
  };
  const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  const pax = encodeTarHeaders(sample, 'pax');
  assert.equal(pax.byteLength, 1536);
  assert.equal(Buffer.from(pax.subarray(512, 534)).toString(), '22 mtime=1758209844.0\n');
  assert.equal(digest(pax), '25e3fad1395555186f3f064033f3b7b97b7adb62e377c0c33b706289e8aa1ea2');
  assert.equal(
    digest(encodeTarHeaders(sample, 'gnu')),
    '442b570cdb162970348bcfa269bc23c05f4a069a875effc879f06aa310f4f149',
  );
  assert.equal(
    digest(encodeTarHeaders({ ...sample, name: `日本/${'x'.repeat(120)}` }, 'pax')),
    'e03df0734120a16d9b9e86f974884466ba3b1287bbdc24497ad230d534a1ab07',
  );
});

test('padding and the end of the archive', () => {
  assert.deepEqual([0, 1, 511, 512, 513].map(tarPadding), [0, 511, 1, 0, 511]);
  assert.equal(encodeTarEnd(0).byteLength, 10240);
  assert.equal(encodeTarEnd(10240 - 1024).byteLength, 1024);
  assert.equal(encodeTarEnd(10240 - 512).byteLength, 10240 + 512);
});

test('what a format cannot hold is refused', () => {
  const refused = { code: 'LIMIT_EXCEEDED' };
  assert.throws(() => encodeTarHeaders(plainMember('x'.repeat(101)), 'ustar'), refused);
  assert.throws(() => encodeTarHeaders({ ...plainMember('x'), userId: 0o10000000 }, 'ustar'), refused);
  assert.throws(() => encodeTarHeaders({ ...plainMember('x'), sizeBytes: 1.5 }, 'pax'), refused);
  assert.throws(() => encodeTarHeaders({ ...plainMember('x'), modifiedSeconds: Number.NaN }, 'pax'), refused);
  assert.throws(() => buildTar([{ member: { ...plainMember('x'), sizeBytes: 3 } }], 'pax'), refused);
});
