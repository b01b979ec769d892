// Faults that tests order (double/README.md), and what a killed command leaves behind.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { before, beforeEach, describe, it } from 'node:test';
import { readCalls } from './double/call-log.ts';
import { setFaults } from './double/faults.ts';
import { lockFile } from './double/lock.ts';
import { runYunohost } from './double/run-yunohost.ts';
import type { Server } from './double/server.ts';
import { archivePath, demoSql, smallServer } from './double/testing.ts';

describe('faults', () => {
  let server: Server;
  const list = () => runYunohost(server.root, ['app', 'list', '--output-as', 'json']);
  before(async () => {
    server = await smallServer({ apps: [demoSql], users: ['alice'], userBytes: 10_000 });
  });
  beforeEach(() => setFaults(server.root, []));

  it('fail, traceback and exit-code end a call badly', async () => {
    setFaults(server.root, [{ match: '^app list', kind: 'fail', message: 'no luck' }]);
    const failed = await list();
    assert.deepEqual([failed.code, failed.stdout, failed.stderr], [1, '', 'ERROR no luck\n']);
    setFaults(server.root, [{ match: '^app list', kind: 'traceback' }]);
    const crashed = await list();
    assert.equal(crashed.code, 1);
    assert.match(crashed.stderr, /^Traceback \(most recent call last\):[\s\S]*\nRuntimeError: ordered by a test\n$/);
    setFaults(server.root, [{ match: '^app list', kind: 'exit-code', code: 3 }]);
    const odd = await list();
    assert.equal(odd.code, 3);
    assert.ok(odd.json);
  });

  it('junk and no-json spoil what is printed, after the work was done', async () => {
    setFaults(server.root, [{ match: '^app list', kind: 'junk', text: '{"apps": [' }]);
    assert.deepEqual((await list()).stdout, '{"apps": [\n');
    setFaults(server.root, [{ match: '^app list', kind: 'no-json' }]);
    assert.deepEqual([(await list()).stdout, (await list()).code], ['', 0]);
  });

  it('strike at the nth matching call only, and by the environment too', async () => {
    setFaults(server.root, [{ match: '^app list', kind: 'fail', nth: 2 }]);
    const codes = [(await list()).code, (await list()).code, (await list()).code];
    assert.deepEqual(codes, [0, 1, 0]);
    const environment = { YUNOHOST_DOUBLE_FAULTS: JSON.stringify([{ match: 'domain', kind: 'fail' }]) };
    assert.equal((await runYunohost(server.root, ['domain', 'list'], { environment })).code, 1);
  });

  it('hang holds a call, and its lock, until it is killed; the call log says so', async () => {
    setFaults(server.root, [{ match: '^backup create', kind: 'hang', at: 'dump' }]);
    const hung = await runYunohost(server.root, ['backup', 'create', '-n', 'hung', '--apps'], {
      killWhen: () => server.has('/home/yunohost.backup/tmp/hung/apps/demosql/settings/settings.yml'),
    });
    assert.equal(hung.signal, 'SIGKILL');
    assert.equal(existsSync(server.path(lockFile)), true);
    assert.equal(readCalls(server.root).at(-1)?.code, undefined);
  });

  it('kill leaves what the genuine program leaves: work folder, half a tar, half a restore', async () => {
    setFaults(server.root, [{ match: '^backup create', kind: 'kill', at: 'archive-content', hit: 6 }]);
    const created = await runYunohost(server.root, ['backup', 'create', '-n', 'killed', '--apps']);
    assert.equal(created.signal, 'SIGKILL');
    assert.equal(existsSync(archivePath(server.root, 'killed.tar')), true);
    assert.equal(existsSync(archivePath(server.root, 'killed.info.json')), false);
    assert.equal(existsSync(server.path('/home/yunohost.backup/tmp/killed/backup.csv')), true);
    setFaults(server.root, []);
    await runYunohost(server.root, ['backup', 'create', '-n', 'whole', '--apps']);
    await runYunohost(server.root, ['app', 'remove', 'demosql']);
    setFaults(server.root, [{ match: '^backup restore', kind: 'kill', at: 'app-settings-restored' }]);
    await runYunohost(server.root, ['backup', 'restore', 'whole', '--apps']);
    setFaults(server.root, []);
    const again = await runYunohost(server.root, ['backup', 'restore', 'whole', '--apps']);
    assert.match(again.stderr, /already installed: demosql/);
    assert.equal((await runYunohost(server.root, ['app', 'remove', 'demosql', '--purge'])).code, 0);
    assert.equal((await runYunohost(server.root, ['backup', 'restore', 'whole', '--apps'])).code, 0);
  });
});
