// FORMAT.md is enough: a reader that shares no code and no cryptography with ours (Python's standard library, the zstd command)
// rebuilds the golden repositories, and one that was pushed a moment ago.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { runCommand } from '../../bench/command.ts';
import { inTemporaryFolder } from '../support/temporary-folder.ts';
import { nightArchives, phraseOf, withStory, writeArchives } from './story.ts';

const golden = fileURLToPath(new URL('../fixtures/golden-1/', import.meta.url));
const reader = fileURLToPath(new URL('second-reader.py', import.meta.url));

const isThere = (command: string): boolean => spawnSync(command, ['--version']).status === 0;
const skip = isThere('python3') && isThere('zstd') ? false : 'needs python3 and zstd';

/** The SHA-256 of each archive of each snapshot, as the second reader finds them. */
async function readAll(store: string, phrase: string): Promise<unknown> {
  return await inTemporaryFolder(async (folder) => {
    const words = join(folder, 'words.txt');
    await writeFile(words, wordlist.join('\n'));
    const [repository = ''] = await readdir(join(store, 'repositories'));
    const args = [reader, join(store, 'repositories', repository), words];
    const { status, stdout, stderr } = spawnSync('python3', args, { input: phrase, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout);
  });
}

for (const kind of ['encrypted', 'fastcdc']) {
  test(`the golden repository (${kind})`, { skip }, async () => {
    const phrase = phraseOf(await readFile(join(golden, `${kind}.sheet.txt`), 'utf8'));
    const expected: unknown = JSON.parse(await readFile(join(golden, 'expected.json'), 'utf8'));
    assert.deepEqual(await readAll(join(golden, kind), phrase), expected);
  });
}

test('a repository of this version: two nights, the second mostly the first', { skip }, async () => {
  await withStory(async (story) => {
    const folder = join(story.folder, 'archives');
    const expected: Record<string, Record<string, string>> = {};
    for (const night of [1, 2]) {
      const archives = nightArchives(night, 0.05);
      await writeArchives(folder, archives);
      await runCommand(['push', folder, '--state', story.state]);
      const hashes = Object.entries(archives).map(([name, bytes]): [string, string] => {
        return [name, createHash('sha256').update(bytes).digest('hex')];
      });
      expected[night] = Object.fromEntries(hashes);
    }
    assert.deepEqual(await readAll(story.store, phraseOf(await readFile(story.sheet, 'utf8'))), expected);
  });
});
