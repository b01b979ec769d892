// Members that are cut out of a tar in its place: GNU tar reads what is left, byte for byte.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { cutMembers } from '../../../src/yunohost/takeover/cut-members.ts';
import { Random } from '../double/random.ts';
import { newRoot } from '../double/testing.ts';

const isBob = (name: string): boolean => /^data\/home\/bob(\/|$)/.test(name);
const contents: Readonly<Record<string, Uint8Array>> = {
  'data/home/alice/a': Buffer.from('a'),
  'data/home/bob/b': new Random(1, 'b').bytes(700),
  [`data/home/bob/${'long'.repeat(40)}`]: Buffer.from('long'),
  'data/home/bobby/c': new Random(1, 'c').bytes(5_000_000),
  'data/home/zoe/d': Buffer.from('d'),
  'info.json': Buffer.from('{}'),
};

/** @param dot whether names begin with `./`. */
function makeTar(format: string, dot: string): { readonly folder: string; readonly tar: string } {
  const folder = newRoot();
  for (const [name, bytes] of Object.entries(contents)) {
    mkdirSync(dirname(join(folder, 'in', name)), { recursive: true });
    writeFileSync(join(folder, 'in', name), bytes);
  }
  linkSync(join(folder, 'in/data/home/bob/b'), join(folder, 'in/data/home/zoe/link'));
  const tar = join(folder, 'it.tar');
  const members = [`${dot}data`, `${dot}info.json`];
  execFileSync('tar', [`--format=${format}`, '--sort=name', '-C', join(folder, 'in'), '-cf', tar, ...members]);
  return { folder, tar };
}

describe('cutMembers', () => {
  for (const [format, dot] of [
    ['pax', ''],
    ['gnu', './'],
  ] as const) {
    it(`leaves the rest of a ${format} tar as it was`, async () => {
      const { folder, tar } = makeTar(format, dot);
      // The folder, two files, and a link that means one of them.
      assert.equal(await cutMembers(tar, isBob), 4);
      assert.equal(await cutMembers(tar, isBob), 0);
      mkdirSync(join(folder, 'out'));
      execFileSync('tar', ['-C', join(folder, 'out'), '-xf', tar]);
      const found = execFileSync('find', ['.', '-type', 'f'], { cwd: join(folder, 'out'), encoding: 'utf8' });
      const left = Object.keys(contents).filter((name) => !isBob(name));
      assert.deepEqual(found.trim().split('\n').sort(), left.map((name) => `./${name}`).sort());
      for (const name of left) assert.ok(readFileSync(join(folder, 'out', name)).equals(contents[name] ?? Buffer.of()));
    });
  }

  it('does not touch what is no tar to its end', async () => {
    const { tar } = makeTar('pax', '');
    truncateSync(tar, 5000);
    const before = readFileSync(tar);
    await assert.rejects(cutMembers(tar, isBob), (error) => isFallbackError(error, 'ARCHIVE_UNREADABLE'));
    assert.ok(readFileSync(tar).equals(before));
  });
});
