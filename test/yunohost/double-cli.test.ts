// Section 1 of the contract: options, streams, exit codes, what may run before the post-install.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { readCalls } from './double/call-log.ts';
import { plainText, pythonJson } from './double/output.ts';
import { runYunohost } from './double/run-yunohost.ts';
import { seedBareServer } from './double/seed-server.ts';
import type { Server } from './double/server.ts';
import { newRoot, smallServer } from './double/testing.ts';

describe('the command line (section 1)', () => {
  let server: Server;
  const run = (...args: string[]) => runYunohost(server.root, args);
  before(async () => {
    server = await smallServer();
  });

  it('prints JSON as its last stdout line, behind log lines', async () => {
    const ran = await run('backup', 'create', '-n', 'one', '--apps', 'demosql', '--output-as', 'json');
    const lines = ran.stdout.trimEnd().split('\n');
    assert.equal(ran.code, 0);
    assert.ok(lines.length > 3);
    assert.match(lines[0] ?? '', /^INFO Collecting files to be backed up for demosql…$/);
    assert.match(lines.at(-2) ?? '', /^SUCCESS Backup created: one$/);
    assert.match(lines.at(-1) ?? '', /^\{"name": "one", "size": \d+, "results": /);
    assert.throws(() => JSON.parse(ran.stdout));
  });

  it('prints no JSON for a command that returns None', async () => {
    await run('backup', 'create', '-n', 'gone', '--apps', 'demosql');
    const ran = await run('backup', 'delete', 'gone', '--output-as', 'json');
    assert.equal(ran.code, 0);
    assert.equal(ran.stdout, 'SUCCESS Backup deleted: gone\n');
  });

  it('puts WARNING and ERROR on stderr, and --quiet hides even the error: only the code tells', async () => {
    const loud = await run('backup', 'info', 'nothing', '--output-as', 'json');
    assert.equal(loud.code, 1);
    assert.equal(loud.stdout, '');
    assert.equal(loud.stderr, "ERROR Unknown local backup archive named 'nothing'\n");
    const quiet = await run('--quiet', 'backup', 'info', 'nothing', '--output-as', 'json');
    assert.deepEqual([quiet.code, quiet.stdout, quiet.stderr], [1, '', '']);
  });

  it('makes stdout pure JSON with --quiet', async () => {
    const ran = await run('backup', 'create', '--apps', 'demosql', '-n', 'quiet', '--quiet', '--output-as', 'json');
    assert.doesNotThrow(() => JSON.parse(ran.stdout));
  });

  it('exits 2 for what argparse refuses, with a usage text', async () => {
    for (const args of [
      ['backup', 'frobnicate'],
      ['backup', 'create', '--nonsense'],
      ['backup', 'info'],
      ['tools', 'postinstall', '--overwrite-root-password'],
    ]) {
      const ran = await run(...args);
      assert.equal(ran.code, 2, args.join(' '));
      assert.match(ran.stderr, /^usage: /);
    }
  });

  it('lets a `*` option swallow the name behind it, as argparse does', async () => {
    const ran = await run('backup', 'restore', '--apps', 'demosql', 'one');
    assert.equal(ran.code, 2);
    assert.match(ran.stderr, /arguments are required: name/);
  });

  it('refuses prompts without a terminal (cli.py:548)', async () => {
    const ran = await run('tools', 'postinstall', '-d', 'x.test');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /Not a tty, can't do interactive prompts/);
  });

  it('prints versions, also by --version', async () => {
    const ran = await run('--version', '--output-as', 'json');
    assert.match(ran.stdout, /^\{"yunohost": \{"version": "12\.1\.25", "repo": "stable"\}, /);
  });

  it('prints dates as ISO-8601 with an offset', async () => {
    const ran = await run('backup', 'info', 'one', '--output-as', 'json');
    assert.match(ran.stdout, /"created_at": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"/);
  });

  it('keeps a log of calls with their environment and code', async () => {
    await runYunohost(server.root, ['settings', 'get', 'none'], { environment: { FALLBACK_NONCE: 'abc' } });
    const last = readCalls(server.root).at(-1);
    assert.deepEqual(last?.argv, ['settings', 'get', 'none']);
    assert.equal(last?.code, 1);
    assert.equal(last?.environment['FALLBACK_NONCE'], 'abc');
    assert.equal(last?.environment['LC_ALL'], 'C.UTF-8');
  });
});

describe('before the post-install (section 1)', () => {
  it('refuses all but a few commands, on stdout', async () => {
    const { root } = seedBareServer(newRoot());
    const refused = await runYunohost(root, ['app', 'list', '--output-as', 'json']);
    assert.equal(refused.code, 1);
    assert.equal(
      refused.stdout,
      "Error: YunoHost is not correctly installed. Please run 'yunohost tools postinstall'\n",
    );
    assert.equal(refused.stderr, '');
    const allowed = await runYunohost(root, ['backup', 'list', '--output-as', 'json']);
    assert.deepEqual([allowed.code, allowed.json], [0, { archives: [] }]);
    const options = ['-d', 'new.test', '-u', 'admin', '-F', 'Ad Min', '-p', 'x'.repeat(12), '--ignore-dyndns'];
    const installed = await runYunohost(root, ['tools', 'postinstall', ...options, '--force-diskspace']);
    assert.equal(installed.code, 0);
    const domains = await runYunohost(root, ['domain', 'list', '--output-as', 'json']);
    assert.deepEqual(domains.json, { domains: ['new.test'], main: 'new.test' });
  });
});

describe('output forms', () => {
  it('writes JSON as Python does', () => {
    assert.equal(pythonJson({ a: [1, true, null], é: 'ü"\n' }), '{"a": [1, true, null], "\\u00e9": "\\u00fc\\"\\n"}');
  });

  it('writes plain text as moulinette does', () => {
    assert.equal(
      plainText({ key: 'value', list: [1, 2], dict: { key2: 'value2' } }),
      '#key\nvalue\n#list\n1\n2\n#dict\n##key2\nvalue2\n',
    );
    assert.equal(plainText({ archives: ['a', 'b'] }), 'a\nb\n');
  });
});
