// What no backup holds is moved into a folder of root's alone, and into nothing else that stands in its place.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { HostPaths } from '../../../src/yunohost/command/host-paths.ts';
import { lookAt, moveFolderAside } from '../../../src/yunohost/takeover/move-aside.ts';
import { newRoot } from '../double/testing.ts';

const [from, to] = ['/home/bob/wiki', '/home/bob/fallback-produced-2/wiki'];

function makeData() {
  const paths = new HostPaths(newRoot());
  mkdirSync(paths.at(from), { recursive: true });
  writeFileSync(join(paths.at(from), 'page'), 'words');
  return paths;
}

const move = (paths: HostPaths): Promise<void> => moveFolderAside(paths, from, to, 'run it again');

describe('moveFolderAside', () => {
  it('moves a folder into one of root’s alone', async () => {
    const paths = makeData();
    assert.equal(await lookAt(paths, from), 'full');
    await move(paths);
    assert.equal(readFileSync(paths.at(`${to}/page`), 'utf8'), 'words');
    assert.equal(lstatSync(paths.at(dirname(to))).mode & 0o777, 0o700);
    assert.equal(await lookAt(paths, from), 'missing');
    mkdirSync(paths.at(from));
    assert.equal(await lookAt(paths, from), 'empty');
    assert.equal(await lookAt(paths, `${to}/page/none`), 'missing');
  });

  const foreign: Record<string, (paths: HostPaths) => void> = {
    'a link': (paths) => {
      mkdirSync(paths.at('/tmp/elsewhere'), { recursive: true, mode: 0o700 });
      symlinkSync(paths.at('/tmp/elsewhere'), paths.at(dirname(to)));
    },
    'a file': (paths) => writeFileSync(paths.at(dirname(to)), ''),
    'a folder that others may read': (paths) => {
      mkdirSync(paths.at(dirname(to)));
      chmodSync(paths.at(dirname(to)), 0o755);
    },
  };
  for (const [what, lay] of Object.entries(foreign)) {
    it(`does not take ${what} for it`, async () => {
      const paths = makeData();
      lay(paths);
      await assert.rejects(
        move(paths),
        (error) =>
          isFallbackError(error, 'IO') &&
          /no folder of root’s alone/.test(error.message) &&
          /mv .*again/.test(error.hint),
      );
      assert.ok(existsSync(paths.at(`${from}/page`)));
    });
  }

  it('names a disk that is mounted there', { skip: !existsSync('/proc/sys/fs') }, async () => {
    const mounted = new HostPaths('/');
    const place = `${newRoot()}/aside/fs`;
    await assert.rejects(
      moveFolderAside(mounted, '/proc/sys/fs', place, 'run it again'),
      (error) =>
        isFallbackError(error, 'IO') && /mounted/.test(error.message) && /umount \/proc\/sys\/fs/.test(error.hint),
    );
  });
});
