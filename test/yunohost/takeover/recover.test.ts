// One app back as it was: from a date, put back when that fails, and never in the way of anything else unless half done.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { recoveryFact, requireNoRecovery } from '../../../src/yunohost/takeover/half-recovery.ts';
import { setFaults } from '../double/faults.ts';
import { compareServers, liveOneDay, readServerState } from '../double/seed-server.ts';
import { demoSql } from '../double/testing.ts';
import { hostOf, leftovers, openJournal, recover, twoServers } from './takeover-fixture.ts';

describe('recover', { concurrency: 2 }, () => {
  it('recovers one app as it was at a date, and puts it back when that fails', async () => {
    const { world, main } = await twoServers();
    const host = hostOf(main.root, join(world.folder, 'main-state'));
    const before = readServerState(main.root, ['databases', 'apps']);
    liveOneDay(main, { day: 6, seed: 6, users: [], apps: [demoSql] });
    writeFileSync(join(main.root, 'var/www/demosql/run'), 'spoilt');
    const spoilt = readServerState(main.root, ['databases', 'apps']);
    setFaults(main.root, [{ match: '^backup restore fallback-take', kind: 'fail' }]);
    assert.equal((await recover(world, host, 'demosql')).status, 'put-back');
    assert.deepEqual(compareServers(spoilt, readServerState(main.root, ['databases', 'apps'])), []);
    setFaults(main.root, []);
    assert.equal((await recover(world, host, 'demosql')).status, 'replaced');
    assert.deepEqual(compareServers(before, readServerState(main.root, ['databases', 'apps'])), []);
    assert.deepEqual(leftovers(main.root), []);
    await assert.rejects(recover(world, host, 'nothing'), (error) => isFallbackError(error, 'NOT_FOUND'));
  });

  it('keeps what an app was in an archive of its own when it cannot be sent', async () => {
    const { world, main } = await twoServers();
    const host = hostOf(main.root, join(world.folder, 'main-state'));
    const path = '/var/www/demosql/run';
    const kept: string[] = [];
    for (const text of ['first', 'second']) {
      main.write(path, text);
      const { status, keptArchive = '' } = await recover(world, host, 'demosql', { epoch: undefined });
      assert.equal(status, 'replaced');
      kept.push(keptArchive);
      await sleep(1000);
    }
    for (const [index, name] of kept.entries()) {
      await host.yunohost.apps.remove('demosql', { purge: true });
      await host.yunohost.backups.restore({ name, apps: ['demosql'] });
      assert.equal(main.read(path), ['first', 'second'][index]);
    }
  });

  it('blocks nothing when it stopped before the app was touched', async () => {
    const { world, main } = await twoServers();
    const host = hostOf(main.root, join(world.folder, 'main-state'));
    const journal = () => openJournal(host.stateFolder, undefined, 'recover.json');
    setFaults(main.root, [{ match: '^backup create .*fallback-safe-demosql', kind: 'fail' }]);
    await assert.rejects(recover(world, host, 'demosql'), (error) => isFallbackError(error, 'BACKUP_FAILED'));
    assert.equal((await journal()).state, 'idle');
    setFaults(main.root, []);
    // The same, but for a process that was killed: nobody was left to say so.
    const facts = { app: 'demosql', snapshot: 1, domain: 'main.test', contentBytes: 1 };
    await (await journal()).reset('recovering', { [recoveryFact]: facts });
    requireNoRecovery(await journal(), 'close');
    assert.equal((await recover(world, host, 'demopg')).status, 'replaced');
    await (await journal()).reset('recovering', { [recoveryFact]: { ...facts, snapshot: 99 } });
    assert.equal((await recover(world, host, 'demosql', { at: '1' })).snapshot, 1);
    assert.deepEqual(leftovers(main.root), []);
  });

  it('is finished before anything else when the app is half replaced', async () => {
    const { world, main } = await twoServers();
    const host = hostOf(main.root, join(world.folder, 'main-state'));
    const cutOff = (step: string, moment: string): void => {
      if (step === 'replace:demosql' && moment === 'begun') throw new Error('cut off');
    };
    await assert.rejects(recover(world, host, 'demosql', { onStep: cutOff }), /cut off/);
    const journal = await openJournal(host.stateFolder, undefined, 'recover.json');
    assert.equal(journal.state, 'recovering');
    assert.throws(
      () => requireNoRecovery(journal, 'close'),
      (error) => isFallbackError(error, 'WRONG_STATE') && /fallback recover demosql/.test(error.hint),
    );
    await assert.rejects(recover(world, host, 'demopg'), (error) => isFallbackError(error, 'WRONG_STATE'));
    assert.equal((await recover(world, host, 'demosql')).status, 'replaced');
    assert.equal((await recover(world, host, 'demopg')).status, 'replaced');
    assert.deepEqual(leftovers(main.root), []);
  });
});
