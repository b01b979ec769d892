// Nights of archives: compression, leftovers, room, suspicion, coverage, time windows.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { mainDomainOf } from '../../../src/cli/main-domain.ts';
import { FallbackError, isFallbackError } from '../../../src/errors/fallback-error.ts';
import { factsFromAttributes } from '../../../src/yunohost/night/machine-facts.ts';
import type { NightEvent } from '../../../src/yunohost/night/night-context.ts';
import { reportOfNight } from '../../../src/yunohost/report/night-report.ts';
import { chooseMainSnapshot } from '../../../src/yunohost/takeover/choose-snapshot.ts';
import { pushBytes, withSession } from '../../support/client-fixture.ts';
import { readCalls } from '../double/call-log.ts';
import { setFaults } from '../double/faults.ts';
import { setRoom } from '../double/free-space.ts';
import { layApp } from '../double/seed-apps.ts';
import { listMembers } from '../double/tar-read.ts';
import { archivePath, newRoot } from '../double/testing.ts';
import { doubleAccounts, NightFixture, statuses, tinyApp } from '../night-fixture.ts';

const failing = async (work: Promise<unknown>): Promise<unknown> =>
  await work.then(
    () => assert.fail('it did not fail'),
    (error: unknown) => error,
  );

describe('a night of archives', () => {
  it('compressed archives and their links are handled; what is stored is the plain tar (D23)', async () => {
    const fixture = await NightFixture.create({ apps: [tinyApp('wiki')] });
    const plain = await fixture.night();
    assert.equal(plain.result.exitCode, 0);
    await fixture.yunohost.server.setSetting('misc.backup.backup_compress_tar_archives', '1');
    const run = await fixture.night();
    assert.equal(run.result.exitCode, 0);
    assert.deepEqual(fixture.leftovers(), []);
    const names = (bytes: Buffer) => listMembers(bytes).map(({ name }) => name);
    assert.deepEqual(names(await fixture.bytesOf('wiki')), names(await fixture.bytesOf('wiki', '1')));
  });

  it('leftovers of ours are removed first, and nobody else’s', async () => {
    const fixture = await NightFixture.create({ apps: [tinyApp('wiki')] });
    await fixture.yunohost.backups.create({ name: 'mine', apps: ['wiki'] });
    const { paths } = fixture.yunohost;
    writeFileSync(archivePath(fixture.server.root, 'fallback-night-system.tar'), 'half a tar');
    writeFileSync(archivePath(fixture.server.root, 'fallback-night-app-wiki.tar.gz'), 'half a tar');
    symlinkSync(paths.archive('mine'), archivePath(fixture.server.root, 'fallback-night-app-wiki.tar'));
    mkdirSync(join(paths.temporary, 'fallback-night-app-wiki', 'apps'), { recursive: true });
    mkdirSync(join(paths.temporary, 'wiki-pre-upgrade1'), { recursive: true });
    const run = await fixture.night();
    assert.equal(run.result.exitCode, 0);
    assert.equal(run.events[0]?.step, 'cleaned');
    const left = fixture
      .leftovers()
      .map((path) => path.slice(paths.backups.length + 1))
      .sort();
    assert.deepEqual(left, ['archives/mine.info.json', 'archives/mine.tar', 'tmp/wiki-pre-upgrade1']);
  });

  it('too little room is known before the archive is made; the rest is saved', async () => {
    const fixture = await NightFixture.create({ apps: [tinyApp('wiki'), tinyApp('large', 6_000_000)] });
    setRoom(fixture.server.root, 4_000_000);
    const calls = () => readCalls(fixture.server.root).filter(({ argv }) => argv.includes('large')).length;
    const run = await fixture.night('[push]\nreserve_mib = 0\n');
    assert.deepEqual(statuses(run), { system: 'saved', large: 'missing', wiki: 'saved' });
    assert.equal(run.result.outcomes.find(({ name }) => name === 'large')?.code, 'DISK_FULL');
    assert.equal(calls(), 0);
    setRoom(fixture.server.root, undefined);
    assert.equal(statuses(await fixture.night())['large'], 'saved');
    // Room by the estimate, and a disk that fills up all the same: half a tar is left, and removed.
    setFaults(fixture.server.root, [{ match: '--apps large', kind: 'no-space' }]);
    const full = await fixture.night();
    assert.equal(statuses(full)['large'], 'kept');
    assert.equal(full.result.outcomes.find(({ name }) => name === 'large')?.code, 'DISK_FULL');
    assert.deepEqual(fixture.leftovers(), []);
  });

  it('an archive that shrank is pushed, flagged for a week, and told; exit code 3', async () => {
    const fixture = await NightFixture.create({ apps: [tinyApp('wiki', 4_000_000)] });
    assert.equal((await fixture.night()).result.exitCode, 0);
    for (const folder of ['/home/yunohost.app/wiki', '/var/www/wiki']) {
      rmSync(fixture.server.path(folder), { recursive: true });
      mkdirSync(fixture.server.path(folder));
    }
    for (let night = 0; night < 2; night++) {
      const run = await fixture.night();
      assert.equal(statuses(run)['wiki'], 'suspicious');
      assert.equal(run.result.exitCode, 3);
      assert.equal(run.result.push.snapshot.complete, true);
      assert.match(run.result.outcomes.at(-1)?.reason ?? '', /it had \d+/);
    }
  });

  it('the own app is never part of it; an excluded one is named', async () => {
    const fixture = await NightFixture.create({ apps: [tinyApp('wiki'), tinyApp('fallback'), tinyApp('blog')] });
    const run = await fixture.night('[apps]\nexclude = ["blog", "nonsense"]\n');
    assert.deepEqual(statuses(run), { system: 'saved', wiki: 'saved' });
    assert.deepEqual(
      run.result.coverage.notCovered.map(({ app, reason }) => [app.id, reason]),
      [
        ['blog', 'excluded'],
        ['fallback', 'own-app'],
      ],
    );
    assert.match(run.result.coverage.warnings.join(), /nonsense/);
  });

  it('an app that YunoHost cannot read any more has not vanished: it failed, whether it was saved before or not', async () => {
    const fixture = await NightFixture.create();
    const toml = '[system]\nenabled = false\n';
    await fixture.night(toml);
    await layApp(fixture.server, tinyApp('notes'), 7);
    for (const id of ['blog', 'notes']) fixture.server.write(`/etc/yunohost/apps/${id}/manifest.toml`, 'id = [');
    fixture.server.write('/etc/yunohost/apps/leftover/note.txt', 'no app\n');
    const run = await fixture.night(toml);
    assert.deepEqual(statuses(run), { wiki: 'saved', blog: 'kept', notes: 'missing' });
    assert.equal(run.result.exitCode, 3);
    assert.equal(run.result.push.snapshot.complete, false);
    assert.match(run.result.outcomes.at(-1)?.reason ?? '', /yunohost app info notes/);
    const without = await fixture.night(`${toml}[apps]\nexclude = ["blog", "notes"]\n`);
    assert.deepEqual(statuses(without), { wiki: 'saved' });
    assert.deepEqual(without.result.coverage.warnings, []);
  });

  it('files pushed by name in between are no night: tonight follows the last one, and a takeover takes it', async () => {
    const fixture = await NightFixture.create();
    const toml = '[system]\nenabled = false\n';
    const { result } = await fixture.night(toml);
    const { repository, secret } = fixture.client;
    await withSession(repository, secret, async (session) => {
      await pushBytes(session, newRoot(), { photos: new Uint8Array(1000) });
      for (const name of [undefined, 'latest', '2099-01-01']) {
        assert.equal((await chooseMainSnapshot(session, name)).summary.number, result.push.snapshot.number);
      }
      assert.equal((await chooseMainSnapshot(session, '2')).summary.number, 2);
      const { mainDomain } = factsFromAttributes((await chooseMainSnapshot(session, '1')).record.attributes);
      assert.notEqual(mainDomain, '');
      assert.equal(await mainDomainOf(session), mainDomain);
    });
    await fixture.yunohost.apps.remove('wiki', { purge: true });
    setFaults(fixture.server.root, [{ match: '^backup create', kind: 'app-fails', app: 'blog' }]);
    await layApp(fixture.server, tinyApp('notes'), 7);
    assert.deepEqual(statuses(await fixture.night(toml)), { blog: 'kept', notes: 'saved', wiki: 'vanished' });
  });

  it('a name or a line that selects nothing makes the report a warning: what was meant may be in no backup', async () => {
    const fixture = await NightFixture.create();
    fixture.server.write('/root/app_list', '[.]: wiki\n[.]: bloog\n[.]: gone\n[.] blog\n[]: other\n');
    const sizes = { readBytes: 0, newBytes: 0, sentBytes: 0 };
    const reportOf = async (toml: string) => {
      const { result } = await fixture.night(toml);
      assert.equal(result.exitCode, 0);
      return reportOfNight(result, { hostName: 'main', place: 'there', damagedSnapshots: [], ...sizes });
    };
    const listed = await reportOf('[apps]\napp_list = "/root/app_list"\nexclude = ["gone"]\n');
    assert.equal(listed.status, 'warning');
    assert.match(listed.headline, /WARNING: main is saved, but what shall be covered/);
    assert.deepEqual(listed.facts['mistakes'], [
      '/root/app_list names bloog, and no such app is installed.',
      'Line 4 of /root/app_list cannot be understood and counts for nothing.',
    ]);
    const included = await reportOf('[apps]\ninclude = ["blog", "wikki"]\n');
    assert.equal(included.status, 'warning');
    assert.ok(included.lines.includes('Configuration: apps.include names wikki, and no such app is installed.'));
    // Nothing is left out by these: no reason to write each night.
    const odd = await reportOf('[apps]\nexclude = ["wikki"]\nfirst = ["bloog"]\n');
    assert.deepEqual([odd.status, odd.facts['mistakes']], ['ok', []]);
  });

  it('with no app selected nothing but the system is asked for (D11)', async () => {
    const fixture = await NightFixture.create();
    const run = await fixture.night('[apps]\ninclude = ["none-of-these"]\n');
    assert.deepEqual(statuses(run), { system: 'saved' });
    const creates = readCalls(fixture.server.root).filter(({ argv }) => argv.includes('create'));
    assert.ok(creates.every(({ argv }) => !argv.includes('--apps')));
  });

  it('extra paths are an archive of their own; links are kept, not followed (D19)', async () => {
    const fixture = await NightFixture.create({ apps: [] });
    fixture.server.write('/srv/data/a.txt', 'a\n');
    symlinkSync('/srv', fixture.server.path('/srv/data/loop'));
    symlinkSync('/nowhere', fixture.server.path('/srv/data/dangling'));
    const run = await fixture.night('[extra]\npaths = ["/srv/data"]\n[apps]\nexclude = []\n');
    assert.deepEqual(statuses(run), { system: 'saved', 'extra-paths': 'saved' });
    const members = listMembers(await fixture.bytesOf('extra-paths'));
    assert.deepEqual(
      members.map(({ name, type }) => [name, type]),
      [
        ['srv/data', 'directory'],
        ['srv/data/a.txt', 'file'],
        ['srv/data/dangling', 'symlink'],
        ['srv/data/loop', 'symlink'],
      ],
    );
  });

  it('extra paths that are not there are told, never an archive of nothing', async () => {
    const fixture = await NightFixture.create({ apps: [] });
    const tomlOf = (...names: string[]) => `[extra]\npaths = ${JSON.stringify(names)}\n[system]\nenabled = false\n`;
    const outcome = async (toml: string) => (await fixture.night(toml)).result.outcomes[0];
    fixture.server.write('/srv/data/a.txt', 'a\n');
    symlinkSync('/srv/data', fixture.server.path('/srv/link'));
    assert.ok(isFallbackError(await failing(fixture.night(tomlOf('/srv/tpyo'))), 'NOT_FOUND'));
    const partly = await fixture.night(tomlOf('/srv/data', '/srv/tpyo', '/srv/link'));
    assert.equal(partly.result.exitCode, 3);
    assert.equal(partly.result.push.snapshot.complete, false);
    const [first] = partly.result.outcomes;
    assert.equal(first?.status, 'suspicious');
    assert.equal(first?.reason, 'Not there: /srv/tpyo.');
    assert.match(first?.warnings.join() ?? '', /\/srv\/link is a link/);
    // The same is missing as the last time: no reason to keep that.
    assert.equal((await outcome(tomlOf('/srv/data', '/srv/tpyo')))?.status, 'suspicious');
    // A disk that is not mounted tonight: what was there is kept.
    rmSync(fixture.server.path('/srv/data'), { recursive: true });
    fixture.server.write('/srv/other', 'b\n');
    const kept = await failing(fixture.night(tomlOf('/srv/data', '/srv/other')));
    assert.match(String(kept), /Not there: \/srv\/data/);
  });

  it('a time window that ends: what was not reached is kept, and comes first the next night', async () => {
    const fixture = await NightFixture.create();
    await fixture.night();
    const toml = '[push]\nwindow = "01:00-05:00"\n';
    let minute = 60;
    const scheduled = { isScheduled: true, localMinute: () => minute };
    const run = await fixture.night(toml, {
      ...scheduled,
      onEvent: (event) => {
        if (event.step === 'saved' && event.name === 'system') minute = 301;
      },
    });
    assert.deepEqual(statuses(run), { system: 'saved', blog: 'kept', wiki: 'kept' });
    assert.equal(run.result.exitCode, 3);
    assert.ok(isFallbackError(await failing(fixture.night(toml, scheduled)), 'WINDOW_MISSED'));
    minute = 60;
    const next = await fixture.night(toml, scheduled);
    assert.deepEqual(Object.keys(statuses(next)), ['blog', 'wiki', 'system']);
    assert.equal(next.result.exitCode, 0);
  });

  it('a window that is always too short: what waits longest has its turn, nothing starves', async () => {
    const fixture = await NightFixture.create({ apps: ['a', 'b', 'c'].map((id) => tinyApp(id)) });
    const toml = '[push]\nwindow = "01:00-05:00"\n[system]\nenabled = false\n';
    await fixture.night(toml);
    const saved: string[] = [];
    for (let night = 0; night < 4; night++) {
      let minute = 60;
      await fixture.night(toml, {
        isScheduled: true,
        localMinute: () => minute,
        onEvent: (event) => {
          if (event.step !== 'saved') return;
          saved.push(event.name);
          minute = 301;
        },
      });
    }
    assert.deepEqual(saved, ['a', 'b', 'c', 'a']);
  });

  it('an archive that breaks while it is read costs another run without it, not the night', async () => {
    const fixture = await NightFixture.create();
    await fixture.night();
    let streams = 0;
    const run = await fixture.night('[push]\nmethod = "stream"\n', {
      accounts: async () => {
        // The system is the first, the blog the second: a disk error in the middle of it.
        const isBroken = ++streams === 2;
        const names = doubleAccounts(fixture.server);
        const fail = async (): Promise<string> => {
          throw new FallbackError('ARCHIVE_UNREADABLE', 'photo.jpg cannot be read: EIO.');
        };
        return isBroken ? { ...names, userName: fail } : names;
      },
    });
    assert.deepEqual(statuses(run), { system: 'saved', blog: 'kept', wiki: 'saved' });
    assert.match(run.result.outcomes.find(({ name }) => name === 'blog')?.reason ?? '', /EIO/);
    assert.equal(run.result.exitCode, 3);
    assert.equal(fixture.client.repository.files.length, 2);
    assert.deepEqual(fixture.leftovers(), []);
  });

  it('a time limit beyond what a timer holds ends nothing', async () => {
    const fixture = await NightFixture.create({ apps: [tinyApp('wiki')] });
    const run = await fixture.night(
      '[push]\nmethod = "stream"\n[system]\nenabled = false\n[yunohost]\ntime_limit = "30d"\n',
    );
    assert.deepEqual(statuses(run), { wiki: 'saved' });
  });

  it('domains that cannot be asked are a warning of the night', async () => {
    const fixture = await NightFixture.create({ apps: [tinyApp('wiki')] });
    setFaults(fixture.server.root, [{ match: '^domain list', kind: 'fail', message: 'LDAP is down' }]);
    const { result } = await fixture.night('[system]\nenabled = false\n');
    assert.equal(result.warnings.length, 1);
    assert.match(result.warnings[0] ?? '', /which domains the server has.*LDAP is down/);
    const bytes = { readBytes: 1, newBytes: 1, sentBytes: 1 };
    const report = reportOfNight(result, { hostName: 'main.test', place: 'x', damagedSnapshots: [], ...bytes });
    assert.equal(report.status, 'warning');
    assert.ok(report.lines.includes(result.warnings[0] ?? '-'));
  });

  it('an archive breaks and the window has closed: what the first run saved is saved again, and the break is named', async () => {
    const fixture = await NightFixture.create();
    const toml = '[push]\nmethod = "stream"\nwindow = "01:00-05:00"\n[system]\nenabled = false\n';
    await fixture.night(toml);
    let minute = 60;
    let isBroken = false;
    const changes = {
      isScheduled: true,
      localMinute: () => minute,
      onEvent: ({ step, ...event }: NightEvent) => {
        // A disk error in the last archive, long after the window.
        isBroken = step === 'making' && 'name' in event && event.name === 'wiki';
        if (isBroken) minute = 301;
      },
      accounts: async () => {
        const names = doubleAccounts(fixture.server);
        const fail = async (): Promise<string> => {
          throw new FallbackError('ARCHIVE_UNREADABLE', 'photo.jpg cannot be read: EIO.');
        };
        return isBroken ? { ...names, userName: fail } : names;
      },
    };
    const run = await fixture.night(toml, changes);
    assert.deepEqual(statuses(run), { blog: 'saved', wiki: 'kept' });
    assert.match(run.result.outcomes[1]?.reason ?? '', /EIO/);
    minute = 60;
    const alone = fixture.night(`${toml}[apps]\ninclude = ["wiki"]\n`, changes);
    assert.match(String(await failing(alone)), /EIO/);
  });

  it('nothing at all could be saved: an error, and no snapshot', async () => {
    const fixture = await NightFixture.create();
    await fixture.night();
    setFaults(fixture.server.root, [{ match: '^backup create', kind: 'fail', message: 'LDAP is down' }]);
    const error = await failing(fixture.night());
    assert.ok(isFallbackError(error, 'YUNOHOST_FAILED'));
    assert.match(error.message, /LDAP is down/);
    assert.equal(fixture.client.repository.files.length, 1);
    setFaults(fixture.server.root, [{ match: '^app list', kind: 'junk' }]);
    assert.ok(isFallbackError(await failing(fixture.night()), 'YUNOHOST_FAILED'));
    assert.deepEqual(fixture.leftovers(), []);
  });
});
