// The reader against the writer, Python and GNU tar; every dialect, every truncation, and whatever is no tar at all.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type TarEntry, TarReader } from '../../src/tar/tar-reader.ts';
import { buildTar, encodeTarEnd, encodeTarHeaders, type TarMember, tarPadding } from '../../src/tar/tar-writer.ts';
import { plainMember, withChecksum } from './tar-samples.ts';

function read(tar: Uint8Array, stepBytes = tar.byteLength || 1) {
  const entries: TarEntry[] = [];
  const contents: Buffer[] = [];
  const reader = new TarReader({
    onEntry: (entry) => {
      entries.push(entry);
      contents.push(Buffer.alloc(0));
    },
    onContent: (bytes) => {
      contents.push(Buffer.concat([contents.pop() ?? Buffer.alloc(0), bytes]));
    },
  });
  for (let at = 0; at < tar.byteLength; at += stepBytes) reader.push(tar.subarray(at, at + stepBytes));
  return { entries, contents, state: reader.state, offset: reader.offset, isInsideMember: reader.isInsideMember };
}

function extents(tar: Uint8Array): [number, number][] {
  const list: [number, number][] = [];
  new TarReader({ onExtent: (offset, size) => list.push([offset, size]) }).push(tar);
  return list;
}

const sampleMember = fc.record({
  name: fc.oneof(
    fc.string({ minLength: 1, maxLength: 20 }),
    fc.string({ unit: 'binary', minLength: 90, maxLength: 300 }),
  ),
  content: fc.uint8Array({ maxLength: 1500 }),
  modifiedSeconds: fc.double({ min: 0, max: 2 ** 31, noNaN: true }),
  userId: fc.oneof(fc.nat(70000), fc.constant(4294967294)),
});

test('what the writer wrote is read, however it is split', () => {
  const names = fc.array(sampleMember, { maxLength: 5 });
  fc.assert(
    fc.property(
      names,
      fc.constantFrom<'pax' | 'gnu'>('pax', 'gnu'),
      fc.integer({ min: 1, max: 1200 }),
      (list, format, step) => {
        const entries = list.map(({ name, content, modifiedSeconds, userId }) => {
          const safeName = `n${name.replaceAll('\0', '')}`.replace(/\/+$/, '');
          const member = { ...plainMember(safeName), sizeBytes: content.byteLength, modifiedSeconds, userId };
          return { member, content };
        });
        const result = read(buildTar(entries, format), step);
        assert.equal(result.state, 'ended');
        assert.equal(result.entries.length, entries.length);
        for (const [index, { member, content }] of entries.entries()) {
          const entry = result.entries[index];
          assert.equal(entry?.name, member.name);
          assert.equal(entry?.userId, member.userId);
          assert.equal(
            entry?.modifiedSeconds,
            format === 'pax' ? member.modifiedSeconds : Math.trunc(member.modifiedSeconds),
          );
          assert.deepEqual(result.contents[index], Buffer.from(content));
        }
      },
    ),
  );
});

test('whole, streamed and byte by byte are the same, with and without names', () => {
  const tar = sampleTar();
  const whole = read(tar);
  assert.deepEqual(read(tar, 1), whole);
  assert.deepEqual(read(tar, 513), whole);
  const places = whole.entries.map((entry) => [entry.headerOffset + entry.headerBytes, entry.sizeBytes]);
  assert.deepEqual(extents(tar), places);
});

/** A small tar of every type, with pre-headers of pax. */
function sampleTar(): Uint8Array {
  return buildTar(
    [
      { member: plainMember('folder', 'directory') },
      { member: { ...plainMember('folder/file'), sizeBytes: 700 }, content: Buffer.alloc(700, 9) },
      { member: { ...plainMember('folder/file'), sizeBytes: 1 }, content: Buffer.from('2') },
      { member: { ...plainMember('s', 'symlink'), linkName: 'x'.repeat(120) } },
      { member: { ...plainMember('h', 'hardlink'), linkName: 'folder/file' } },
      { member: { ...plainMember('null', 'character'), deviceMajor: 1, deviceMinor: 3 } },
      { member: plainMember('pipe', 'fifo') },
    ],
    'pax',
  );
}

test('a name that occurs twice is two members; links and folders have no contents', () => {
  const { entries, contents } = read(sampleTar());
  assert.deepEqual(
    entries.map(({ name, type, sizeBytes }) => [name, type, sizeBytes]),
    [
      ['folder', 'directory', 0],
      ['folder/file', 'file', 700],
      ['folder/file', 'file', 1],
      ['s', 'symlink', 0],
      ['h', 'hardlink', 0],
      ['null', 'character', 0],
      ['pipe', 'fifo', 0],
    ],
  );
  assert.equal(entries[3]?.linkName, 'x'.repeat(120));
  assert.equal(entries[5]?.deviceMinor, 3);
  assert.equal(contents[2]?.toString(), '2');
});

test('every truncation is read up to where it ends', () => {
  const tar = sampleTar().subarray(0, 10240);
  const whole = read(tar).entries;
  for (let length = 0; length <= tar.byteLength; length++) {
    const { entries, offset, state } = read(tar.subarray(0, length));
    assert.equal(offset, length);
    assert.notEqual(state, 'lost');
    assert.deepEqual(entries, whole.slice(0, entries.length));
  }
});

test('a flipped bit in a header never passes unnoticed, and never throws', () => {
  const tar = buildTar([{ member: plainMember('a') }, { member: plainMember('b') }], 'gnu');
  for (let bit = 0; bit < 512 * 8; bit++) {
    const broken = tar.slice();
    broken[bit >> 3] = (broken[bit >> 3] as number) ^ (1 << (bit & 7));
    const { entries, state } = read(broken);
    // Inside the checksum field itself a leading 0 may turn into a space, which means the same.
    const isInChecksum = bit >> 3 >= 148 && bit >> 3 < 156;
    if (!isInChecksum || entries.length !== 2) assert.deepEqual([entries.length, state], [0, 'lost'], `bit ${bit}`);
  }
});

test('whatever is no tar is taken whole', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.integer({ min: 1, max: 700 }), (bytes, step) => {
      assert.equal(read(bytes, step).offset, bytes.byteLength);
    }),
  );
});

test('numbers in base-256, also huge and negative ones', () => {
  const huge = encodeTarHeaders({ ...plainMember('huge'), sizeBytes: 2 ** 52, modifiedSeconds: -5 }, 'gnu');
  const result = read(huge);
  assert.deepEqual(
    result.entries.map(({ sizeBytes, modifiedSeconds }) => [sizeBytes, modifiedSeconds]),
    [[2 ** 52, -5]],
  );
  assert.equal(result.isInsideMember, true);
  for (const size of [
    [0xff, 0xff],
    [0x81, 0],
  ]) {
    const header = encodeTarHeaders(plainMember('x'), 'gnu').slice();
    header.set(size, 124);
    assert.equal(read(withChecksum(header)).state, 'lost');
  }
});

test('v7, signed checksums, a lone zero block, and what follows the end mark', () => {
  const old = withChecksum(
    Buffer.from(encodeTarHeaders(plainMember('old/'), 'gnu'))
      .fill(0, 257, 512)
      .fill(0, 156, 157),
  );
  assert.equal(read(old).entries[0]?.type, 'directory');
  assert.equal(read(old).entries[0]?.name, 'old');
  const signed = Buffer.from(encodeTarHeaders(plainMember('é'), 'gnu'));
  const sum = Number.parseInt(signed.toString('latin1', 148, 154), 8) - 512;
  signed.write(sum.toString(8).padStart(6, '0'), 148);
  assert.equal(read(signed).entries[0]?.name, 'é');
  const file = encodeTarHeaders(plainMember('a'), 'ustar');
  const lone = read(Buffer.concat([file, new Uint8Array(512), file, new Uint8Array(1024), file]));
  assert.deepEqual([lone.entries.length, lone.state], [2, 'ended']);
});

test('pre-headers: global, overriding, malformed, too large', () => {
  const main = encodeTarHeaders(plainMember('a'), 'ustar');
  const one = (flag: string, records: string) => Buffer.concat([preHeader(flag, records), main]);
  assert.equal(read(one('x', '10 path=b\n')).entries[0]?.name, 'b');
  assert.equal(read(Buffer.concat([one('g', '12 uname=me\n'), main])).entries[1]?.userName, 'me');
  assert.equal(read(one('g', '12 uname=me\n')).entries[0]?.headerBytes, 512);
  assert.equal(read(one('X', '10 path=c\n8 uid=7\n')).entries[0]?.userId, 7);
  assert.equal(read(Buffer.concat([preHeader('g', '10 path=b\n'), new Uint8Array(1024)])).state, 'ended');
  for (const bad of ['8 path=b\n', '11 path=b\n', 'path=b\n', '10 path=bb', '9 size=x\n', '99999999 a=b\n', '5 a\n=']) {
    assert.equal(read(one('x', bad)).state, 'lost', bad);
  }
  const long = `70010 path=${'n'.repeat(69998)}\n`;
  for (const [flag, records] of [
    ['x', long],
    ['x', ' '.repeat(1024 * 1024 + 1)],
    ['L', 'n'.repeat(70000)],
  ] as const) {
    assert.deepEqual([read(one(flag, records)).state, extents(one(flag, records)).length], ['lost', 0]);
  }
});

function preHeader(flag: string, content: string): Uint8Array {
  const header = Buffer.from(encodeTarHeaders({ ...plainMember('pre'), sizeBytes: content.length }, 'gnu'));
  header.write(flag, 156);
  return Buffer.concat([withChecksum(header), Buffer.from(content), new Uint8Array(tarPadding(content.length))]);
}

const hasGnuTar = spawnSync('tar', ['--version']).stdout?.includes('GNU tar') ?? false;
const skipGnuTar = hasGnuTar ? false : 'GNU tar is not installed: its archives are left out';

test('GNU tar’s own archives, sparse files as they are stored', { skip: skipGnuTar }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tar-reader-'));
  try {
    const long = 'n'.repeat(150);
    writeFileSync(join(folder, long), 'long');
    execFileSync(
      'sh',
      ['-c', 'for i in 0 2 4 6 8 10 12 14; do printf x | dd of=sparse bs=1M seek=$i conv=notrunc; done'],
      {
        cwd: folder,
        stdio: 'ignore',
      },
    );
    writeFileSync(join(folder, 'z'), 'last');
    for (const format of ['v7', 'oldgnu', 'gnu', 'ustar', 'posix']) {
      const withLong = format === 'v7' || format === 'ustar' ? [] : [long];
      const args = [
        ...(format === 'v7' || format === 'ustar' ? ['-c'] : ['-cS']),
        `--format=${format}`,
        '-f',
        '-',
        ...withLong,
        ...(format === 'v7' || format === 'ustar' ? [] : ['sparse']),
        'z',
      ];
      const { entries, contents, state } = read(execFileSync('tar', args, { cwd: folder, maxBuffer: 2 ** 26 }));
      const names = [...withLong, ...(withLong.length ? ['sparse'] : []), 'z'];
      assert.deepEqual(
        entries.map(({ name }) => name),
        names,
        format,
      );
      assert.deepEqual(
        entries.map(({ isSparse }) => isSparse),
        names.map((name) => name === 'sparse'),
        format,
      );
      assert.equal(contents.at(-1)?.toString(), 'last');
      assert.equal(state, 'ended');
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('an end without members, and an empty tar', () => {
  assert.deepEqual([read(encodeTarEnd(0)).state, read(new Uint8Array(0)).state], ['ended', 'members']);
});

test('the name’s own bytes stay when they are not UTF-8', () => {
  const member: TarMember = plainMember('caf\udce9');
  for (const format of ['pax', 'gnu', 'ustar'] as const) {
    const entry = read(encodeTarHeaders(member, format)).entries[0];
    assert.equal(entry?.name, 'caf\ufffd');
    assert.deepEqual(Buffer.from(entry?.rawName ?? []), Buffer.from('caf\xe9', 'latin1'));
  }
});
