// A close of a deploy that was cut off while it brought an app: what stands under that name is nobody's to throw away.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFaults } from '../double/faults.ts';
import { compareServers, liveOneDay, readServerState } from '../double/seed-server.ts';
import { demoPg } from '../double/testing.ts';
import { close, deploy, recover, twoServers } from './takeover-fixture.ts';

/** The empty folder of a database engine that had no database before. */
const ignore = [/^\/var\/lib\/mysql$/];

/** Stops an operation as a kill does. */
const cutOff =
  (wanted: string) =>
  (step: string, moment: string): void => {
    if (`${step} ${moment}` === wanted) throw new Error('cut off');
  };

describe('a close of a deploy that was cut off in an app', { concurrency: 2 }, () => {
  it('leaves the own app of that name alone once it is back', async () => {
    const two = await twoServers();
    const before = readServerState(two.fallback.root);
    await assert.rejects(deploy(two.world, two.host, cutOff('app:demopg begun')), /cut off/);
    await assert.rejects(close(two.world, two.host, { onStep: cutOff('close:check begun') }), /cut off/);
    await close(two.world, two.host);
    assert.deepEqual(compareServers(before, readServerState(two.fallback.root), { ignore }), []);
  });

  it('saves and removes an app that was repaired by hand where the own one had made way', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    setFaults(fallback.root, [{ match: '^backup restore fallback-take-demopg', kind: 'app-fails' }]);
    const { apps } = await deploy(world, host);
    assert.equal(apps.find(({ id }) => id === 'demopg')?.status, 'missing');
    setFaults(fallback.root, []);
    await recover(world, host, 'demopg', { epoch: 2 });
    liveOneDay(fallback, { day: 5, seed: 5, users: [], apps: [demoPg] });
    const { saved } = await close(world, host);
    assert.ok(saved.includes('demopg'));
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
  });
});
