// Parts of the system that a restore replaces as a whole: what only this server wrote stays, and a failure puts all parts back.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFaults } from '../double/faults.ts';
import { compareServers, liveOneDay, readServerState } from '../double/seed-server.ts';
import { createUser } from '../double/users.ts';
import { close, deploy, runMainNight, twoServers, update } from './takeover-fixture.ts';

const users = ['alice', 'bob'];

const folder = '/home/yunohost.multimedia/share/Music';

/** Two servers, taken over, with a multimedia folder that was there before. */
async function takenOverWithMusic() {
  const two = await twoServers();
  two.main.write(`${folder}/old.ogg`, 'old');
  await runMainNight(two.world, two.main.root);
  await deploy(two.world, two.host);
  liveOneDay(two.fallback, { day: 5, seed: 5, users });
  return two;
}

describe('whole parts of the system', { concurrency: 2 }, () => {
  it('asks before the multimedia folder is replaced that both wrote', async () => {
    const { world, main, fallback, host } = await takenOverWithMusic();
    fallback.write(`${folder}/there.ogg`, 'there');
    await close(world, host);
    main.write(`${folder}/here.ogg`, 'here');
    const asked = await update(world, main, { all: true });
    assert.equal(asked?.items.find(({ name }) => name === 'system')?.verdict, 'both');
    assert.equal(asked?.outcomes.find(({ name }) => name === 'system')?.status, 'open');
    assert.ok(main.has(`${folder}/here.ogg`));
    await update(world, main, { take: ['system'] });
    assert.deepEqual([main.has(`${folder}/here.ogg`), main.has(`${folder}/there.ogg`)], [false, true]);
  });

  it('leaves the multimedia folder alone when only this server wrote in it', async () => {
    const { world, main, host } = await takenOverWithMusic();
    await close(world, host);
    main.write(`${folder}/here.ogg`, 'here');
    const done = await update(world, main, { all: true });
    assert.equal(done?.outcomes.find(({ name }) => name === 'system')?.status, 'taken');
    assert.deepEqual([main.has(`${folder}/here.ogg`), main.has(`${folder}/old.ogg`)], [true, true]);
  });

  it('puts every part back when one cannot be restored', async () => {
    const { world, main, fallback, host } = await twoServers();
    await deploy(world, host);
    await createUser(fallback, { name: 'carol', fullName: 'Carol Test', domain: 'main.test' });
    liveOneDay(fallback, { day: 5, seed: 5, users });
    await close(world, host);
    const before = readServerState(main.root, ['ldap']);
    setFaults(main.root, [
      { match: '^backup restore fallback-take-system', kind: 'fail', at: 'hook-restore', path: 'data_mail$' },
    ]);
    const failed = await update(world, main, { take: ['system'] });
    const outcome = failed?.outcomes.find(({ name }) => name === 'system');
    assert.equal(outcome?.status, 'failed');
    assert.match(outcome?.reason ?? '', /^What was here is back; .*data_mail/);
    assert.deepEqual(compareServers(before, readServerState(main.root, ['ldap'])), []);
    setFaults(main.root, []);
    const again = await update(world, main, { take: ['system'] });
    assert.equal(again?.outcomes.find(({ name }) => name === 'system')?.status, 'taken');
    assert.ok(readServerState(main.root, ['ldap']).has('ldap:uid=carol,ou=users,dc=yunohost,dc=org'));
  });
});
