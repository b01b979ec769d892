// What root makes in somebody else's folder belongs to its owner, and nothing that the owner puts in its place does.
import assert from 'node:assert/strict';
import { chownSync, lstatSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createPrivateFile } from '../../src/fs/folder-owner.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { inTemporaryFolder } from '../support/temporary-folder.ts';

const owner = 4711;

test('files and folders go to the folder’s owner; a link in their place is refused', async (context) => {
  if (process.geteuid?.() !== 0) return context.skip('only root gives files away');
  return await inTemporaryFolder(async (outside) => {
    const folder = join(outside, 'store');
    mkdirSync(folder);
    chownSync(folder, owner, owner);
    const secret = join(outside, 'secret');
    writeFileSync(secret, 'root’s');
    const file = await nodeFileSystem.createFile(join(folder, 'file'));
    await file.close();
    await nodeFileSystem.createFolder(join(folder, 'folder'));
    createPrivateFile(join(folder, 'lock'));
    for (const name of ['file', 'folder', 'lock']) {
      const { uid, gid } = statSync(join(folder, name));
      assert.deepEqual([uid, gid], [owner, owner], name);
    }
    symlinkSync(secret, join(folder, 'link'));
    assert.throws(() => createPrivateFile(join(folder, 'link')), { code: 'EEXIST' });
    await assert.rejects(nodeFileSystem.createFile(join(folder, 'link')), { code: 'EEXIST' });
    assert.equal(lstatSync(secret).uid, 0);
  });
});
