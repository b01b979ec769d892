// The seeded servers themselves: the same seed gives the same server, days differ, owners work without root too.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { dumpMysql, dumpPostgres, loadMysql, loadPostgres, type Table } from './double/databases.ts';
import { chownDouble, runYunohost } from './double/run-yunohost.ts';
import { compareServers, liveOneDay, readServerState, seedBareServer } from './double/seed-server.ts';
import { carryArchive, demoPg, demoSql, newRoot, smallServer } from './double/testing.ts';
import { formatYaml, parseYaml } from './double/yaml.ts';

describe('seeded servers', () => {
  it('of one seed agree in everything that users own; a day changes what it says', async () => {
    const userIds = { alice: 20001, bob: 20002 };
    const [first, second] = await Promise.all([smallServer({ userIds }), smallServer({ userIds })]);
    const picture = (root: string) => readServerState(root, ['homes', 'mail', 'databases']);
    assert.deepEqual(compareServers(picture(first.root), picture(second.root)), []);
    liveOneDay(first, { day: 1, seed: 1, users: ['alice'], apps: [demoSql], photos: 1, mails: 1 });
    const changes = compareServers(picture(first.root), picture(second.root));
    assert.deepEqual(changes, [
      '/home/alice/documents/letter-0.txt: content differs',
      '/home/alice/photos/day-1: only in the first',
      '/home/alice/photos/day-1/photo-0.jpg: only in the first',
      '/var/lib/mysql/demosql.rows: content differs',
      '/var/mail/alice/new/1758296244.M0.host: only in the first',
    ]);
    liveOneDay(second, { day: 1, seed: 1, users: ['alice'], apps: [demoSql], photos: 1, mails: 1 });
    assert.deepEqual(compareServers(picture(first.root), picture(second.root)), []);
  });
});

describe('owners without root', () => {
  const before = process.env['YUNOHOST_DOUBLE_SIDECAR'];
  process.env['YUNOHOST_DOUBLE_SIDECAR'] = '1';
  after(() => {
    if (before === undefined) delete process.env['YUNOHOST_DOUBLE_SIDECAR'];
    else process.env['YUNOHOST_DOUBLE_SIDECAR'] = before;
  });

  it('live in a sidecar file, through backup, restore and chown', async () => {
    process.env['YUNOHOST_DOUBLE_SIDECAR'] = '1';
    const source = await smallServer({ apps: [demoPg], userIds: { bob: 23456 } });
    await runYunohost(source.root, ['backup', 'create', '-n', 'full']);
    const { root } = seedBareServer(newRoot());
    carryArchive(source.root, root, 'full');
    assert.equal((await runYunohost(root, ['backup', 'restore', 'full'])).code, 0);
    const areas = ['homes', 'mail', 'apps', 'databases', 'ldap'] as const;
    const ignore = [/^\/home\/tmpadmin/];
    assert.deepEqual(compareServers(readServerState(source.root, areas), readServerState(root, areas), { ignore }), []);
    assert.equal(readServerState(root, ['homes']).get('/home/bob/latest')?.owner, 'bob:bob');
    await runYunohost(root, ['-R', 'www-data:', `${root}/home/bob`], { program: chownDouble });
    assert.equal(readServerState(root, ['homes']).get('/home/bob/latest')?.owner, 'www-data:www-data');
  });
});

describe('texts that travel in archives', () => {
  const tables: Table[] = [
    {
      name: 'odd',
      columns: ['a', 'b'],
      rows: [
        [1, "it's; (a), \\ \n\r\0 NULL"],
        [-2.5, null],
        [3, ''],
        [4, "\t'x'\\N"],
      ],
    },
    { name: 'empty', columns: ['only'], rows: [] },
  ];

  it('dumps load into the same rows, and a truncated dump does not load', () => {
    const mysql = dumpMysql(tables);
    assert.deepEqual(loadMysql(mysql), tables);
    assert.throws(() => loadMysql(mysql.slice(0, -30)));
    const postgres = dumpPostgres(tables);
    assert.deepEqual(loadPostgres(postgres), tables);
    assert.throws(() => loadPostgres(postgres.slice(0, -60)));
  });

  it('YAML comes back as it was', () => {
    const value = {
      a: 'yes',
      b: true,
      c: null,
      d: [],
      e: ['x: y', "it's", '12'],
      f: { g: { h: 1 }, i: {} },
      'key: odd': '',
      j: 'é\n',
    };
    assert.deepEqual(parseYaml(formatYaml(value)), value);
  });
});
