// Mistakes: each class has its exit code, says what to type next, and happens before anything is changed. No server is needed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { errorCodes } from '../../src/errors/error-codes.ts';
import { compileCache, jsonLines, launcher, Sandbox } from './support/fallback-process.ts';

let box: Sandbox;

before(async () => {
  box = await Sandbox.make();
});

after(async () => {
  await box[Symbol.asyncDispose]();
});

test('--version and help come on stdout with exit code 0, and load nothing heavy', async () => {
  assert.match(await box.ok(['--version']), /^fallback \d+\.\d+\.\d+\n$/);
  const help = await box.ok(['--help']);
  assert.match(help, /On the fallback server:/);
  assert.equal(await box.ok(['help']), help);
  assert.match(await box.ok(['push', '--help']), /Examples:/);
  const loadedBy = (...args: string[]): string =>
    spawnSync(launcher, args, {
      env: { ...process.env, NODE_COMPILE_CACHE: compileCache, NODE_DEBUG: 'esm' },
      encoding: 'utf8',
    }).stderr;
  const trace = loadedBy('push', '--help');
  for (const heavy of ['undici', '@noble', 'sqlite', 'fs-extra', 'worker-pool']) {
    assert.ok(!trace.includes(heavy), `help loads ${heavy}`);
  }
  const commandFile = /cli\/commands\/(?!night-options)[a-z-]+\.ts/g;
  assert.deepEqual([...new Set(trace.match(commandFile))], ['cli/commands/push.ts']);
  assert.deepEqual(loadedBy('--help').match(commandFile), null);
});

test('usage errors: exit code 2, near words, no value of a mistyped option', async () => {
  assert.match((await box.fails([], 2, 'USAGE')).stderr, /fallback --help/);
  assert.match((await box.fails(['pusj'], 2, 'USAGE')).stderr, /Did you mean push\?/);
  assert.match((await box.fails(['status', '--jsn'], 2, 'USAGE')).stderr, /Did you mean --json\?/);
  assert.match((await box.fails(['key'], 2, 'USAGE')).stderr, /fallback key --help/);
  const secret = await box.fails(['push', 'x', '--passphrase=hunter2'], 2, 'USAGE');
  assert.ok(!secret.stderr.includes('hunter2'));
  assert.match(secret.stderr, /--passphrase-file FILE/);
  await box.fails(['push'], 2, 'USAGE');
  const limit = await box.fails(['push', 'x', '--limit-upload', '-3'], 2, 'USAGE');
  assert.match(limit.stderr, /^fallback: --limit-upload: "-3" is not a whole number/);
  await box.fails(['restore', 'latest'], 2, 'USAGE');
  await box.fails(['restore', 'latest', 'app', '--to', 'x', '--output', 'y'], 2, 'USAGE');
  await box.fails(['connect', 'https://example.org', '--public-certificate', '--phrase-file', '-'], 2, 'USAGE');
  assert.match(
    (await box.fails(['connect', 'h', '--fingerprint', 'abcd'], 2, 'USAGE')).stderr,
    /has 64 digits; this one has 4/,
  );
  await box.fails(['serve'], 2, 'USAGE');
  await box.fails(['errors', 'NOPE'], 2, 'USAGE');
  assert.deepEqual(await readdir(box.folder), [], 'nothing was made');
});

test('a machine that is not paired is told what to do, and stays as it was', async () => {
  for (const args of [['status'], ['snapshots'], ['key', 'show'], ['check'], ['key', 'passphrase', '--remove']]) {
    await box.fails([...args, '--state', box.path('none')], 2, 'NO_REPOSITORY');
  }
  await writeFile(box.path('a.tar'), 'x');
  await box.fails(['push', 'a.tar', '--state', box.path('none')], 2, 'NO_REPOSITORY');
  await assert.rejects(stat(box.path('none')));
});

test('archives: missing, none in a folder, two of one name', async () => {
  await box.fails(['push', 'nowhere.tar'], 1, 'NOT_FOUND');
  await mkdir(box.path('empty'));
  await box.fails(['push', 'empty'], 2, 'USAGE');
  await mkdir(box.path('twice'));
  await writeFile(box.path('twice/a.tar'), 'one');
  assert.match((await box.fails(['push', 'twice', 'a.tar'], 2, 'USAGE')).stderr, /Two archives are called a/);
});

test('stores that are none', async () => {
  await box.fails(['repositories', '--dir', 'nowhere'], 1, 'STORE_INVALID');
  await box.fails(['serve', '--dir', 'twice', '--listen', '127.0.0.1:0'], 1, 'STORE_INVALID');
  await box.fails(['invite', '--dir', 'twice'], 1, 'STORE_INVALID');
});

test('secrets: a file that others can read is refused, and without a terminal a missing one is an error at once', async () => {
  const code = 'fallback1abcdef';
  await box.fails(['init', '--code-file', '-', '--passphrase-file', 'x'], 5, 'PAIRING_INVALID', { input: code });
  await writeFile(box.path('open'), 'a secret\n', { mode: 0o644 });
  const phrase = ['connect', 'h', '--public-certificate', '--phrase-file'];
  await box.fails([...phrase, 'open', '--state', box.path('s')], 2, 'SECRET_FILE_UNSAFE');
  await box.fails([...phrase, 'nowhere', '--state', box.path('s')], 1, 'NOT_FOUND');
  await box.fails([...phrase, '-', '--state', box.path('s')], 2, 'PHRASE_INVALID', { input: 'one two three\n' });
  await box.fails(['connect', 'h', '--public-certificate', '--state', box.path('s')], 2, 'USAGE');
});

test('errors as JSON: one object on stderr, nothing on stdout', async () => {
  const { stdout, stderr } = await box.fails(['status', '--json', '--state', box.path('none')], 2, 'NO_REPOSITORY');
  assert.equal(stdout, '');
  const { error } = JSON.parse(stderr);
  assert.deepEqual(Object.keys(error), ['code', 'message', 'hint', 'exitCode', 'retry', 'details']);
  assert.equal(error.exitCode, 2);
});

test('fallback errors knows every code', async () => {
  const listed = jsonLines(await box.ok(['errors', '--json']));
  assert.deepEqual(
    listed.map(({ code }) => code),
    Object.keys(errorCodes),
  );
  assert.match(await box.ok(['errors', 'busy']), /^BUSY {2}\(exit code 10\)/);
});

test('a reader that goes away is no error', () => {
  const { status, stderr } = spawnSync('bash', ['-c', `set -o pipefail; "${launcher}" errors | head -1 >/dev/null`], {
    env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  assert.equal(status, 0);
});
