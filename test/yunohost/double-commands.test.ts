// Section 7: the other commands, each as far as a caller sees it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { publishedZone } from './double/dns.ts';
import { runYunohost } from './double/run-yunohost.ts';
import { writePackage } from './double/seed-apps.ts';
import { readServerState } from './double/seed-server.ts';
import type { Server } from './double/server.ts';
import { demoSql, smallServer } from './double/testing.ts';

describe('other commands (section 7)', () => {
  let server: Server;
  const json = (...args: string[]) => runYunohost(server.root, [...args, '--output-as', 'json']);
  before(async () => {
    server = await smallServer({ apps: [demoSql], users: ['alice'], userBytes: 10_000, mainDomain: 'main.test' });
  });

  it('app list, info, map, setting', async () => {
    const row = {
      id: 'demosql',
      name: 'Demosql',
      description: 'The app demosql of a test',
      version: '1.0~ynh1',
      domain_path: 'main.test/sql',
    };
    assert.deepEqual((await json('app', 'list')).json, { apps: [row] });
    assert.deepEqual((await json('app', 'info', 'demosql')).json, row);
    const full = (await json('app', 'info', 'demosql', '--full')).json as {
      settings: { db_pwd: string };
      permissions: object;
    };
    assert.ok(full.settings.db_pwd.length > 5);
    assert.deepEqual(Object.keys(full.permissions), ['demosql.main']);
    assert.deepEqual((await json('app', 'map')).json, { 'main.test/sql': 'Demosql' });
    assert.equal((await json('app', 'setting', 'demosql', 'domain')).stdout, '"main.test"\n');
    assert.equal((await json('app', 'setting', 'demosql', 'nothing')).stdout, '');
    await json('app', 'setting', 'demosql', 'do_not_backup_data', '-v', '1');
    assert.equal((await json('app', 'setting', 'demosql', 'do_not_backup_data')).stdout, '"1"\n');
    assert.match(
      (await json('app', 'info', 'nothing')).stderr,
      /ERROR Could not find nothing in the list of installed apps/,
    );
  });

  it('app install from a folder, with the hooks it ships; remove keeps the data unless purged', async () => {
    const shape = {
      id: 'box',
      domain: 'main.test',
      path: '/box',
      showTile: false,
      files: { 'hooks/05-backup_method': 'true\n' },
    };
    const folder = writePackage(server, shape);
    const installed = await json(
      'app',
      'install',
      folder,
      '-a',
      'domain=main.test&path=/box&init_main_permission=visitors',
      '--force',
    );
    assert.equal(installed.code, 0, installed.stderr);
    assert.equal(server.has('/etc/yunohost/hooks.d/backup_method/05-box'), true);
    const clash = await json('app', 'install', folder, '-a', 'domain=main.test&path=/box');
    assert.match(clash.stderr, /This URL is either unavailable, or conflicts/);
    assert.equal(server.has('/etc/yunohost/apps/box__2'), false);
    server.write('/home/yunohost.app/box/kept.txt', 'kept\n');
    const removed = await json('app', 'remove', 'box');
    assert.deepEqual([removed.code, removed.stdout.includes('{')], [0, false]);
    assert.equal(server.has('/etc/yunohost/hooks.d/backup_method/05-box'), false);
    assert.match(readServerState(server.root, ['apps']).get('/home/yunohost.app/box')?.owner ?? '', /^#\d+:#\d+$/);
    await json('app', 'install', folder, '-a', 'domain=main.test&path=/box&init_main_permission=visitors');
    await json('app', 'remove', 'box', '--purge');
    assert.equal(server.has('/home/yunohost.app/box'), false);
  });

  it('domain add, list, main-domain, cert, remove', async () => {
    assert.equal((await json('domain', 'add', 'sub.main.test')).code, 0);
    assert.match((await json('domain', 'add', 'sub.main.test')).stderr, /ERROR The domain already exists/);
    assert.match((await json('domain', 'add', 'no domain')).stderr, /Invalid argument 'domain'/);
    assert.deepEqual((await json('domain', 'list')).json, {
      domains: ['main.test', 'sub.main.test'],
      main: 'main.test',
    });
    assert.deepEqual((await json('domain', 'main-domain')).json, { current_main_domain: 'main.test' });
    await json('domain', 'main-domain', '-n', 'sub.main.test');
    assert.deepEqual((await json('domain', 'main-domain')).json, { current_main_domain: 'sub.main.test' });
    await json('domain', 'main-domain', '-n', 'main.test');
    assert.equal((await json('domain', 'cert', 'install', 'sub.main.test')).code, 0);
    const { certificates } = (await json('domain', 'cert', 'status', 'sub.main.test')).json as {
      certificates: Record<string, { CA_type: string }>;
    };
    assert.equal(certificates['sub.main.test']?.CA_type, 'letsencrypt');
    assert.match((await json('domain', 'cert', 'install', 'nowhere.test')).stderr, /Domain 'nowhere\.test' unknown/);
    assert.match((await json('domain', 'remove', 'main.test')).stderr, /main domain/);
    assert.equal((await json('domain', 'remove', 'sub.main.test')).code, 0);
  });

  it('domain dns push and suggest; a special TLD is refused', async () => {
    const special = await json('domain', 'dns', 'push', 'main.test');
    assert.equal(special.code, 1);
    assert.match(special.stderr, /special-use top-level domain/);
    server.write('/.double/test-tld-is-ordinary', '');
    const zone = (await json('domain', 'dns', 'suggest', 'main.test')).json;
    assert.match(String(zone), /^; Basic ipv4\/ipv6 records\n@ 3600 IN A 203\.0\.113\.10\n/);
    const dry = (await json('domain', 'dns', 'push', 'main.test', '--dry-run')).json as { create: unknown[] };
    assert.ok(dry.create.length > 3);
    assert.deepEqual(publishedZone(server, 'main.test'), []);
    assert.deepEqual((await json('domain', 'dns', 'push', 'main.test')).json, {});
    assert.equal(publishedZone(server, 'main.test')[0]?.content, '203.0.113.10');
    await json('domain', 'add', 'plain.test');
    assert.match((await json('domain', 'dns', 'push', 'plain.test')).stderr, /not applicable to domain plain\.test/);
  });

  it('dyndns update needs a key', async () => {
    assert.match((await json('dyndns', 'update')).stderr, /^ERROR No domain registered with DynDNS$/m);
    server.write('/etc/yunohost/dyndns/Kmine.nohost.me.+165+1.key', 'key\n');
    assert.match((await json('dyndns', 'update')).stdout, /SUCCESS Updated your IP on DynDNS/);
    assert.match((await json('dyndns', 'update')).stdout, /INFO No update needed/);
    server.write('/.double/public-ip', '{"ipv4":"198.51.100.7","ipv6":null}');
    await json('dyndns', 'update', '--force');
    assert.equal(publishedZone(server, 'mine.nohost.me')[0]?.content, '198.51.100.7');
  });

  it('user list, permission list and update', async () => {
    const { users } = (await json('user', 'list')).json as { users: Record<string, unknown> };
    assert.deepEqual(users['alice'], {
      username: 'alice',
      fullname: 'alice Admin',
      mail: 'alice@main.test',
      'mailbox-quota': '0',
    });
    const { permissions } = (await json('user', 'permission', 'list')).json as { permissions: Record<string, unknown> };
    assert.deepEqual(permissions['demosql.main'], { label: 'Demosql', url: '/', allowed: ['visitors', 'all_users'] });
    await json('user', 'permission', 'update', 'demosql.main', '--show_tile', 'False');
    assert.match(server.read('/etc/yunohost/apps/demosql/settings.yml'), /show_tile: false/);
    assert.match(
      (await json('user', 'permission', 'update', 'nothing.main', '-l', 'x')).stderr,
      /Permission 'nothing\.main' not found/,
    );
  });

  it('service, firewall, settings, hooks, regen-conf, logs', async () => {
    await json('service', 'add', 'fallback', '--description', 'x');
    assert.equal(((await json('service', 'status', 'fallback')).json as { status: string }).status, 'running');
    assert.equal((await json('service', 'remove', 'fallback')).code, 0);
    assert.match((await json('service', 'status', 'fallback')).stderr, /Unknown service 'fallback'/);
    assert.equal((await json('service', 'stop', 'nginx', 'postfix')).code, 0);
    assert.match((await json('service', 'reload', 'nginx')).stderr, /Could not reload the service 'nginx'/);
    assert.equal((await json('service', 'start', 'nginx', 'postfix')).code, 0);
    assert.equal((await json('service', 'reload', 'nginx')).code, 0);
    await json('firewall', 'open', '8443');
    assert.ok(((await json('firewall', 'list')).json as { tcp: number[] }).tcp.includes(8443));
    assert.match((await json('settings', 'get', 'no.such.key')).stderr, /doesn't exist/);
    const { hooks } = (await json('hook', 'list', 'backup')).json as { hooks: string[] };
    assert.equal(hooks.length, 7);
    server.write('/etc/nginx/conf.d/main.test.conf', 'mine\n');
    const regen = await json('tools', 'regen-conf', 'nginx');
    assert.match(regen.stderr, /manually modified and will not be updated/);
    assert.equal(server.read('/etc/nginx/conf.d/main.test.conf'), 'mine\n');
    await json('tools', 'regen-conf', 'nginx', '--force');
    assert.match(server.read('/etc/nginx/conf.d/main.test.conf'), /server_name main\.test/);
    const { operation } = (await json('log', 'list')).json as { operation: { name: string }[] };
    assert.ok(operation.some(({ name }) => name.endsWith('-app_install')));
    assert.ok(readFileSync(server.path('/var/log/yunohost/yunohost-cli.log'), 'utf8').length > 100);
  });
});
