// Access that must survive another server's system: SSH's port, ranges of ports, dynamic names.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { HostPaths } from '../../../src/yunohost/command/host-paths.ts';
import { withRestoreUmask } from '../../../src/yunohost/command/with-restore-umask.ts';
import { readOwnState } from '../../../src/yunohost/takeover/own-state.ts';
import { keepAccess, keepDomains } from '../../../src/yunohost/takeover/reach.ts';
import { sweepLeftDomains } from '../../../src/yunohost/takeover/sweep.ts';
import { regenConf } from '../double/regen-conf.ts';
import { runYunohost } from '../double/run-yunohost.ts';
import { firstFirewall, openPorts } from '../double/services.ts';
import { newRoot, smallServer } from '../double/testing.ts';
import { hostOf } from './takeover-fixture.ts';

describe('what keeps a fallback server reachable', { concurrency: 2 }, () => {
  it('opens the own SSH port before anything else: YunoHost crashes over rules that do not know it', async () => {
    const server = await smallServer({ mainDomain: 'fb.test', users: ['fbadmin'], apps: [] });
    const host = hostOf(server.root, newRoot());
    for (const words of [
      ['firewall', 'open', '2222', 'ssh'],
      ['settings', 'set', 'security.ssh.ssh_port', '--value=2222'],
      ['firewall', 'open', '7000:7010', 'range'],
    ]) {
      assert.equal((await runYunohost(server.root, words)).code, 0, words.join(' '));
    }
    const own = await readOwnState(host);
    assert.ok(own.openTcp.includes(2222) && own.openTcp.includes('7000-7010'), String(own.openTcp));
    // What a system restore brings: the other server's rules and its port.
    server.write('/etc/yunohost/firewall.yml', firstFirewall(22));
    server.write('/etc/yunohost/settings.yml', 'ssh_port: 22\n', 0o600);
    regenConf(server);
    await keepAccess(host, own);
    assert.match(server.read('/etc/ssh/sshd_config'), /^Port 2222$/m);
    assert.ok(openPorts(server, 'tcp').includes(2222) && openPorts(server, 'tcp').includes('7000-7010'));
    // Once more, and with rules that know neither port while sshd listens on the own one already.
    server.write('/etc/yunohost/firewall.yml', firstFirewall(2022));
    await keepAccess(host, own);
    assert.ok(openPorts(server, 'tcp').includes(2222));
  });

  it('neither subscribes to a dynamic name again, nor gives one back to its provider', async () => {
    const server = await smallServer({ mainDomain: 'fb.test', users: ['fbadmin'], apps: [] });
    const host = hostOf(server.root, newRoot());
    const own = await readOwnState(host);
    server.write('/etc/yunohost/dyndns/Kmain.nohost.me.+165+1234.key', 'main.nohost.me. IN KEY 0 3 165 c2VjcmV0\n');
    assert.deepEqual(await keepDomains(host, ['fb.noho.st', 'main.nohost.me']), ['fb.noho.st', 'main.nohost.me']);
    await sweepLeftDomains(host, own, []);
    assert.deepEqual((await host.yunohost.domains.list()).domains, ['fb.test']);
    assert.ok(!existsSync(server.path('/.double/given-back')), 'the name still belongs to the main server');
  });
});

describe('the folder of restore hooks', () => {
  const hooks = (paths: HostPaths): string[] => (existsSync(paths.restoreHooks) ? readdirSync(paths.restoreHooks) : []);

  it('is out of the way while a restore runs, and back afterwards with what was in it', async () => {
    const paths = new HostPaths(newRoot());
    mkdirSync(paths.restoreHooks, { recursive: true });
    writeFileSync(join(paths.restoreHooks, '50-mine'), 'mine');
    writeFileSync(join(paths.restoreHooks, '60-both'), 'mine');
    await withRestoreUmask(paths, async () => {
      assert.ok(!existsSync(paths.restoreHooks));
      // As YunoHost makes it: mode 755 in decimal.
      mkdirSync(paths.restoreHooks);
      writeFileSync(join(paths.restoreHooks, '60-both'), 'theirs');
      writeFileSync(join(paths.restoreHooks, '70-theirs'), 'theirs');
      chmodSync(paths.restoreHooks, 0o755);
    });
    assert.deepEqual(hooks(paths).sort(), ['50-mine', '60-both', '70-theirs']);
    assert.deepEqual(readdirSync(join(paths.restoreHooks, '..')), ['restore']);
  });

  it('comes back after a failure, and after a run that was killed', async () => {
    const paths = new HostPaths(newRoot());
    mkdirSync(paths.restoreHooks, { recursive: true });
    writeFileSync(join(paths.restoreHooks, '50-mine'), 'mine');
    const failure = withRestoreUmask(paths, () => Promise.reject(new Error('no restore')));
    await assert.rejects(failure, /no restore/);
    assert.deepEqual(hooks(paths), ['50-mine']);
    // Killed: what was put aside is still there, and YunoHost made the folder anew.
    mkdirSync(`${paths.restoreHooks}.kept-by-fallback`);
    writeFileSync(join(`${paths.restoreHooks}.kept-by-fallback`, '40-older'), 'older');
    await withRestoreUmask(paths, async () => undefined);
    assert.deepEqual(hooks(paths).sort(), ['40-older', '50-mine']);
    assert.equal(lstatSync(paths.restoreHooks).mode & 0o777, 0o755);
  });
});
