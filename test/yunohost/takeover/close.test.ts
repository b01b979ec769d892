// Giving back: what was produced is in the repository, and the server is what it was, byte for byte.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { newestOf, origins, snapshotByNumber } from '../../../src/yunohost/takeover/choose-snapshot.ts';
import { compareVersions } from '../../../src/yunohost/takeover/compare-versions.ts';
import { setFaults } from '../double/faults.ts';
import { type AppShape, compareServers, liveOneDay, readServerState } from '../double/seed-server.ts';
import { setServiceState, stateOfService } from '../double/service-states.ts';
import { demoPg, demoSql } from '../double/testing.ts';
import { close, deploy, leftovers, openJournal, twoServers, withFolderSession } from './takeover-fixture.ts';

/** The empty folder of a database engine that had no database before. */
const ignore = [/^\/var\/lib\/mysql$/];

describe('close', { concurrency: 2 }, () => {
  it('puts a server back as it was, byte for byte', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    await deploy(world, host);
    liveOneDay(fallback, { day: 5, seed: 5, users: ['alice', 'bob'], apps: [demoSql, demoPg] });
    const report = await close(world, host);
    assert.deepEqual([...report.saved].sort(), ['demopg', 'demosql', 'notes', 'system']);
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
    assert.deepEqual(leftovers(fallback.root), []);
    assert.equal((await openJournal(host.stateFolder)).state, 'idle');
    // And once more: a second takeover puts the own state aside anew, and gives it back as well.
    await deploy(world, host);
    await close(world, host);
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
  });

  it('leaves data that no backup holds where they are, and says so', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    await deploy(world, host);
    await host.yunohost.apps.setSetting('demosql', 'do_not_backup_data', '1');
    liveOneDay(fallback, { day: 5, seed: 5, users: [], apps: [demoSql] });
    const report = await close(world, host);
    const folder = '/home/yunohost.app/demosql';
    assert.deepEqual(report.unsaved, [{ app: 'demosql', folder }]);
    assert.ok(fallback.has(`${folder}/uploads/day-5/file.bin`));
    const kept = /^\/home\/yunohost\.app\/demosql/;
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore: [...ignore, kept] }), []);
  });

  it('interrupted, backs up anew what was written meanwhile, and lets nobody write before it removes', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    const day = (number: number, users: string[], apps: AppShape[]) =>
      liveOneDay(fallback, { day: number, seed: 5, users, apps });
    const running = () =>
      ['nginx', 'postfix', 'dovecot'].filter((name) => stateOfService(fallback, name) === 'running');
    await deploy(world, host);
    day(5, ['alice'], [demoSql]);
    let atPin: string[] | undefined;
    const interrupted = close(world, host, {
      onStep: (step, moment) => {
        if (step !== 'close:pin' || moment !== 'ended') return;
        atPin = running();
        throw new Error('interrupted');
      },
    });
    await assert.rejects(interrupted, /interrupted/);
    assert.deepEqual(atPin, []);
    assert.deepEqual(running(), ['nginx', 'postfix', 'dovecot']);

    day(6, ['alice'], [demoSql]);
    setFaults(fallback.root, [{ match: '^app remove demosql', kind: 'fail' }]);
    await assert.rejects(close(world, host), (error) => isFallbackError(error, 'YUNOHOST_FAILED'));
    // Removing demopg reloaded nginx, and so started it; it was stopped again before demosql.
    assert.deepEqual(running(), []);

    // As after a reboot: all runs again, and mail comes in.
    for (const name of ['nginx', 'postfix', 'dovecot']) setServiceState(fallback, name, 'running');
    day(7, ['alice'], [demoSql]);
    setFaults(fallback.root, []);
    const report = await close(world, host);
    assert.deepEqual(running(), ['nginx', 'postfix', 'dovecot']);
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
    await withFolderSession(world, async (session) => {
      const main = await snapshotByNumber(session, 1);
      const daysIn = async (number: number, archive: string): Promise<string[]> => {
        const { added } = await compareVersions(session, main, await snapshotByNumber(session, number), archive);
        const days = added.flatMap((member) => /\/day-\d/.exec(member)?.[0] ?? []);
        return [...new Set(days)].sort();
      };
      assert.deepEqual(await daysIn(report.produced, 'demosql'), ['/day-5', '/day-6']);
      assert.deepEqual(await daysIn(report.produced, 'system'), ['/day-5', '/day-6']);
      assert.deepEqual(await daysIn(report.late ?? 0, 'system'), ['/day-5', '/day-6', '/day-7']);
      const pinned = (await session.repository.snapshots()).filter(({ pinned }) => pinned);
      assert.deepEqual(
        pinned.map(({ number }) => number),
        [report.produced, report.late],
      );
    });
  });

  it('is refused without a takeover, and changes nothing', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    await assert.rejects(close(world, host), (error) => isFallbackError(error, 'WRONG_STATE'));
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
  });

  it('removes nothing when one app cannot be backed up, until it is given up by name', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    await deploy(world, host);
    const deployed = readServerState(fallback.root);
    setFaults(fallback.root, [{ match: '^backup create', kind: 'app-fails', app: 'demosql' }]);
    await assert.rejects(close(world, host), (error) => isFallbackError(error, 'BACKUP_FAILED'));
    assert.deepEqual(compareServers(deployed, readServerState(fallback.root)), []);
    const produced = await withFolderSession(world, (session) => newestOf(session, origins.produced));
    assert.equal(produced, undefined);
    const report = await close(world, host, { discarded: ['demosql'] });
    assert.deepEqual(report.discarded, ['demosql']);
    setFaults(fallback.root, []);
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
  });
});
