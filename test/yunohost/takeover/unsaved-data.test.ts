// Data that no backup holds, by an app's setting do_not_backup_data: told by every night, and never replaced by any restore.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { reportOfNight } from '../../../src/yunohost/report/night-report.ts';
import { removeApp } from '../../../src/yunohost/takeover/restore-parts.ts';
import { setFaults } from '../double/faults.ts';
import { compareServers, liveOneDay, readServerState } from '../double/seed-server.ts';
import { demoPg, demoSql } from '../double/testing.ts';
import { doubleCommand } from '../double-host.ts';
import {
  close,
  deploy,
  emptyEngine,
  hostOf,
  look,
  recover,
  runMainNight,
  twoServers,
  update,
} from './takeover-fixture.ts';

const leaveOut = (root: string, app: string, value = '1'): Promise<void> =>
  doubleCommand(root).apps.setSetting(app, 'do_not_backup_data', value);

describe('data that no backup holds', { concurrency: 2 }, () => {
  it('are named by every night, and before a takeover', async () => {
    const { world, main, host } = await twoServers();
    await leaveOut(main.root, 'demosql');
    main.write('/home/bob/.nobackup', '');
    const result = await runMainNight(world, main.root);
    const sizes = { readBytes: 1, newBytes: 1, sentBytes: 1 };
    const report = reportOfNight(result, { hostName: 'main', place: 'there', damagedSnapshots: [], ...sizes });
    assert.ok(report.lines.includes('Not covered:'));
    assert.ok(report.lines.some((line) => /demosql: its data in \/home\/yunohost\.app\/demosql/.test(line)));
    assert.ok(report.lines.some((line) => /^ {2}\/home\/bob \(/.test(line)));
    assert.equal(result.exitCode, 0);
    const { findings } = await look(world, host);
    assert.ok(findings.some(({ level, text }) => level === 'warning' && /Without their data.*: demosql\./.test(text)));
  });

  it('keep an own app in its place, until they are backed up; then all is given back', async () => {
    const { world, fallback, host } = await twoServers();
    await leaveOut(fallback.root, 'demopg');
    const { findings } = await look(world, host);
    assert.ok(findings.some(({ level, text }) => level === 'warning' && /its own stays/.test(text)));
    const app = readServerState(fallback.root, ['apps', 'databases']);
    const first = await deploy(world, host);
    const missing = first.apps.filter(({ status }) => status === 'missing');
    assert.deepEqual(
      missing.map(({ id, reason }) => [id, /own demopg stays/.test(reason ?? '')]),
      [['demopg', true]],
    );
    const isOf = /demopg/;
    const onlyOf = (differences: readonly string[]) => differences.filter((line) => isOf.test(line));
    assert.deepEqual(onlyOf(compareServers(app, readServerState(fallback.root, ['apps', 'databases']))), []);
    await leaveOut(fallback.root, 'demopg', '0');
    const before = readServerState(fallback.root, ['apps', 'databases']);
    const second = await deploy(world, host);
    assert.ok(second.apps.every(({ status }) => status === 'restored'));
    await close(world, host);
    assert.deepEqual(onlyOf(compareServers(before, readServerState(fallback.root, ['apps', 'databases']))), []);
  });

  it('stay when a close was cut off in a removal, whatever the setting is by then', async () => {
    const { world, fallback, host } = await twoServers();
    await deploy(world, host);
    await leaveOut(fallback.root, 'demosql');
    liveOneDay(fallback, { day: 5, seed: 5, users: [], apps: [demoSql] });
    setFaults(fallback.root, [{ match: '^app remove demosql', kind: 'fail' }]);
    await assert.rejects(close(world, host), (error) => isFallbackError(error, 'YUNOHOST_FAILED'));
    setFaults(fallback.root, []);
    await leaveOut(fallback.root, 'demosql', '0');
    const { unsaved } = await close(world, host);
    assert.deepEqual(unsaved, [{ app: 'demosql', folder: '/home/yunohost.app/demosql' }]);
    assert.ok(fallback.has('/home/yunohost.app/demosql/uploads/day-5/file.bin'));
  });

  it('stay when there is no settings.yml that could say so', async () => {
    const { world, main } = await twoServers();
    const host = hostOf(main.root, join(world.folder, 'main-state'));
    await leaveOut(main.root, 'demosql');
    rmSync(main.path('/etc/yunohost/apps/demosql/settings.yml'));
    await removeApp(host, 'demosql');
    assert.deepEqual(
      [main.has('/etc/yunohost/apps/demosql'), main.has('/home/yunohost.app/demosql/uploads')],
      [false, true],
    );
  });

  it('stay beside an own app that comes back to their folder', async () => {
    const { world, main, fallback, host } = await twoServers();
    await leaveOut(main.root, 'demopg');
    await runMainNight(world, main.root);
    const before = readServerState(fallback.root);
    await deploy(world, host);
    liveOneDay(fallback, { day: 5, seed: 5, users: [], apps: [demoPg] });
    // A folder that is not there is the wrong one: the own app would come back over the right one.
    await host.yunohost.apps.setSetting('demopg', 'data_dir', '/srv/demopg');
    await assert.rejects(
      close(world, host),
      (error) => isFallbackError(error, 'BACKUP_FAILED') && /not in \/srv\/demopg/.test(error.message),
    );
    await host.yunohost.apps.setSetting('demopg', 'data_dir', '/home/yunohost.app/demopg');
    const report = await close(world, host);
    const [from, folder] = ['/home/yunohost.app/demopg', '/home/yunohost.app/fallback-produced-2/demopg'];
    assert.deepEqual(report.unsaved, [{ app: 'demopg', folder, from }]);
    assert.ok(fallback.has(join(folder, 'uploads/day-5/file.bin')));
    const ignore = [emptyEngine, /fallback-produced-2/];
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
  });

  it('stay on the main server when a version without data is placed and they are backed up by now', async () => {
    const { world, main, fallback, host } = await twoServers();
    await leaveOut(main.root, 'demosql');
    await runMainNight(world, main.root);
    await deploy(world, host);
    liveOneDay(fallback, { day: 5, seed: 5, users: [], apps: [demoSql] });
    await close(world, host);
    const folder = '/home/yunohost.app/demosql';
    main.write(`${folder}/mine`, 'mine');
    const mainHost = hostOf(main.root, join(world.folder, 'main-state'));
    for (const bring of [
      () => update(world, main, { take: ['demosql'], keep: ['system'] }),
      () => recover(world, mainHost, 'demosql', { epoch: 2 }),
    ]) {
      await leaveOut(main.root, 'demosql', '0');
      await bring();
      assert.equal(await mainHost.yunohost.apps.setting('demosql', 'do_not_backup_data'), '1');
      assert.equal(main.read(`${folder}/mine`), 'mine');
    }
  });

  it('are set aside when their app is not installed: by a takeover, and by a recovery', async () => {
    const { world, main, fallback, host } = await twoServers();
    const [folder, aside] = ['/home/yunohost.app/demosql', '/home/yunohost.app/fallback-kept/demosql'];
    fallback.write(`${folder}/kept`, 'of an earlier close');
    const { findings } = await look(world, host);
    assert.ok(findings.some(({ level, text }) => level === 'warning' && text.includes(`is moved to ${aside}`)));
    const report = await deploy(world, host);
    assert.ok(report.apps.every(({ status }) => status === 'restored'));
    await close(world, host);
    assert.equal(fallback.read(`${aside}/kept`), 'of an earlier close');
    assert.ok(!fallback.has(folder));
    const mainHost = hostOf(main.root, join(world.folder, 'main-state'));
    for (const place of [aside, `${aside}.1`]) {
      main.write(`${folder}/kept`, place);
      await mainHost.yunohost.apps.remove('demosql');
      assert.equal((await recover(world, mainHost, 'demosql')).status, 'replaced');
      assert.equal(main.read(`${place}/kept`), place);
      assert.ok(!main.has(`${folder}/kept`));
    }
  });

  it('are not replaced on the main server: neither by a recovery, nor by what comes home', async () => {
    const { world, main, fallback, host } = await twoServers();
    await leaveOut(main.root, 'demosql');
    const folder = '/home/yunohost.app/demosql';
    main.write(`${folder}/mine`, 'mine');
    const mainHost = hostOf(main.root, join(world.folder, 'main-state'));
    await assert.rejects(
      recover(world, mainHost, 'demosql'),
      (error) => isFallbackError(error, 'BACKUP_FAILED') && /do_not_backup_data -v 0/.test(error.hint),
    );
    // A version without data leaves them where they are.
    await runMainNight(world, main.root);
    assert.equal((await recover(world, mainHost, 'demosql')).status, 'replaced');
    assert.equal(main.read(`${folder}/mine`), 'mine');
    await deploy(world, host);
    await leaveOut(fallback.root, 'demosql', '0');
    liveOneDay(fallback, { day: 5, seed: 5, users: [], apps: [demoSql] });
    await close(world, host);
    const updated = await update(world, main, { take: ['demosql'] });
    const outcome = updated?.outcomes.find(({ name }) => name === 'demosql');
    assert.equal(outcome?.status, 'failed');
    assert.match(outcome?.reason ?? '', /would replace them.*do_not_backup_data -v 0/);
    assert.equal(main.read(`${folder}/mine`), 'mine');
  });
});
