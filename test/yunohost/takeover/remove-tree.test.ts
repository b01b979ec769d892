// A person who puts a link in a folder's place while root removes a home: nothing is removed elsewhere.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { removeTree } from '../../../src/yunohost/takeover/remove-tree.ts';
import { newRoot } from '../double/testing.ts';
import { hostOf } from './takeover-fixture.ts';

const files = 2000;
const rounds = 3;

function fill(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (let number = 0; number < files; number++) writeFileSync(join(folder, `file-${number}`), '');
}

/** Waits until the removal is at work in the folder, moves it away and puts a link to the other one in its place. */
const swap = `
const { readdirSync, renameSync, symlinkSync } = require('node:fs');
const [home, elsewhere] = process.argv.slice(1);
process.stdout.write('ready');
const folder = home + '/mine';
for (;;) {
  try {
    if (readdirSync(folder).length === ${files}) continue;
    renameSync(folder, home + '/moved');
    symlinkSync(elsewhere, folder);
  } catch {}
  break;
}`;

describe('removeTree', () => {
  it('removes nothing behind a link that comes in a folder’s place meanwhile', async () => {
    const root = newRoot();
    const host = hostOf(root, join(root, 'state'));
    const [home, elsewhere] = [join(root, 'home/bob'), join(root, 'srv/elsewhere')];
    fill(elsewhere);
    for (let round = 0; round < rounds; round++) {
      fill(join(home, 'mine'));
      const person = spawn(process.execPath, ['-e', swap, home, elsewhere], { stdio: ['ignore', 'pipe', 'inherit'] });
      const gone = once(person, 'exit');
      await once(person.stdout, 'data');
      // It may fail over what was moved: then it is done again.
      await removeTree(host, home).catch((error) => assert.ok(isFallbackError(error, 'IO')));
      await gone;
      assert.equal(readdirSync(elsewhere).length, files);
      await removeTree(host, home);
      assert.ok(!existsSync(home));
    }
    rmSync(elsewhere, { recursive: true });
  });

  it('removes a link itself, a file, and what is not there', async () => {
    const root = newRoot();
    const host = hostOf(root, join(root, 'state'));
    mkdirSync(join(root, 'kept'));
    writeFileSync(join(root, '-file'), '');
    symlinkSync(join(root, 'kept'), join(root, 'link'));
    for (const name of ['link', '-file', 'nothing']) {
      await removeTree(host, join(root, name));
      assert.equal(lstatSync(join(root, name), { throwIfNoEntry: false }), undefined);
    }
    assert.ok(existsSync(join(root, 'kept')));
  });

  it('says what could not be removed', { skip: !existsSync('/proc/self/status') }, async () => {
    const root = newRoot();
    await assert.rejects(
      removeTree(hostOf(root, join(root, 'state')), '/proc/self/status'),
      (error) => isFallbackError(error, 'IO') && /\/proc\/self\/status could not be removed/.test(error.message),
    );
  });
});
