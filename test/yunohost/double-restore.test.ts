// Section 6: `backup restore`, what must be true, what it exits with, and a whole server brought back.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { encodeTarEnd, encodeTarHeaders, tarPadding } from '../../src/tar/tar-writer.ts';
import { setFaults } from './double/faults.ts';
import { setRoom } from './double/free-space.ts';
import { runYunohost } from './double/run-yunohost.ts';
import { compareServers, liveOneDay, readServerState, seedBareServer } from './double/seed-server.ts';
import type { Server } from './double/server.ts';
import { listMembers } from './double/tar-read.ts';
import { archivePath, carryArchive, demoPg, demoSql, newRoot, smallServer } from './double/testing.ts';

const json = (root: string, ...args: string[]) => runYunohost(root, [...args, '--output-as', 'json']);

/** The traces that a restore on a bare machine leaves, and no others: a certificate, a home, nested settings (trap 4). */
const knownTraces = [
  /-history\/\d{8}\.\d{6}-selfsigned/,
  /^\/home\/tmpadmin/,
  /^\/etc\/yunohost\/domains\//,
  /services\.yml$/,
];

describe('restores of the double', { concurrency: 4 }, () => {
  describe('restore on a bare machine (section 6)', { concurrency: 1 }, () => {
    it('does the post-install and brings back every byte, owner and mode', async () => {
      const source = await smallServer({ userIds: { alice: 32489 } });
      liveOneDay(source, { day: 1, seed: 1, users: ['alice', 'bob'], apps: [demoSql, demoPg] });
      await json(source.root, 'backup', 'create', '-n', 'full');
      const { root } = seedBareServer(newRoot());
      carryArchive(source.root, root, 'full');
      const ran = await json(root, 'backup', 'restore', 'full');
      assert.equal(ran.code, 0, ran.stderr);
      assert.deepEqual((ran.json as { apps: object }).apps, { demosql: 'Success', demopg: 'Success' });
      assert.deepEqual(
        compareServers(readServerState(source.root), readServerState(root), { ignore: knownTraces }),
        [],
      );
      assert.equal(existsSync(`${root}/home/yunohost.backup/tmp/full`), false);
      assert.equal(existsSync(archivePath(root, 'full.info.json')), true);
      assert.deepEqual((await json(root, 'domain', 'list')).json, { domains: ['main.test'], main: 'main.test' });
    });

    it('needs the system part', async () => {
      const source = await smallServer({ apps: [demoSql], users: ['alice'] });
      await json(source.root, 'backup', 'create', '-n', 'app', '--apps');
      const { root } = seedBareServer(newRoot());
      carryArchive(source.root, root, 'app');
      const ran = await json(root, 'backup', 'restore', 'app', '--apps');
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /The main domain name cannot be retrieved from inside the archive/);
    });
  });

  describe('what an archive must be (section 6)', { concurrency: 1 }, () => {
    let server: Server;
    before(async () => {
      server = await smallServer({ apps: [demoSql], users: ['alice'], userBytes: 10_000 });
      await json(server.root, 'backup', 'create', '-n', 'app', '--apps');
      await json(server.root, 'app', 'remove', 'demosql', '--purge');
    });
    const restoreAndRemove = async (name: string) => {
      const ran = await json(server.root, 'backup', 'restore', name, '--apps');
      assert.equal(ran.code, 0, ran.stderr);
      assert.deepEqual(ran.json, { system: {}, apps: { demosql: 'Success' } });
      await json(server.root, 'app', 'remove', 'demosql', '--purge');
    };

    it('may be a link to elsewhere, or a hand-made .tar.gz', async () => {
      const bytes = readFileSync(archivePath(server.root, 'app.tar'));
      mkdirSync(server.path('/srv'));
      writeFileSync(server.path('/srv/x.tar'), bytes);
      symlinkSync(server.path('/srv/x.tar'), archivePath(server.root, 'linked.tar'));
      await restoreAndRemove('linked');
      writeFileSync(archivePath(server.root, 'zipped.tar.gz'), gzipSync(bytes));
      await restoreAndRemove('zipped');
    });

    it('may be a GNU tar with ./ before every name', async () => {
      const parts: Uint8Array[] = [];
      for (const member of listMembers(readFileSync(archivePath(server.root, 'app.tar')))) {
        const type = member.type === 'other' ? 'file' : member.type;
        const name = `./${member.name}`;
        const linkName = member.type === 'hardlink' ? `./${member.linkName}` : member.linkName;
        parts.push(
          encodeTarHeaders({ ...member, name, type, linkName }, 'gnu'),
          member.content(),
          new Uint8Array(tarPadding(member.sizeBytes)),
        );
      }
      const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
      writeFileSync(archivePath(server.root, 'gnu.tar'), Buffer.concat([...parts, encodeTarEnd(length)]));
      await restoreAndRemove('gnu');
    });

    it('cannot be named by an absolute path: a traceback, and info.json left in a strange place', async () => {
      mkdirSync(server.path('/root'));
      writeFileSync(server.path('/root/x.tar'), readFileSync(archivePath(server.root, 'app.tar')));
      const ran = await json(server.root, 'backup', 'restore', server.path('/root/x.tar'), '--apps');
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /Traceback[\s\S]*Folder \/root\/x\.tar already exists/);
      assert.equal(existsSync(archivePath(server.root, 'root/x.info.json')), true);
    });

    it('is believed by a stale info.json beside it', async () => {
      renameSync(archivePath(server.root, 'app.tar'), archivePath(server.root, 'stale.tar'));
      const info = JSON.parse(readFileSync(archivePath(server.root, 'app.info.json'), 'utf8')) as { apps: object };
      writeFileSync(archivePath(server.root, 'stale.info.json'), JSON.stringify({ ...info, apps: {} }));
      const ran = await json(server.root, 'backup', 'restore', 'stale', '--apps', 'demosql');
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /ERROR Could not find demosql in the backup archive/);
      renameSync(archivePath(server.root, 'stale.tar'), archivePath(server.root, 'app.tar'));
    });

    it('must fit with a margin of 100 MB for apps', async () => {
      setRoom(server.root, 90_000_000);
      const ran = await json(server.root, 'backup', 'restore', 'app', '--apps');
      setRoom(server.root, undefined);
      assert.equal(ran.code, 1);
      assert.match(
        ran.stderr,
        /not seem to have enough space \(free: \d+ B, needed space: \d+ B, security margin: 104857600 B\)/,
      );
      setRoom(server.root, 1);
      const less = await json(server.root, 'backup', 'restore', 'app', '--apps');
      setRoom(server.root, undefined);
      assert.match(
        less.stderr,
        /ERROR Not enough space \(space: -?\d+ B, needed space: \d+ B, security margin: \d+ B\)/,
      );
    });
  });

  describe('exit codes and results of a restore (section 6)', { concurrency: 1 }, () => {
    let server: Server;
    before(async () => {
      server = await smallServer({ users: ['alice'], userBytes: 10_000 });
      await json(server.root, 'backup', 'create', '-n', 'full');
    });

    it('refuses when all wanted apps are installed, and does nothing, not even the system part', async () => {
      const ran = await json(server.root, 'backup', 'restore', 'full', '--force');
      assert.equal(ran.code, 1);
      assert.match(
        ran.stderr,
        /ERROR The following apps can't be restored because they are already installed: \w+, \w+/,
      );
    });

    it('asks before a system part on a post-installed server, which without --force and terminal is an error', async () => {
      const ran = await json(server.root, 'backup', 'restore', 'full', '--system');
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /WARNING YunoHost is already installed/);
      const forced = await json(server.root, 'backup', 'restore', 'full', '--system', '--force');
      assert.equal(forced.code, 0);
    });

    it('restores the rest when some are installed, and skips what the archive does not hold', async () => {
      await json(server.root, 'app', 'remove', 'demosql');
      const ran = await json(server.root, 'backup', 'restore', 'full', '--apps', 'demosql', 'demopg', 'nothing');
      assert.equal(ran.code, 0);
      assert.deepEqual((ran.json as { apps: object }).apps, {
        nothing: 'Skipped',
        demosql: 'Success',
        demopg: 'Error',
      });
      assert.match(ran.stderr, /^ERROR An app with the ID 'demopg' is already installed$/m);
    });

    it('removes an app whose script failed; exit 1 when it was the only one, 0 when another succeeded', async () => {
      await json(server.root, 'app', 'remove', 'demosql', 'demopg');
      setFaults(server.root, [{ match: 'backup restore', kind: 'app-fails', app: 'demosql' }]);
      const both = await json(server.root, 'backup', 'restore', 'full', '--apps');
      assert.equal(both.code, 0);
      assert.deepEqual((both.json as { apps: object }).apps, { demosql: 'Error', demopg: 'Success' });
      const one = await json(server.root, 'backup', 'restore', 'full', '--apps', 'demosql');
      setFaults(server.root, []);
      assert.equal(one.code, 1);
      assert.match(one.stderr, /ERROR Nothing was restored/);
      assert.equal(server.has('/etc/yunohost/apps/demosql'), false);
    });

    it('puts existing targets aside under /var/cache', async () => {
      await json(server.root, 'app', 'remove', 'demopg', '--purge');
      server.write('/var/www/demopg/mine.txt', 'mine\n');
      assert.equal((await json(server.root, 'backup', 'restore', 'full', '--apps', 'demopg')).code, 0);
      assert.equal(server.has('/var/www/demopg/mine.txt'), false);
      assert.equal(server.has('/var/cache/yunohost/appconfbackup/var/www'), true);
    });
  });
});
