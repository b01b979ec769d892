// Section 6, the traps on a fallback server that already runs YunoHost under its own domain.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { servesDomain } from './double/domains.ts';
import { copyTree } from './double/files.ts';
import { chownDouble, runYunohost } from './double/run-yunohost.ts';
import { type AppShape, readServerState, seedServer } from './double/seed-server.ts';
import { Server } from './double/server.ts';
import { carryArchive, demoPg, demoSql, newRoot, smallServer } from './double/testing.ts';

const json = (root: string, ...args: string[]) => runYunohost(root, [...args, '--output-as', 'json']);
const store = (showTile: boolean): AppShape => ({
  id: 'fbstore',
  domain: 'fb.test',
  path: '/store',
  showTile,
  sizeBytes: 5000,
});
const hidden: AppShape = { id: 'notes', domain: 'main.test', sizeBytes: 5000 };

describe('the traps of a fallback server (section 6)', { concurrency: 4 }, () => {
  let main: Server;
  before(async () => {
    main = await smallServer({ userIds: { bob: 32489 }, apps: [demoSql, demoPg, hidden], userBytes: 10_000 });
    await json(main.root, 'backup', 'create', '-n', 'system', '--system');
    await json(main.root, 'backup', 'create', '-n', 'apps', '--apps');
    await json(main.root, 'backup', 'create', '-n', 'full');
  });
  const models = new Map<boolean, Server>();
  const fallback = async (showTile: boolean): Promise<Server> => {
    const shape = {
      seed: 9,
      mainDomain: 'fb.test',
      users: ['fbadmin', 'bob'],
      userIds: { bob: 33235 },
      userBytes: 5000,
    };
    const model = models.get(showTile) ?? (await seedServer({ ...shape, root: newRoot(), apps: [store(showTile)] }));
    models.set(showTile, model);
    const server = new Server({ root: newRoot() });
    copyTree(server, model.root, server.root);
    for (const name of ['system', 'apps', 'full']) carryArchive(main.root, server.root, name);
    return server;
  };

  it('1: an app on an unknown domain stays as a zombie and stops all apps after it', async () => {
    const { root } = await fallback(false);
    const ran = await json(root, 'backup', 'restore', 'apps', '--apps', 'demosql', 'demopg');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /WARNING Failed to provision permissions : Domain 'main\.test' unknown/);
    assert.match(
      ran.stderr,
      /ERROR The following critical error happened during restoration: Domain 'main\.test' unknown/,
    );
    const list = (await json(root, 'app', 'list')).json as { apps: { id: string }[] };
    assert.deepEqual(
      list.apps.map((app) => app.id),
      ['demosql', 'fbstore'],
    );
    const again = await json(root, 'backup', 'restore', 'apps', '--apps', 'demosql');
    assert.match(again.stderr, /already installed: demosql/);
    assert.equal((await json(root, 'app', 'remove', 'demosql', '--purge')).code, 0);
    assert.equal((await json(root, 'domain', 'add', 'main.test')).code, 0);
    const cured = await json(root, 'backup', 'restore', 'apps', '--apps', 'demosql');
    assert.deepEqual((cured.json as { apps: object }).apps, { demosql: 'Success' });
  });

  it('2: a system restore replaces LDAP: own domain, users and nginx file are gone, the folder stays', async () => {
    const server = await fallback(false);
    const ran = await json(server.root, 'backup', 'restore', 'system', '--system', '--force');
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stderr, /^ERROR Failed to read info for fbstore : Domain 'fb\.test' unknown$/m);
    assert.deepEqual((await json(server.root, 'domain', 'list')).json, { domains: ['main.test'], main: 'main.test' });
    const users = (await json(server.root, 'user', 'list')).json as { users: object };
    assert.deepEqual(Object.keys(users.users), ['alice', 'bob']);
    assert.equal(servesDomain(server, 'fb.test'), false);
    assert.equal(server.has('/etc/nginx/conf.d/fb.test.d/fbstore.conf'), true);
    assert.equal((await json(server.root, 'domain', 'add', 'fb.test')).code, 0);
    assert.equal(servesDomain(server, 'fb.test'), true);
  });

  it('3: a visible tile on the lost domain crashes this restore and every later one, until the domain is back', async () => {
    const server = await fallback(true);
    const ran = await json(server.root, 'backup', 'restore', 'full', '--force');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /Traceback[\s\S]*\nStopIteration\n/);
    assert.equal(ran.stdout.includes('Restoring demosql'), false);
    assert.deepEqual((await json(server.root, 'domain', 'list')).json, { domains: ['main.test'], main: 'main.test' });
    const later = await json(server.root, 'backup', 'restore', 'apps', '--apps', 'notes');
    assert.match(later.stderr, /StopIteration/);
    const before = readFileSync(server.path('/etc/yunohost/certs/fb.test/crt.pem'), 'utf8');
    assert.equal((await json(server.root, 'domain', 'add', 'fb.test')).code, 0);
    assert.notEqual(readFileSync(server.path('/etc/yunohost/certs/fb.test/crt.pem'), 'utf8'), before);
    await json(server.root, 'app', 'remove', 'notes', '--purge');
    assert.equal((await json(server.root, 'backup', 'restore', 'apps', '--apps', 'notes')).code, 0);
  });

  it('3: with show_tile false the same full restore passes', async () => {
    const { root } = await fallback(true);
    const update = await json(root, 'user', 'permission', 'update', 'fbstore.main', '--show_tile', 'False');
    assert.equal(update.code, 0);
    const ran = await json(root, 'backup', 'restore', 'full', '--force');
    assert.equal(ran.code, 0, ran.stderr);
    const { apps } = ran.json as { apps: Record<string, string> };
    assert.deepEqual(new Set(Object.values(apps)), new Set(['Success']));
  });

  it('4 and 5: domains/domains and portal/portal, and homes with the fallback’s own number', async () => {
    const server = await fallback(false);
    await json(server.root, 'backup', 'restore', 'system', '--system', '--force');
    assert.equal(server.has('/etc/yunohost/domains/domains/main.test.yml'), true);
    assert.equal(server.has('/etc/yunohost/domains/main.test.yml'), false);
    assert.equal(server.has('/etc/yunohost/portal/portal/main.test.json'), true);
    const push = await json(server.root, 'domain', 'dns', 'push', 'main.test');
    assert.equal(push.code, 1);
    const home = () => readServerState(server.root, ['homes']).get('/home/bob/photos');
    assert.equal(home()?.owner, '#33235:#33235');
    assert.equal(readServerState(server.root, ['homes']).get('/home/alice/photos')?.owner, 'alice:alice');
    const chown = await runYunohost(server.root, ['-R', 'bob:bob', server.path('/home/bob')], { program: chownDouble });
    assert.equal(chown.code, 0, chown.stderr);
    assert.equal(home()?.owner, 'bob:bob');
  });

  it('6: mail belongs to vmail again; what was in the homes stays', async () => {
    const server = await fallback(false);
    server.write('/home/bob/own.txt', 'own\n');
    await json(server.root, 'backup', 'restore', 'system', '--system', '--force');
    assert.equal(readServerState(server.root, ['mail']).get('/var/mail/alice/cur')?.owner, 'vmail:mail');
    assert.equal(server.has('/home/bob/own.txt'), true);
    assert.equal(server.has('/home/fbadmin'), true);
  });

  it('7: apps alone work once the domain is added, and their users are not there', async () => {
    const { root } = await fallback(false);
    await json(root, 'domain', 'add', 'main.test');
    assert.equal((await json(root, 'backup', 'restore', 'apps', '--apps')).code, 0);
    assert.equal(JSON.stringify((await json(root, 'user', 'list')).json).includes('alice'), false);
  });

  it('8 and 9: firewall, settings and DynDNS keys of the main server come along', async () => {
    await json(main.root, 'settings', 'set', 'security.ssh.ssh_port', '-v', '2222');
    await json(main.root, 'firewall', 'open', '2222');
    main.write('/etc/yunohost/dyndns/Kmain.nohost.me.+165+1234.key', 'key\n', 0o600);
    await json(main.root, 'backup', 'create', '-n', 'ports', '--system');
    const server = await fallback(false);
    carryArchive(main.root, server.root, 'ports');
    await json(server.root, 'firewall', 'open', '8443');
    await json(server.root, 'backup', 'restore', 'ports', '--system', '--force');
    assert.match(server.read('/etc/ssh/sshd_config'), /^Port 2222$/m);
    const ports = ((await json(server.root, 'firewall', 'list')).json as { tcp: number[] }).tcp;
    assert.equal(ports.includes(2222), true);
    assert.equal(ports.includes(8443), false);
    assert.equal(existsSync(server.path('/etc/yunohost/dyndns/Kmain.nohost.me.+165+1234.key')), true);
  });
});
