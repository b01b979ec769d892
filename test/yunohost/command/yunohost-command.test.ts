// Every typed call against the double, and every way in which a call can go wrong.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { HostPaths } from '../../../src/yunohost/command/host-paths.ts';
import { YunohostCommand } from '../../../src/yunohost/command/yunohost-command.ts';
import { yunohostFailure } from '../../../src/yunohost/command/yunohost-runner.ts';
import { readCalls } from '../double/call-log.ts';
import { setFaults } from '../double/faults.ts';
import { lockFile } from '../double/lock.ts';
import { seedBareServer } from '../double/seed-server.ts';
import type { Server } from '../double/server.ts';
import { archivePath, newRoot, smallServer } from '../double/testing.ts';
import { doubleCommand } from '../double-host.ts';

describe('typed calls', () => {
  let server: Server;
  let yunohost: YunohostCommand;
  before(async () => {
    server = await smallServer({ users: ['alice', 'bob'], userBytes: 10_000, moreDomains: ['more.example.org'] });
    yunohost = doubleCommand(server.root);
  });

  it('apps, users, permissions', async () => {
    const apps = await yunohost.apps.list();
    assert.deepEqual(
      apps.map(({ id, domainPath }) => [id, domainPath]),
      [
        ['demopg', 'main.test/pg'],
        ['demosql', 'main.test/sql'],
      ],
    );
    assert.equal((await yunohost.apps.map()).get('main.test/pg'), 'Demopg');
    assert.equal(await yunohost.apps.setting('demosql', 'domain'), 'main.test');
    assert.equal(await yunohost.apps.setting('demosql', 'nothing'), undefined);
    await yunohost.apps.setSetting('demosql', 'colour', '-v 1');
    assert.equal(await yunohost.apps.setting('demosql', 'colour'), '-v 1');
    assert.equal((await yunohost.apps.info('demosql'))['name'], 'Demosql');
    assert.deepEqual((await yunohost.apps.users()).map(({ username }) => username).sort(), ['alice', 'bob']);
    assert.ok((await yunohost.apps.permissions()).some(({ name }) => name === 'demosql.main'));
    await yunohost.apps.setTile('demosql.main', false);
  });

  it('domains, settings, hooks, versions, services, firewall', async () => {
    const { domains, main } = await yunohost.domains.list();
    assert.deepEqual([[...domains].sort(), main], [['main.test', 'more.example.org'], 'main.test']);
    assert.match(await yunohost.domains.suggestDns('more.example.org'), /IN A /);
    await assert.rejects(yunohost.domains.pushDns('main.test'), /special-use/);
    await assert.rejects(yunohost.domains.updateDyndns(), /No domain registered with DynDNS/);
    assert.equal(Object.keys(await yunohost.domains.certificates()).length, 2);
    assert.equal(await yunohost.server.setting('misc.backup.backup_compress_tar_archives'), 0);
    const parts = await yunohost.server.hooks('backup');
    assert.ok(parts.includes('conf_ldap') && parts.includes('data_home'));
    assert.deepEqual([...parts].sort(), parts);
    assert.equal((await yunohost.server.versions()).get('yunohost'), '12.1.25');
    assert.equal(await yunohost.server.serviceStatus('nginx'), 'running');
    await yunohost.server.openPort('tcp', 7443, 'fallback');
    assert.ok((await yunohost.server.openPorts('tcp')).includes(7443));
    await yunohost.server.closePort('tcp', 7443);
    assert.ok(!(await yunohost.server.openPorts('tcp')).includes(7443));
    await yunohost.server.regenConf(['nginx'], { force: true });
  });

  it('makes, lists, shows, restores and deletes an archive', async () => {
    const created = await yunohost.backups.create({ name: 'one', apps: ['demosql'] });
    assert.deepEqual([...created.results.apps], [['demosql', 'Success']]);
    assert.deepEqual(await yunohost.backups.list(), ['one']);
    const info = await yunohost.backups.info('one');
    assert.equal(info.fromYunohostVersion, '12.1.25');
    assert.ok((info.apps.get('demosql')?.sizeBytes ?? 0) > 10_000);
    await yunohost.apps.remove('demosql', { purge: true });
    const restored = await yunohost.backups.restore({ name: 'one', apps: ['demosql'] });
    assert.deepEqual([...restored.results.apps], [['demosql', 'Success']]);
    await yunohost.backups.delete('one');
    assert.deepEqual(await yunohost.backups.list(), []);
    await assert.rejects(yunohost.backups.delete('one'), /Unknown local backup archive/);
  });

  it('sets the locale and the lock’s time-out in every call', () => {
    for (const { argv: args } of readCalls(server.root)) {
      assert.ok(
        args.includes('--timeout') && args.includes('--output-as') && !args.includes('--quiet'),
        args.join(' '),
      );
    }
  });

  it('never asks for an empty list, which YunoHost takes for everything (D11)', async () => {
    await assert.rejects(yunohost.backups.create({ name: 'all', apps: [] }), RangeError);
    await assert.rejects(yunohost.backups.create({ name: 'all', system: [] }), RangeError);
    await assert.rejects(yunohost.backups.create({ name: 'all' }), RangeError);
    await assert.rejects(yunohost.backups.restore({ name: 'all', apps: [] }), RangeError);
  });

  it('knows a machine before its post-install', async () => {
    const bare = doubleCommand(seedBareServer(newRoot()).root);
    assert.equal(await bare.isInstalled(), false);
    assert.equal(await yunohost.isInstalled(), true);
    assert.deepEqual(await bare.backups.list(), []);
    const error = await bare.apps.list().catch((thrown: unknown) => thrown);
    assert.equal(yunohostFailure(error)?.reason, 'not-installed');
  });
});

describe('calls that go wrong', () => {
  let server: Server;
  before(async () => {
    server = await smallServer({ users: ['alice'], userBytes: 10_000 });
  });
  beforeEach(() => setFaults(server.root, []));
  const failing = async (work: Promise<unknown>): Promise<unknown> =>
    await work.then(
      () => assert.fail('it did not fail'),
      (error: unknown) => error,
    );

  it('exit code 0 although an app failed: the results say so', async () => {
    setFaults(server.root, [{ match: '^backup create', kind: 'app-fails', app: 'demosql' }]);
    const created = await doubleCommand(server.root).backups.create({ name: 'half', apps: ['demosql', 'demopg'] });
    assert.equal(created.results.apps.get('demosql'), 'Error');
    assert.equal(created.results.apps.get('demopg'), 'Success');
    assert.ok(created.errors.some(({ level, text }) => level === 'ERROR' && text.includes('demosql')));
    await doubleCommand(server.root).backups.delete('half');
  });

  it('refusal, crash, junk, no answer: each by its reason, with what was said', async () => {
    const yunohost = doubleCommand(server.root);
    setFaults(server.root, [{ match: '^app list', kind: 'fail', message: 'no luck today' }]);
    let error = await failing(yunohost.apps.list());
    assert.ok(isFallbackError(error, 'YUNOHOST_FAILED'));
    assert.match(error.message, /no luck today/);
    assert.deepEqual(yunohostFailure(error)?.reason, 'refused');
    setFaults(server.root, [{ match: '^app list', kind: 'traceback', message: 'boom' }]);
    error = await failing(yunohost.apps.list());
    assert.equal(yunohostFailure(error)?.reason, 'crashed');
    assert.equal(yunohostFailure(error)?.traceback, 'RuntimeError: boom');
    for (const kind of ['junk', 'no-json'] as const) {
      setFaults(server.root, [{ match: '^(app list|backup create)', kind }]);
      assert.equal(yunohostFailure(await failing(yunohost.apps.list()))?.reason, 'answer');
      const junk = await failing(yunohost.backups.create({ name: `x-${kind}`, apps: ['demosql'] }));
      assert.equal(yunohostFailure(junk)?.reason, 'answer');
    }
    setFaults(server.root, [{ match: '^backup create', kind: 'kill', at: 'dump' }]);
    error = await failing(yunohost.backups.create({ name: 'killed', apps: ['demosql'] }));
    assert.equal(yunohostFailure(error)?.reason, 'killed');
    error = await failing(yunohost.run(['backup', 'nonsense']));
    assert.equal(yunohostFailure(error)?.reason, 'usage');
  });

  it('a full disk is DISK_FULL, whether refused before or met while writing', async () => {
    setFaults(server.root, [{ match: '^backup create', kind: 'no-space' }]);
    const error = await failing(doubleCommand(server.root).backups.create({ name: 'full', apps: ['demosql'] }));
    assert.ok(isFallbackError(error, 'DISK_FULL'));
    assert.ok(existsSync(archivePath(server.root, 'full.tar')), 'YunoHost leaves half a tar: the caller cleans it');
    rmSync(archivePath(server.root, 'full.tar'));
  });

  it('no such program', async () => {
    const yunohost = new YunohostCommand({ program: '/nonexistent/yunohost', paths: new HostPaths(), environment: {} });
    assert.ok(isFallbackError(await failing(yunohost.apps.list()), 'YUNOHOST_MISSING'));
  });

  it('a lock that stays: tried twice, then busy, and never touched', async () => {
    const lock = join(server.root, lockFile);
    mkdirSync(dirname(lock), { recursive: true });
    const holder = spawn('sleep', ['60'], { stdio: 'ignore' });
    writeFileSync(lock, String(holder.pid));
    const before = readCalls(server.root).length;
    const error = await failing(
      doubleCommand(server.root, { lockTimeoutSeconds: 0 }).backups.create({ name: 'busy', apps: ['demosql'] }),
    );
    assert.ok(isFallbackError(error, 'YUNOHOST_BUSY'));
    assert.equal(error.exitCode, 10);
    assert.equal(readCalls(server.root).length, before + 2);
    assert.equal(readFileSync(lock, 'utf8'), String(holder.pid));
    holder.kill();
    rmSync(lock);
  });

  it('a hung dump: its whole process group ends when the time is up, or when we are told to stop', async () => {
    setFaults(server.root, [{ match: '^backup create', kind: 'hang', at: 'dump' }]);
    const yunohost = doubleCommand(server.root, { lockTimeoutSeconds: 0 });
    const request = { name: 'hung', apps: ['demosql'] };
    const noted = (): number => readCalls(server.root).length;
    const before = noted();
    const error = await failing(yunohost.backups.create(request, { timeLimitMs: 1_500 }));
    assert.ok(isFallbackError(error, 'YUNOHOST_TIMEOUT'));
    const timedOut = noted();
    const controller = new AbortController();
    const reason = new Error('stop');
    const call = failing(yunohost.backups.create(request, { signal: controller.signal }));
    // On a busy machine a call may take seconds until it has begun; the first may not even have come that far.
    while (noted() === timedOut) await sleep(20);
    await sleep(500);
    controller.abort(reason);
    assert.equal(await call, reason);
    const hung = readCalls(server.root).slice(before);
    assert.ok(hung.length >= 1 && hung.length <= 2);
    for (const { pid, code } of hung) {
      assert.equal(code, undefined);
      assert.ok(!existsSync(`/proc/${pid}`), 'it is gone');
    }
  });
});
