// A deploy that is typed again when people work with what is there: it replaces nothing that somebody repaired.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DeployReport, noteRecovered } from '../../../src/yunohost/takeover/deploy.ts';
import { setFaults } from '../double/faults.ts';
import { liveOneDay } from '../double/seed-server.ts';
import { demoSql } from '../double/testing.ts';
import { close, deploy, openJournal, recover, runMainNight, twoServers } from './takeover-fixture.ts';

describe('a deploy that is typed again', { concurrency: 2 }, () => {
  it('an app that was missing and was repaired meanwhile is left as it is', async () => {
    const { world, fallback, host } = await twoServers();
    setFaults(fallback.root, [{ match: '^backup restore fallback-take-(demosql|demopg)', kind: 'app-fails' }]);
    const statusOf = ({ apps }: DeployReport, app: string) => apps.find(({ id }) => id === app)?.status;
    const first = await deploy(world, host);
    assert.deepEqual([statusOf(first, 'demosql'), statusOf(first, 'demopg')], ['missing', 'missing']);
    setFaults(fallback.root, []);
    await recover(world, host, 'demosql', { epoch: 2 });
    liveOneDay(fallback, { day: 5, seed: 5, users: [], apps: [demoSql] });
    const second = await deploy(world, host);
    assert.deepEqual([statusOf(second, 'demosql'), statusOf(second, 'demopg')], ['restored', 'restored']);
    assert.ok(fallback.has('/home/yunohost.app/demosql/uploads/day-5/file.bin'));
    const { saved } = await close(world, host);
    assert.ok(saved.includes('demosql'));
  });

  it('parts of the system that fail are told as missing and hold nothing up; later they come, and what people wrote stays', async () => {
    const { world, main, fallback, host } = await twoServers();
    const music = '/home/yunohost.multimedia/share/Music';
    main.write(`${music}/old.ogg`, 'old');
    await runMainNight(world, main.root);
    const fails = { match: '^backup restore', kind: 'fail', at: 'hook-restore' } as const;
    setFaults(
      fallback.root,
      ['data_home', 'data_multimedia'].map((path) => ({ ...fails, path })),
    );
    const first = await deploy(world, host);
    assert.deepEqual(first.system.missing.map(({ name }) => name).sort(), ['data_home', 'data_multimedia']);
    assert.ok(first.apps.every(({ status }) => status === 'restored'));
    setFaults(fallback.root, []);
    for (const name of ['old', 'new']) fallback.write(`${music}/${name}.ogg`, `written here: ${name}`);
    fallback.write('/home/bob/letter.txt', 'written here');
    const second = await deploy(world, host);
    assert.deepEqual(second.system.missing, []);
    assert.equal(fallback.read(`${music}/old.ogg`), 'written here: old');
    assert.equal(fallback.read(`${music}/new.ogg`), 'written here: new');
    assert.equal(fallback.read('/home/bob/letter.txt'), 'written here');
    assert.ok(fallback.has('/home/alice'));
  });

  it('what a failed try left of an app is not touched again, until it is removed or recovered', async () => {
    const { world, fallback, host } = await twoServers();
    setFaults(fallback.root, [
      { match: '^backup restore fallback-take-notes', kind: 'kill', at: 'app-settings-restored' },
      { match: '^app remove notes', kind: 'fail' },
    ]);
    const reasonOf = async (): Promise<string> => (await deploy(world, host)).apps.at(-1)?.reason ?? '';
    assert.match(await reasonOf(), /could not be removed/);
    setFaults(fallback.root, []);
    assert.match(await reasonOf(), /is not touched.*yunohost app remove notes/);
    await noteRecovered(await openJournal(host.stateFolder), 'notes');
    assert.equal(await reasonOf(), '');
  });
});
