// A close that is cut off and typed again days later: what was written in between is in a backup.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { snapshotByNumber } from '../../../src/yunohost/takeover/choose-snapshot.ts';
import { compareVersions } from '../../../src/yunohost/takeover/compare-versions.ts';
import { setFaults } from '../double/faults.ts';
import { type AppShape, compareServers, liveOneDay, readServerState } from '../double/seed-server.ts';
import { setServiceState, stateOfService } from '../double/service-states.ts';
import { demoSql } from '../double/testing.ts';
import { close, cutOff, deploy, emptyEngine, twoServers, withFolderSession } from './takeover-fixture.ts';

const ignore = [emptyEngine];

describe('a close that is interrupted', { concurrency: 2 }, () => {
  it('backs up anew what was written meanwhile, and lets nobody write before it removes', async () => {
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

  it('leaves the own app alone that came back where a takeover was cut off in the main server’s', async () => {
    const two = await twoServers();
    const before = readServerState(two.fallback.root);
    await assert.rejects(deploy(two.world, two.host, cutOff('app:demopg begun')), /cut off/);
    await assert.rejects(close(two.world, two.host, { onStep: cutOff('close:check begun') }), /cut off/);
    await close(two.world, two.host);
    assert.deepEqual(compareServers(before, readServerState(two.fallback.root), { ignore }), []);
  });
});
