// A person who puts a link in a folder's place while root removes a home: nothing is removed elsewhere.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { removeInside, removeTree } from '../../../src/yunohost/takeover/remove-tree.ts';
import { newRoot } from '../double/testing.ts';
import { hostOf } from './takeover-fixture.ts';

const files = 2000;
const rounds = 3;

function fill(folder: string, count = files): void {
  mkdirSync(folder, { recursive: true });
  for (let number = 0; number < count; number++) writeFileSync(join(folder, `file-${number}`), '');
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

/** Puts a link in the folder's place, and the folder back, as often as it can. */
const swapping = `
const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
const [home, elsewhere] = process.argv.slice(1);
const folder = home + '/mine';
process.stdout.write('ready');
for (;;) {
  renameSync(folder, home + '/moved');
  symlinkSync(elsewhere, folder);
  unlinkSync(folder);
  renameSync(home + '/moved', folder);
}`;

describe('removeInside', () => {
  it('removes a file or an empty folder, and nothing by way of a link', async () => {
    const homes = join(newRoot(), 'home');
    fill(join(homes, 'bob/mine'), 2);
    mkdirSync(join(homes, 'bob/empty'));
    symlinkSync(join(homes, 'bob'), join(homes, 'alice'));
    assert.equal(await removeInside(homes, 'alice/mine/file-0'), false);
    assert.equal(await removeInside(homes, 'bob/mine'), false);
    assert.equal(await removeInside(homes, 'bob/nothing/file-0'), false);
    assert.equal(await removeInside(homes, 'bob/mine/file-0'), true);
    assert.equal(await removeInside(homes, 'bob/empty'), true);
    assert.equal(await removeInside(homes, 'alice'), true);
    assert.deepEqual(readdirSync(join(homes, 'bob/mine')), ['file-1']);
  });

  it('removes nothing behind a link that comes and goes', async () => {
    const root = newRoot();
    const [homes, elsewhere] = [join(root, 'home'), join(root, 'srv/elsewhere')];
    fill(elsewhere);
    fill(join(homes, 'bob/mine'));
    const person = spawn(process.execPath, ['-e', swapping, join(homes, 'bob'), elsewhere], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = once(person, 'exit');
    await once(person.stdout, 'data');
    for (let number = 0; number < files; number++) await removeInside(homes, `bob/mine/file-${number}`);
    person.kill('SIGKILL');
    await gone;
    assert.equal(readdirSync(elsewhere).length, files);
  });
});

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
