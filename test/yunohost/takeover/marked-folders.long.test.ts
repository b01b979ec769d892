// Homes and the multimedia folder that a file .nobackup leaves out of every backup: nothing replaces them, on either server.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { close, deploy, look, runMainNight, twoServers, update } from './takeover-fixture.ts';

describe('folders that no backup holds', { concurrency: 2 }, () => {
  it('stop a takeover that would replace marked folders, and stay when they are marked in one', async () => {
    const { world, main, fallback, host } = await twoServers();
    const [music, bob] = ['/home/yunohost.multimedia', '/home/bob'];
    main.write(`${music}/song`, 'of the main server');
    await runMainNight(world, main.root);
    for (const folder of [music, bob]) {
      fallback.write(`${folder}/own`, 'own');
      fallback.write(`${folder}/.nobackup`, '');
    }
    const refused = (await look(world, host)).findings.filter(({ level }) => level === 'refused');
    const cures = refused.map(({ hint = '' }) =>
      /rm (\S+)\/\.nobackup.*exclude_system = \["(\w+)"\]/.exec(hint)?.slice(1),
    );
    assert.deepEqual(cures, [
      [bob, 'data_home'],
      [music, 'data_multimedia'],
    ]);
    for (const folder of [music, bob]) rmSync(join(fallback.root, folder, '.nobackup'));
    assert.ok((await look(world, host)).findings.every(({ level }) => level === 'ok' || level === 'warning'));
    await deploy(world, host);
    for (const folder of [music, bob, '/home/alice']) {
      fallback.write(`${folder}/produced`, 'produced');
      fallback.write(`${folder}/.nobackup`, '');
    }
    const { unsaved } = await close(world, host);
    const aside = '/home/yunohost.fallback-produced-2';
    assert.deepEqual(unsaved, [
      { folder: '/home/alice' },
      { folder: `${aside}/bob`, from: bob },
      { folder: `${aside}/yunohost.multimedia`, from: music },
    ]);
    for (const { folder } of unsaved) assert.equal(fallback.read(`${folder}/produced`), 'produced');
    for (const folder of [music, bob]) {
      assert.equal(fallback.read(`${folder}/own`), 'own');
      assert.ok(!fallback.has(`${folder}/produced`));
    }
  });

  it('are not replaced on the main server by what the fallback server has of its own', async () => {
    const { world, main, fallback, host } = await twoServers();
    const [music, bob] = ['/home/yunohost.multimedia', '/home/bob'];
    for (const folder of [music, bob]) {
      main.write(`${folder}/both`, 'mine');
      main.write(`${folder}/.nobackup`, '');
      for (const name of ['both', 'own']) fallback.write(`${folder}/${name}`, 'of the fallback server');
    }
    await runMainNight(world, main.root);
    await deploy(world, host);
    for (const home of ['alice', 'carol']) fallback.write(`/home/${home}/produced`, 'produced');
    await close(world, host);
    const systemOf = (updated: Awaited<ReturnType<typeof update>>) =>
      updated?.outcomes.find(({ name }) => name === 'system');
    // Marked since: the safety backup would not hold what is there.
    main.write('/home/alice/.nobackup', '');
    const refused = systemOf(await update(world, main, { all: true }));
    assert.equal(refused?.status, 'failed');
    assert.match(refused?.reason ?? '', /in \/home\/alice, .*rm \/home\/alice\/\.nobackup/);
    assert.ok(!main.has('/home/alice/produced'));
    rmSync(join(main.root, 'home/alice/.nobackup'));
    assert.equal(systemOf(await update(world, main, { all: true }))?.status, 'taken');
    for (const folder of [music, bob]) {
      assert.equal(main.read(`${folder}/both`), 'mine');
      assert.ok(!main.has(`${folder}/own`));
    }
    for (const home of ['alice', 'carol']) assert.equal(main.read(`/home/${home}/produced`), 'produced');
    assert.ok(!main.has('/home/fbadmin'));
  });
});
