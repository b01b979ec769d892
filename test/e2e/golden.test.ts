// The golden repositories were written by the first version of the format, and must restore for ever. They are never made anew.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../../bench/command.ts';
import { inTemporaryFolder } from '../support/temporary-folder.ts';
import { phraseOf } from './story.ts';

const golden = fileURLToPath(new URL('../fixtures/golden-1/', import.meta.url));

type Expected = Readonly<Record<string, Readonly<Record<string, string>>>>;

async function sha256Of(folder: string): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const name of await readdir(folder)) {
    hashes[name.replace(/\.tar$/, '')] = createHash('sha256')
      .update(await readFile(join(folder, name)))
      .digest('hex');
  }
  return hashes;
}

for (const [kind, keys] of [
  ['encrypted', ['passphrase', 'phrase']],
  ['fastcdc', ['phrase']],
  ['clear', ['no-encryption']],
] as const) {
  test(`the golden repository (${kind}) restores from its folder, with ${keys.join(' and with ')}`, async () => {
    await inTemporaryFolder(async (folder) => {
      const store = join(folder, 'store');
      await cp(join(golden, kind), store, { recursive: true });
      const expected = JSON.parse(await readFile(join(golden, 'expected.json'), 'utf8')) as Expected;
      const sheet = await readFile(join(golden, `${kind}.sheet.txt`), 'utf8');
      await writeFile(join(folder, 'passphrase'), 'golden passphrase\n', { mode: 0o600 });
      await writeFile(join(folder, 'phrase'), `${phraseOf(sheet)}\n`, { mode: 0o600 });
      for (const key of keys) {
        const from = [
          '--dir',
          store,
          '--repository',
          kind,
          ...(key === 'no-encryption' ? ['--no-encryption'] : [`--${key}-file`, join(folder, key)]),
        ];
        for (const [snapshot, hashes] of Object.entries(expected)) {
          const target = join(folder, `${key}-${snapshot}`);
          await runCommand(['restore', snapshot, '--to', target, ...from]);
          assert.deepEqual(await sha256Of(target), hashes);
        }
        await runCommand(['check', '--read-data', ...from]);
      }
    });
  });
}
