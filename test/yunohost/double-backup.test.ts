// Sections 2 to 4: `backup create`, the archive it leaves, `list`, `info`, `delete`.
import assert from 'node:assert/strict';
import { existsSync, lstatSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { setFaults } from './double/faults.ts';
import { sizeOfTree } from './double/files.ts';
import { setRoom } from './double/free-space.ts';
import { runYunohost } from './double/run-yunohost.ts';
import { seedServer } from './double/seed-server.ts';
import type { Server } from './double/server.ts';
import { listMembers } from './double/tar-read.ts';
import { archivePath, demoSql, memberNames, newRoot, smallServer } from './double/testing.ts';

describe('archives of the double', { concurrency: 4 }, () => {
  describe('backup create (section 2)', { concurrency: 1 }, () => {
    let server: Server;
    const run = (...args: string[]) => runYunohost(server.root, [...args, '--output-as', 'json']);
    const create = (name: string, ...args: string[]) => run('backup', 'create', '-n', name, ...args);
    before(async () => {
      server = await smallServer();
    });

    it('saves everything by default, and says how each part went', async () => {
      const ran = await create('full');
      assert.equal(ran.code, 0);
      const parts = [
        'conf_ldap',
        'data_home',
        'data_multimedia',
        'conf_ynh_settings',
        'conf_ynh_certs',
        'data_mail',
        'conf_manually_modified_files',
      ];
      const { name, size, results } = ran.json as {
        name: string;
        size: number;
        results: { system: object; apps: object };
      };
      assert.equal(name, 'full');
      assert.ok(size > 200_000);
      assert.deepEqual(results.system, Object.fromEntries(parts.map((part) => [part, 'Success'])));
      assert.deepEqual(results.apps, { demosql: 'Success', demopg: 'Success' });
      const mode = (file: string) => (statSync(archivePath(server.root, file)).mode & 0o777).toString(8);
      assert.deepEqual([mode('full.tar'), mode('full.info.json'), mode('.')], ['644', '644', '770']);
      assert.equal(existsSync(server.path('/home/yunohost.backup/tmp/full')), false);
    });

    it('refuses an existing name and a bad one', async () => {
      const again = await create('full');
      assert.deepEqual(
        [again.code, again.stderr],
        [1, "ERROR A backup archive with the name 'full' already exists.\n"],
      );
      const bad = await create('no/slash');
      assert.equal(bad.code, 1);
      assert.match(bad.stderr, /^ERROR Invalid argument 'name': Must be a valid filename with max 30 characters/);
      const long = await create('x'.repeat(50), '--apps', 'demosql');
      assert.equal(long.code, 0);
    });

    it('exits 0 although an app failed: only the results tell', async () => {
      setFaults(server.root, [{ match: 'backup create', kind: 'app-fails', app: 'demopg' }]);
      const ran = await create('half', '--apps');
      setFaults(server.root, []);
      assert.equal(ran.code, 0);
      assert.match(ran.stderr, /^ERROR Failed to collect files to backed up for demopg\.$/m);
      assert.deepEqual((ran.json as { results: { apps: object } }).results.apps, {
        demosql: 'Success',
        demopg: 'Error',
      });
      assert.equal(
        memberNames(server.root, 'half.tar').some((name) => name.includes('demopg')),
        false,
      );
    });

    it('exits 1 when nothing at all was collected, and leaves nothing', async () => {
      setFaults(server.root, [{ match: 'backup create', kind: 'app-fails', app: 'demopg' }]);
      const ran = await create('none', '--apps', 'demopg');
      setFaults(server.root, []);
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /ERROR Failed to collect files to be backed up/);
      assert.match(
        ran.stdout,
        /INFO The operation 'backup create' could not be completed\. .*yunohost log share \d+-\d+-backup_create/,
      );
      assert.equal(existsSync(archivePath(server.root, 'none.tar')), false);
      assert.equal(existsSync(server.path('/home/yunohost.backup/tmp/none')), false);
    });

    it('skips what it does not know, with an ERROR line and exit 0', async () => {
      const ran = await create('unknown', '--apps', 'demosql', 'nosuchapp', '--system', 'conf_ldap', 'conf_nosuch');
      assert.equal(ran.code, 0);
      assert.deepEqual((ran.json as { results: object }).results, {
        system: { conf_nosuch: 'Skipped', conf_ldap: 'Success' },
        apps: { nosuchapp: 'Skipped', demosql: 'Success' },
      });
    });

    it('checks space after collecting, by the size of the sources alone', async () => {
      setRoom(server.root, 1000);
      const ran = await create('nospace', '--apps', 'demosql');
      setRoom(server.root, undefined);
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /ERROR Not enough free space on '\/home\/yunohost\.backup\/archives'/);
      assert.equal(existsSync(archivePath(server.root, 'nospace.tar')), false);
    });

    it('dies by a traceback on a disk that is really full, and leaves a truncated tar that counts as an archive', async () => {
      setFaults(server.root, [{ match: 'backup create', kind: 'no-space', path: '/var/www/demosql/run' }]);
      const ran = await create('cut', '--apps', 'demosql');
      setFaults(server.root, []);
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /Traceback[\s\S]*OSError: \[Errno 28\] No space left on device/);
      assert.equal(existsSync(archivePath(server.root, 'cut.tar')), true);
      assert.equal(existsSync(archivePath(server.root, 'cut.info.json')), false);
      assert.match((await create('cut', '--apps', 'demosql')).stderr, /already exists/);
    });

    it('does the same when the tar is larger than the sources, which the check does not count', async () => {
      for (let number = 0; number < 200; number++) server.write(`/var/www/demosql/tiny/${number}`, 'x');
      const dry = await create('tight', '--apps', 'demosql', '--dry-run');
      const { size } = dry.json as { size: number };
      const room = sizeOfTree(server.path('/home/yunohost.backup')) + size + 3000;
      setRoom(server.root, room);
      const ran = await create('tight', '--apps', 'demosql');
      setRoom(server.root, undefined);
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /Errno 28/);
      assert.ok(statSync(archivePath(server.root, 'tight.tar')).size < size + 4000);
    });

    it('fails as a whole when a file vanishes or shrinks while it is read', async () => {
      for (const kind of ['vanish', 'shrink'] as const) {
        const name = `${kind}ing`;
        setFaults(server.root, [
          { match: 'backup create', kind, path: `/home/alice/documents/letter-${kind === 'vanish' ? 2 : 3}.txt` },
        ]);
        const ran = await create(name, '--system', 'data_home');
        setFaults(server.root, []);
        assert.equal(ran.code, 1);
        assert.match(ran.stderr, /ERROR Could not create the backup archive/);
        assert.equal(existsSync(archivePath(server.root, `${name}.tar`)), true);
        assert.equal(existsSync(server.path(`/home/yunohost.backup/tmp/${name}`)), false);
      }
    });

    it('cuts a file that grows at the size it had', async () => {
      setFaults(server.root, [{ match: 'backup create', kind: 'grow', path: '/home/alice/documents/letter-4.txt' }]);
      assert.equal((await create('growing', '--system', 'data_home')).code, 0);
      setFaults(server.root, []);
      assert.equal((await run('backup', 'info', 'growing')).code, 0);
    });

    it('runs everything for --dry-run, and leaves the work folder behind', async () => {
      const ran = await create('dry', '--apps', 'demosql', '--dry-run');
      assert.equal(ran.code, 0);
      assert.deepEqual(Object.keys(ran.json as object), ['size', 'size_details']);
      assert.equal(existsSync(server.path('/home/yunohost.backup/tmp/dry/apps/demosql/backup/db.sql')), true);
    });

    it('with -o keeps its work in the folder and links the archive', async () => {
      const folder = newRoot();
      assert.equal((await create('outside', '--apps', 'demosql', '-o', folder)).code, 0);
      assert.equal(existsSync(`${folder}/backup.csv`), true);
      assert.equal(lstatSync(archivePath(server.root, 'outside.tar')).isSymbolicLink(), true);
      assert.match((await create('bad', '-o', server.path('/var/x'))).stderr, /Pick a different output directory/);
    });

    it('leaves out the homes with .nobackup, and the data of an app that says so', async () => {
      server.write('/home/bob/.nobackup', '');
      const environment = { BACKUP_CORE_ONLY: '1' };
      const ran = await runYunohost(server.root, ['backup', 'create', '-n', 'core'], { environment });
      assert.match(
        ran.stdout,
        /INFO \/home\/yunohost\.app\/demosql will not be saved, because 'BACKUP_CORE_ONLY' is set\./,
      );
      const names = memberNames(server.root, 'core.tar');
      assert.equal(
        names.some((name) => name.startsWith('data/home/alice/')),
        true,
      );
      assert.equal(
        names.some((name) => name.startsWith('data/home/bob') || name.includes('yunohost.app')),
        false,
      );
    });
  });

  describe('the archive (section 4)', { concurrency: 3 }, () => {
    it('has the genuine order of members, each with a pax time, and a dump as text', async () => {
      const server = await smallServer();
      server.write('/etc/ssh/sshd_config', 'Port 2233\n');
      await runYunohost(server.root, ['backup', 'create', '-n', 'full']);
      const bytes = readFileSync(archivePath(server.root, 'full.tar'));
      const names = listMembers(bytes).map((member) => member.name);
      const landmarks = [
        'conf/ldap/ldap.conf',
        'data/home/alice/documents/letter-0.txt',
        'conf/ynh/firewall.yml',
        'conf/ynh/current_host',
        'conf/ynh/domains/main.test.yml',
        'conf/ynh/certs/main.test',
        'data/mail/alice/cur',
        'conf/manually_modified_files/etc/ssh/sshd_config',
        'hooks/restore/05-conf_ldap',
        'hooks/restore/50-conf_manually_modified_files',
        'apps/demosql/backup/var/www/demosql/run',
        'backup.csv',
        'info.json',
        'apps/demosql/backup/db.sql',
        'apps/demosql/settings/settings.yml',
        'conf',
        'conf/ldap/dc=yunohost-dc=org.ldif',
        'data',
      ];
      assert.deepEqual(
        landmarks.filter((name) => !names.includes(name)),
        [],
      );
      assert.deepEqual(
        [...landmarks].sort((a, b) => names.indexOf(a) - names.indexOf(b)),
        landmarks,
      );
      assert.ok(
        names.includes('conf/manually_modified_files/home/yunohost.backup/tmp/full/conf/manually_modified_files'),
      );
      assert.equal(bytes.length % 10240, 0);
      const paxCount = bytes.toString('latin1').split('././@PaxHeader').length - 1;
      assert.equal(paxCount, names.length);
      assert.match(bytes.toString('latin1'), /\d\d mtime=1758209844\.0\n/);
      const dump = listMembers(bytes).find((member) => member.name === 'apps/demosql/backup/db.sql');
      assert.match(dump?.content().toString() ?? '', /INSERT INTO `posts` VALUES \(1,'It\\'s/);
      const csv =
        listMembers(bytes)
          .find((member) => member.name === 'backup.csv')
          ?.content()
          .toString() ?? '';
      assert.match(csv, /^".*\/etc\/ldap\/ldap\.conf","conf\/ldap\/ldap\.conf"\r\n/);
    });

    it('differs little between two nights without changes', async () => {
      const { root } = await smallServer();
      for (const name of ['n1', 'n2']) await runYunohost(root, ['backup', 'create', '-n', name, '--apps', 'demosql']);
      assert.deepEqual(memberNames(root, 'n1.tar'), memberNames(root, 'n2.tar'));
      const [first, second] = ['n1', 'n2'].map((name) => listMembers(readFileSync(archivePath(root, `${name}.tar`))));
      const changed = first?.filter((member, at) => !member.content().equals(second?.[at]?.content() ?? Buffer.of(1)));
      // info.json holds the second of its making, which two quick nights may share.
      const names = changed?.map((member) => member.name).filter((name) => name !== 'info.json');
      assert.deepEqual(names, ['backup.csv']);
    });

    it('of one app holds that app only; a system archive holds no app', async () => {
      const { root } = await smallServer();
      await runYunohost(root, ['backup', 'create', '-n', 'app', '--apps', 'demosql']);
      await runYunohost(root, ['backup', 'create', '-n', 'system', '--system']);
      assert.equal(
        memberNames(root, 'app.tar').every((name) => /^(apps\/demosql(\/|$)|backup\.csv|info\.json)/.test(name)),
        true,
      );
      assert.equal(
        memberNames(root, 'system.tar').some((name) => name.startsWith('apps')),
        false,
      );
    });
  });

  describe('compression (section 3)', { concurrency: 1 }, () => {
    it('makes NAME.tar.gz and a link NAME.tar, and delete removes all of it', async () => {
      const { root } = await smallServer({ apps: [demoSql] });
      const key = 'misc.backup.backup_compress_tar_archives';
      assert.equal((await runYunohost(root, ['settings', 'get', key, '--output-as', 'json'])).stdout, '0\n');
      await runYunohost(root, ['settings', 'set', key, '-v', '1']);
      assert.equal((await runYunohost(root, ['settings', 'get', key, '--output-as', 'json'])).stdout, '1\n');
      await runYunohost(root, ['backup', 'create', '-n', 'zip', '--apps', 'demosql']);
      assert.equal(lstatSync(archivePath(root, 'zip.tar')).isSymbolicLink(), true);
      const names = listMembers(gunzipSync(readFileSync(archivePath(root, 'zip.tar.gz')))).map((member) => member.name);
      assert.ok(names.includes('info.json'));
      const listed = await runYunohost(root, ['backup', 'list', '--output-as', 'json']);
      assert.deepEqual(listed.json, { archives: ['zip'] });
      await runYunohost(root, ['backup', 'delete', 'zip']);
      for (const file of ['zip.tar', 'zip.tar.gz', 'zip.info.json'])
        assert.equal(existsSync(archivePath(root, file)), false);
    });
  });

  describe('backup list, info, delete (section 3)', { concurrency: 1 }, () => {
    let server: Server;
    const run = (...args: string[]) => runYunohost(server.root, [...args, '--output-as', 'json']);
    before(async () => {
      server = await seedServer({
        root: newRoot(),
        seed: 2,
        mainDomain: 'main.test',
        users: ['alice'],
        userBytes: 20_000,
        apps: [demoSql],
      });
      for (const name of ['zulu', 'alpha'])
        await run('backup', 'create', '-n', name, '--apps', 'demosql', '-d', 'nightly');
    });

    it('lists by time of change, with infos when asked', async () => {
      assert.deepEqual((await run('backup', 'list')).json, { archives: ['zulu', 'alpha'] });
      const infos = (await run('backup', 'list', '-i')).json as { archives: Record<string, object> };
      assert.deepEqual(Object.keys(infos.archives['alpha'] ?? {}), ['path', 'created_at', 'description', 'size']);
    });

    it('tells details', async () => {
      const info = (await run('backup', 'info', 'alpha', '-d')).json as Record<string, unknown>;
      assert.equal(info['path'], archivePath(server.root, 'alpha.tar'));
      assert.equal(info['description'], 'nightly');
      assert.equal(info['from_yunohost_version'], '12.1.25');
      assert.deepEqual(Object.keys((info['apps'] as Record<string, object>)['demosql'] ?? {}), [
        'version',
        'name',
        'description',
        'size',
      ]);
      assert.match(String(((await run('backup', 'info', 'alpha', '-H')).json as { size: string }).size), /^\d+KB$/);
    });

    it('takes info.json out of a tar that has none beside it, and believes a stale one', async () => {
      const copied = readFileSync(archivePath(server.root, 'alpha.tar'));
      writeFileSync(archivePath(server.root, 'copy.tar'), copied);
      assert.equal((await run('backup', 'info', 'copy')).code, 0);
      const beside = archivePath(server.root, 'copy.info.json');
      writeFileSync(beside, readFileSync(beside, 'utf8').replace(/"size": \d+/, '"size": 7'));
      assert.equal(((await run('backup', 'info', 'copy')).json as { size: number }).size, 7);
      await run('backup', 'delete', 'copy');
    });

    it('calls a truncated tar corrupted, warns of it in a list, and names broken links', async () => {
      writeFileSync(archivePath(server.root, 'torn.tar'), readFileSync(archivePath(server.root, 'alpha.tar')));
      truncateSync(archivePath(server.root, 'torn.tar'), 30_000);
      const info = await run('backup', 'info', 'torn');
      assert.equal(info.code, 1);
      assert.match(info.stderr, /It looks like the backup archive '.*torn\.tar' is corrupted : unexpected end of data/);
      const list = await run('backup', 'list', '-i');
      assert.equal(list.code, 0);
      assert.match(list.stderr, /^WARNING It looks like/);
      symlinkSync('/nowhere.tar', archivePath(server.root, 'broken.tar'));
      assert.equal(JSON.stringify((await run('backup', 'list')).json).includes('broken'), false);
      assert.match(
        (await run('backup', 'info', 'broken')).stderr,
        /Could not access the backup archive \(broken link to/,
      );
    });

    it('deletes with hooks before and after, which get the name', async () => {
      const log = server.path('/tmp/deleted');
      for (const kind of ['pre', 'post']) {
        server.write(`/etc/yunohost/hooks.d/${kind}_backup_delete/50-note`, `echo ${kind} $1 >> ${log}\n`);
      }
      assert.equal((await run('backup', 'delete', 'zulu')).code, 0);
      assert.equal(readFileSync(log, 'utf8'), 'pre zulu\npost zulu\n');
      const again = await run('backup', 'delete', 'zulu');
      assert.deepEqual([again.code, again.stderr], [1, "ERROR Unknown local backup archive named 'zulu'\n"]);
    });

    it('exits 0 for download, with an ERROR line', async () => {
      const ran = await run('backup', 'download', 'alpha');
      assert.equal(ran.code, 0);
      assert.match(ran.stderr, /only meant for the API/);
    });
  });
});
