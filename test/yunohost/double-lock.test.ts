// Section 1, the lock: a file with a process id, waited for by all but GET commands.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { setFaults } from './double/faults.ts';
import { lockFile } from './double/lock.ts';
import { type Ran, runYunohost } from './double/run-yunohost.ts';
import { smallServer } from './double/testing.ts';

const oneApp = { apps: [], users: ['alice'] };

/** The lock file is there a moment before it says whose it is, as the genuine one. */
async function isLocked(root: string): Promise<void> {
  while (!existsSync(root + lockFile) || readFileSync(root + lockFile, 'utf8') === '') await setTimeout(10);
}

async function logSays(root: string, words: string): Promise<void> {
  const log = `${root}/var/log/yunohost/yunohost-cli.log`;
  while (!existsSync(log) || !readFileSync(log, 'utf8').includes(words)) await setTimeout(10);
}

describe('the lock (section 1)', { concurrency: 5 }, () => {
  it('blocks other commands, not GET ones, and is given back', async () => {
    const { root } = await smallServer(oneApp);
    const gate = `${root}/tmp/gate`;
    writeFileSync(gate, '');
    setFaults(root, [{ match: '^backup create', kind: 'hold', at: 'locked', file: '/tmp/gate' }]);
    const holder = runYunohost(root, ['backup', 'create', '-n', 'slow', '--system', 'conf_ldap']);
    await isLocked(root);
    let answers: readonly [Ran, Ran];
    try {
      answers = await Promise.all([
        runYunohost(root, ['app', 'list', '--output-as', 'json']),
        runYunohost(root, ['settings', 'set', 'security.ssh.ssh_port', '-v', '2222', '--timeout', '0']),
      ]);
    } finally {
      rmSync(gate);
    }
    const [read, refused] = answers;
    assert.equal(read.code, 0, read.stderr);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^ERROR There is already a YunoHost operation running\. Please wait/);
    assert.equal((await holder).code, 0);
    assert.equal(existsSync(root + lockFile), false);
  });

  it('is waited for without limit, with a warning after a while', async () => {
    const { root } = await smallServer(oneApp);
    const gate = `${root}/tmp/gate`;
    writeFileSync(gate, '');
    setFaults(root, [{ match: '^backup create', kind: 'hold', at: 'locked', file: '/tmp/gate' }]);
    const holder = runYunohost(root, ['backup', 'create', '-n', 'slow', '--system', 'conf_ldap']);
    await isLocked(root);
    const environment = { YUNOHOST_DOUBLE_LOCK_WARNING_MS: '1' };
    const waiting = runYunohost(root, ['settings', 'set', 'misc.backup.backup_compress_tar_archives', '-v', '1'], {
      environment,
    });
    await logSays(root, 'Another YunoHost command');
    rmSync(gate);
    const waited = await waiting;
    assert.equal(waited.code, 0, waited.stderr);
    assert.match(waited.stderr, /^WARNING Another YunoHost command is running right now, we are waiting/);
    assert.match(waited.stderr, /The other command just completed, now starting this command/);
    await holder;
  });

  it('of a dead process is taken over at the first look', async () => {
    const { root } = await smallServer(oneApp);
    writeFileSync(root + lockFile, '4194999');
    const ran = await runYunohost(root, ['settings', 'set', 'security.ssh.ssh_port', '-v', '22', '--timeout', '1']);
    assert.equal(ran.code, 0, ran.stderr);
  });

  it('of a holder killed while we wait is never noticed', async () => {
    const { root } = await smallServer(oneApp);
    const holder = spawn('sleep', ['60']);
    writeFileSync(root + lockFile, String(holder.pid));
    const waiting = runYunohost(root, ['settings', 'set', 'security.ssh.ssh_port', '-v', '22', '--timeout', '1'], {
      environment: { YUNOHOST_DOUBLE_LOCK_WARNING_MS: '1' },
    });
    await logSays(root, 'Another YunoHost command');
    holder.kill('SIGKILL');
    const ran = await waiting;
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /There is already a YunoHost operation running/);
    assert.equal(readFileSync(root + lockFile, 'utf8'), String(holder.pid));
  });

  it('stays behind when its holder is killed, and does not stop the next command', async () => {
    const { root } = await smallServer(oneApp);
    setFaults(root, [{ match: '^backup create', kind: 'kill', at: 'collected', nth: 1 }]);
    const killed = await runYunohost(root, ['backup', 'create', '-n', 'x', '--system', 'conf_ldap']);
    assert.equal(killed.signal, 'SIGKILL');
    assert.equal(existsSync(root + lockFile), true);
    assert.equal(existsSync(`${root}/home/yunohost.backup/tmp/x/backup.csv`), false);
    assert.equal(existsSync(`${root}/home/yunohost.backup/tmp/x/conf/ldap`), true);
    const next = await runYunohost(root, ['backup', 'create', '-n', 'x', '--system', 'conf_ldap', '--timeout', '1']);
    assert.equal(next.code, 0);
  });
});
