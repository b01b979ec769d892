// A key in the clear is used only where somebody says that it is to be there.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { freePort } from '../../bench/measure/ports.ts';
import { jsonLines, launcher, Sandbox, stop } from './support/fallback-process.ts';

test('a folder whose key stands in the clear opens when that is said, and not by itself', async () => {
  await using box = await Sandbox.make();
  await mkdir(box.path('archives'));
  await writeFile(box.path('archives/a.tar'), 'bytes');
  const listen = ['--listen', `127.0.0.1:${await freePort()}`];
  const server = await box.serve(box.path('store'), ['--no-maintenance', ...listen]);
  const { code } = JSON.parse(await box.ok(['invite', '--dir', 'store', '--name', 'main.test', '--json']));
  const state = ['--state', box.path('main')];
  const init = (more: readonly string[]) => ['init', '--code-file', '-', '--sheet', 'sheet', ...more, ...state];
  await writeFile(box.path('pass'), 'a passphrase of five words\n', { mode: 0o600 });
  await box.fails(init(['--no-encryption', '--passphrase-file', 'pass']), 2, 'USAGE', { input: code });
  // Begun, and cut off before the sheet was written: it goes on as it was begun, and in no other way.
  const unread = spawnSync(
    'bash',
    ['-c', `"$0" "$@" > /dev/full`, launcher, 'init', '--code-file', '-', '--no-encryption', ...state],
    {
      input: code,
      cwd: box.folder,
      encoding: 'utf8',
    },
  );
  assert.equal(unread.status, 1, unread.stderr);
  assert.match(
    unread.stderr,
    /The recovery sheet was not written.*the disk is full[\s\S]*--sheet FILE[\s\S]*code: DISK_FULL/,
  );
  await box.fails(init(['--passphrase-file', 'pass']), 2, 'USAGE', { input: code });
  await box.fails(init([]), 2, 'USAGE', { input: code });
  await box.fails(init(['--no-encryption', '--chunker', 'fastcdc-wasm']), 2, 'USAGE', { input: code });
  await box.ok(init(['--no-encryption']), { input: code });
  await box.ok(['push', 'archives', '--quiet', ...state]);
  // What a new key document takes over is named, so that a sheet that somebody else added is noticed.
  const label = /Recovery phrase ([0-9a-f]{8}),/.exec(await readFile(box.path('sheet'), 'utf8'))?.[1];
  const changed = await box.ok(['key', 'passphrase', '--passphrase-file', 'pass', ...state]);
  assert.ok(label !== undefined && changed.includes(label), changed);
  await box.ok(['key', 'passphrase', '--remove', ...state]);
  assert.equal(await stop(server.child, 'SIGTERM'), 0);
  const refused = await box.fails(['restore', 'latest', '--to', 'out', '--dir', 'store'], 2, 'USAGE');
  assert.match(refused.stderr, /--no-encryption/);
  const read = ['--dir', 'store', '--no-encryption'];
  assert.equal(jsonLines(await box.ok(['snapshots', '--json', ...read])).length, 1);
  await box.ok(['restore', 'latest', '--to', 'out', ...read]);
});
