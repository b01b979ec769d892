// Bringing home: what the fallback server produced is on the main server, what both wrote is asked for, failures are put back.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { setFaults } from '../double/faults.ts';
import { compareServers, liveOneDay, readServerState } from '../double/seed-server.ts';
import { demoPg, demoSql } from '../double/testing.ts';
import { close, deploy, leftovers, runMainNight, twoServers, update } from './takeover-fixture.ts';

/** What a machine keeps for itself. */
const ownToEach = [
  /fb\.test|fbwiki|fbadmin/,
  /^\/etc\/yunohost\/(certs|services\.yml|settings\.yml|firewall\.yml|domains)/,
  /^ldap:cn=(admins|all_users|fbwiki)/,
  /^\/etc\/yunohost\/apps\/\w+\/settings\.yml$/,
];
const day = (number: number, apps = [demoSql, demoPg]) => ({
  day: number,
  seed: number,
  users: ['alice', 'bob'],
  apps,
});

describe('update', { concurrency: 2 }, () => {
  it('brings home what was produced, and nightly pushes go on', async () => {
    const { world, main, fallback, host } = await twoServers();
    await deploy(world, host);
    await assert.rejects(runMainNight(world, main.root), (error) => isFallbackError(error, 'FENCED'));
    await assert.rejects(update(world, main, { all: true }), (error) => isFallbackError(error, 'WRONG_STATE'));
    liveOneDay(fallback, day(5));
    const produced = readServerState(fallback.root);
    await close(world, host);
    const first = await update(world, main, {});
    const verdicts = Object.fromEntries(first?.items.map(({ name, verdict }) => [name, verdict]) ?? []);
    assert.deepEqual(verdicts, { system: 'fallback', demopg: 'fallback', demosql: 'fallback', notes: 'nothing' });
    assert.equal(first?.adopted, undefined);
    const second = await update(world, main, { all: true });
    assert.deepEqual(Object.fromEntries(second?.outcomes.map(({ name, status }) => [name, status]) ?? []), {
      system: 'taken',
      demopg: 'taken',
      demosql: 'taken',
      notes: 'same',
    });
    assert.equal(second?.adopted, 2);
    assert.deepEqual(compareServers(produced, readServerState(main.root), { ignore: ownToEach }), []);
    assert.deepEqual(leftovers(main.root), []);
    await runMainNight(world, main.root, 2);
    assert.equal(await update(world, main, { all: true }, { liveEpoch: 2 }), undefined);
  });

  it('never replaces silently what both wrote', async () => {
    const { world, main, fallback, host } = await twoServers();
    await deploy(world, host);
    liveOneDay(fallback, day(5, [demoSql]));
    await close(world, host);
    liveOneDay(main, { ...day(6, [demoSql]), users: [] });
    const before = readServerState(main.root, ['databases', 'apps']);
    const all = await update(world, main, { all: true });
    assert.equal(all?.outcomes.find(({ name }) => name === 'demosql')?.status, 'open');
    assert.equal(all?.items.find(({ name }) => name === 'demosql')?.verdict, 'both');
    assert.equal(all?.adopted, undefined);
    assert.deepEqual(compareServers(before, readServerState(main.root, ['databases', 'apps'])), []);
    const kept = await update(world, main, { keep: ['demosql'] });
    assert.equal(kept?.adopted, 2);
    assert.deepEqual(compareServers(before, readServerState(main.root, ['databases', 'apps'])), []);
  });

  it('puts an app back when its new version cannot be restored', async () => {
    const { world, main, fallback, host } = await twoServers();
    await deploy(world, host);
    liveOneDay(fallback, day(5, [demoSql]));
    await close(world, host);
    const before = readServerState(main.root, ['databases', 'apps']);
    setFaults(main.root, [{ match: '^backup restore fallback-take-demosql', kind: 'app-fails', app: 'demosql' }]);
    const failed = await update(world, main, { take: ['demosql'], keep: ['system', 'demopg'] });
    const outcome = failed?.outcomes.find(({ name }) => name === 'demosql');
    assert.equal(outcome?.status, 'failed');
    assert.match(outcome?.reason ?? '', /^It runs as it did before/);
    assert.equal(failed?.adopted, undefined);
    assert.deepEqual(compareServers(before, readServerState(main.root, ['databases', 'apps'])), []);
    setFaults(main.root, []);
    const again = await update(world, main, { take: ['demosql'] });
    assert.equal(again?.adopted, 2);
    assert.deepEqual(leftovers(main.root), []);
  });
});
