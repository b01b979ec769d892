import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { isFallbackError } from '../../src/errors/fallback-error.ts';
import { ensureFolder } from '../../src/fs/ensure-folder.ts';
import { acquireExclusiveLock } from '../../src/fs/exclusive-lock.ts';
import type { FileSystem, OpenFile } from '../../src/fs/file-system.ts';
import { mapFsError } from '../../src/fs/map-fs-error.ts';
import { nodeFileSystem as fs } from '../../src/fs/node-file-system.ts';
import { beginFile } from '../../src/fs/publish-file.ts';
import { readFileSpan, readWholeFile } from '../../src/fs/read-file.ts';
import { readSecretFile } from '../../src/fs/read-secret-file.ts';
import { moveAside, removeFile } from '../../src/fs/remove-file.ts';
import { replaceFile } from '../../src/fs/replace-file.ts';
import { isLeftover, removeLeftovers, temporaryName } from '../../src/fs/temporary-file.ts';
import { ScriptProcess } from '../support/child-process.ts';

let folder: string;
const at = (name: string): string => join(folder, name);
const withCode =
  (code: string) =>
  (error: unknown): boolean =>
    isFallbackError(error) && error.code === code;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fallback-fs-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** The real file system, but with one call that fails. */
function failing(call: 'sync' | 'append' | 'sizeBytes', system: string): FileSystem {
  const fail = async (): Promise<never> => {
    throw Object.assign(new Error(system), { code: system });
  };
  return {
    ...fs,
    async createFile(path) {
      const file = await fs.createFile(path);
      const broken: OpenFile = {
        append: (bytes) => file.append(bytes),
        read: (target, position) => file.read(target, position),
        sizeBytes: () => file.sizeBytes(),
        sync: () => file.sync(),
        close: () => file.close(),
      };
      broken[call] = fail;
      return broken;
    },
  };
}

describe('publish', () => {
  test('a file appears whole, private, and under its name only', async () => {
    const draft = await beginFile(fs, folder, 'aa');
    await draft.write(Buffer.from('hello '));
    await draft.write(Buffer.from('world'));
    assert.equal((await readdir(folder)).length, 1);
    assert.equal(await draft.publish(at('final')), 'published');
    assert.deepEqual(await readdir(folder), ['final']);
    assert.equal(await readFile(at('final'), 'utf8'), 'hello world');
    assert.equal((await stat(at('final'))).mode & 0o777, 0o600);
  });

  test('a taken name is left alone', async () => {
    await writeFile(at('final'), 'first');
    const draft = await beginFile(fs, folder, 'aa');
    await draft.write(Buffer.from('second'));
    assert.equal(await draft.publish(at('final')), 'exists');
    assert.equal(await readFile(at('final'), 'utf8'), 'first');
    assert.deepEqual(await readdir(folder), ['final']);
  });

  test('what fails leaves nothing, and a failed sync is never tried again on the same file', async () => {
    for (const [call, system, code] of [
      ['append', 'ENOSPC', 'DISK_FULL'],
      ['append', 'EDQUOT', 'DISK_FULL'],
      ['sync', 'EIO', 'IO'],
      ['sync', 'ENOSPC', 'DISK_FULL'],
    ] as const) {
      const draft = await beginFile(failing(call, system), folder, 'aa');
      await assert.rejects(async () => {
        await draft.write(Buffer.from('bytes'));
        await draft.publish(at('final'));
      }, withCode(code));
      await draft.discard();
      assert.deepEqual(await readdir(folder), [], `${call} ${system}`);
      await assert.rejects(draft.publish(at('final')));
    }
  });

  test('a short write is noticed', async () => {
    const lying: FileSystem = {
      ...fs,
      async createFile(path) {
        const file = await fs.createFile(path);
        return {
          append: (bytes) => file.append(bytes.subarray(1)),
          read: (target, position) => file.read(target, position),
          sizeBytes: () => file.sizeBytes(),
          sync: () => file.sync(),
          close: () => file.close(),
        };
      },
    };
    const draft = await beginFile(lying, folder, 'aa');
    await draft.write(Buffer.from('bytes'));
    await assert.rejects(draft.publish(at('final')), withCode('IO'));
    assert.deepEqual(await readdir(folder), []);
  });
});

describe('small operations', () => {
  test('a replacement that fails leaves the old contents, and no temporary file', async () => {
    await mkdir(at('folder'));
    await assert.rejects(replaceFile(fs, at('folder'), Buffer.from('one'), folder, '01'), withCode('IO'));
    await writeFile(at('document'), 'old');
    for (const call of ['append', 'sync'] as const) {
      const broken = failing(call, 'ENOSPC');
      await assert.rejects(
        replaceFile(broken, at('document'), Buffer.from('new'), folder, '02'),
        withCode('DISK_FULL'),
      );
    }
    assert.deepEqual((await readdir(folder)).sort(), ['document', 'folder']);
    assert.equal(await readFile(at('document'), 'utf8'), 'old');
  });

  test('replace, remove, move aside, read with limits', async () => {
    await replaceFile(fs, at('document'), Buffer.from('one'), folder, '01');
    await replaceFile(fs, at('document'), Buffer.from('two'), folder, '02');
    assert.deepEqual(await readdir(folder), ['document']);
    assert.equal(Buffer.from(await readWholeFile(fs, at('document'), 3)).toString(), 'two');
    await assert.rejects(readWholeFile(fs, at('document'), 2), withCode('LIMIT_EXCEEDED'));
    await assert.rejects(readWholeFile(fs, at('nothing'), 2), withCode('NOT_FOUND'));
    assert.equal(Buffer.from(await readFileSpan(fs, at('document'), 1, 9)).toString(), 'wo');
    await symlink(at('document'), at('link'));
    await assert.rejects(readWholeFile(fs, at('link'), 9), withCode('UNSAFE_PATH'));
    await ensureFolder(fs, at('a/b/c'));
    await ensureFolder(fs, at('a/b/c'));
    assert.equal((await stat(at('a/b'))).mode & 0o777, 0o700);
    await assert.rejects(ensureFolder(fs, at('document/x')), withCode('ALREADY_EXISTS'));
    assert.equal(await moveAside(fs, at('document'), at('a'), 'document'), 'document');
    await writeFile(at('document'), 'three');
    assert.equal(await moveAside(fs, at('document'), at('a'), 'document'), 'document.1');
    assert.equal(await moveAside(fs, at('document'), at('a'), 'document'), undefined);
    assert.equal(await readFile(at('a/document'), 'utf8'), 'two');
    assert.equal(await removeFile(fs, at('a/document')), true);
    assert.equal(await removeFile(fs, at('a/document')), false);
  });

  test('leftovers of dead processes go, those of living ones stay', async () => {
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
    const own = temporaryName('ab');
    const [boot, , ticks] = own.split('-');
    const dead = `${boot}-${child.pid}-1-cd.tmp`;
    const otherBoot = `00000000-${process.pid}-${ticks}-ef.tmp`;
    for (const name of [own, dead, otherBoot, 'mine.tmp', 'pack']) await writeFile(at(name), '');
    assert.ok(!isLeftover(own) && isLeftover(dead) && isLeftover(otherBoot) && !isLeftover('mine.tmp'));
    // Of a process that could not see which boot it is in, nothing is known.
    assert.ok(!isLeftover(`e3b0c442-${child.pid}-1-ab.tmp`));
    assert.equal(await removeLeftovers(fs, folder), 2);
    assert.deepEqual((await readdir(folder)).sort(), [own, 'mine.tmp', 'pack'].sort());
    child.kill('SIGKILL');
    await once(child, 'close');
  });

  test('the kernel’s errors become ours, with a hint', () => {
    const map = (code: string): unknown => mapFsError(Object.assign(new Error('x'), { code }), 'write');
    for (const [system, code] of [
      ['ENOSPC', 'DISK_FULL'],
      ['EIO', 'IO'],
      ['EROFS', 'IO'],
      ['EMFILE', 'IO'],
      ['EACCES', 'IO'],
      ['ENOENT', 'NOT_FOUND'],
    ] as const) {
      const error = map(system);
      assert.ok(isFallbackError(error, code), system);
      assert.equal(error.details['system'], system);
    }
    const defect = new TypeError('a defect');
    assert.equal(mapFsError(defect, 'write'), defect);
  });

  test('a secret file that others may read is refused', async () => {
    await writeFile(at('secret'), 'word', { mode: 0o600 });
    assert.equal(Buffer.from(await readSecretFile(at('secret'))).toString(), 'word');
    for (const mode of [0o640, 0o604, 0o620, 0o601]) {
      await chmod(at('secret'), mode);
      await assert.rejects(readSecretFile(at('secret')), withCode('SECRET_FILE_UNSAFE'));
    }
    await assert.rejects(readSecretFile(folder), withCode('SECRET_FILE_UNSAFE'));
    await assert.rejects(readSecretFile(at('nothing')), withCode('NOT_FOUND'));
  });
});

describe('the exclusive lock', () => {
  const nowMs = (): number => Date.now();

  test('one holder, named to others; free again after release', async () => {
    const lock = await acquireExclusiveLock(at('lock'), { purpose: 'scrub', nowMs });
    await assert.rejects(acquireExclusiveLock(at('lock'), { purpose: 'other', nowMs }), (error: unknown) => {
      assert.ok(isFallbackError(error, 'STORE_LOCKED'));
      assert.match(error.message, new RegExp(`Process ${process.pid} on .* \\(scrub\\)`));
      return true;
    });
    const waiting = acquireExclusiveLock(at('lock'), { purpose: 'patient', nowMs, waitMs: 5_000 });
    setTimeout(() => lock.release(), 60);
    (await waiting).release();
    lock.release();
    assert.equal((await stat(at('lock'))).mode & 0o077, 0);
    await mkdir(at('folder'));
    await assert.rejects(acquireExclusiveLock(at('folder'), { purpose: 'x', nowMs }), { code: 'IO' });
  });

  test('it goes with its process, killed without warning', async () => {
    const child = new ScriptProcess(resolve(import.meta.dirname, 'child-lock.ts'), [at('lock')]);
    await child.line('locked');
    await assert.rejects(acquireExclusiveLock(at('lock'), { purpose: 'other', nowMs }), /\(child\)/);
    await child.kill();
    (await acquireExclusiveLock(at('lock'), { purpose: 'other', nowMs, waitMs: 1_000 })).release();
  });

  test('of many who ask at once, one gets it', async () => {
    const children = [0, 1, 2, 3].map(
      () => new ScriptProcess(resolve(import.meta.dirname, 'child-lock.ts'), [at('lock')]),
    );
    const outcomes = await Promise.all(children.map((child) => child.line('locked', 'refused')));
    assert.equal(outcomes.filter((line) => line === 'locked').length, 1);
    for (const child of children) await child.kill();
  });
});
