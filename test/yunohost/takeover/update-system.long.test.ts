// Bringing the system home: what the fallback server never had was not removed there, and nothing here is lost for it.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseEpoch } from '../../../src/format/ids.ts';
import { lookHome } from '../../../src/yunohost/takeover/look-home.ts';
import { findProduced } from '../../../src/yunohost/takeover/update.ts';
import { setFaults } from '../double/faults.ts';
import { compareServers, liveOneDay, readServerState } from '../double/seed-server.ts';
import { close, deploy, hostOf, openJournal, twoServers, update, withFolderSession } from './takeover-fixture.ts';

const users = ['alice', 'bob'];
const mailsOf = (root: string, user: string): string[] =>
  ['cur', 'new'].flatMap((folder) => readdirSync(join(root, 'var/mail', user, folder)));

describe('update of the system', { concurrency: 2 }, () => {
  it('removes no mail when the takeover left mail out', async () => {
    const { world, main, fallback, host } = await twoServers({ toml: '[deploy]\nexclude_system = ["data_mail"]\n' });
    const before = new Map(users.map((user) => [user, mailsOf(main.root, user)]));
    await deploy(world, host);
    liveOneDay(fallback, { day: 5, seed: 5, users });
    await close(world, host);
    const done = await update(world, main, { all: true });
    assert.equal(done?.outcomes.find(({ name }) => name === 'system')?.status, 'taken');
    assert.equal(done?.items.find(({ name }) => name === 'system')?.there.counts.removed, 0);
    for (const user of users) {
      const now = mailsOf(main.root, user);
      assert.deepEqual(
        (before.get(user) ?? []).filter((mail) => !now.includes(mail)),
        [],
      );
      assert.equal(now.length, (before.get(user)?.length ?? 0) + 2);
    }
  });

  it('asks before a file of a home that was changed here alone becomes the older one again', async () => {
    const { world, main, fallback, host } = await twoServers();
    await deploy(world, host);
    liveOneDay(fallback, { day: 5, seed: 5, users });
    const home = join(main.root, 'home/alice');
    const name = readdirSync(home, { recursive: true, withFileTypes: true }).find((entry) => entry.isFile());
    assert.ok(name !== undefined);
    const file = join(name.parentPath, name.name);
    const edited = `${readFileSync(file, 'latin1')}written after the last night`;
    writeFileSync(file, edited, 'latin1');
    await close(world, host);
    const done = await update(world, main, { all: true });
    assert.equal(done?.outcomes.find(({ name: item }) => item === 'system')?.status, 'open');
    assert.equal(readFileSync(file, 'latin1'), edited);
    const both = done?.items.find(({ name: item }) => item === 'system')?.both ?? [];
    assert.ok(
      both.some((member) => member.endsWith(name.name)),
      both.join(', '),
    );
    const taken = await update(world, main, { take: ['system'], all: true });
    assert.equal(taken?.outcomes.find(({ name: item }) => item === 'system')?.status, 'taken');
  });

  it('removes no home when homes failed in the takeover, and no directory of users is replaced that was not taken', async () => {
    const { world, main, fallback, host } = await twoServers({ toml: '[deploy]\nexclude_system = ["conf_ldap"]\n' });
    const ldap = readServerState(main.root, ['ldap']);
    const homes = readServerState(main.root, ['homes']);
    setFaults(fallback.root, [
      { match: '^backup restore fallback-take-system', kind: 'fail', at: 'hook-restore', path: 'data_home$' },
      { match: '^backup restore fallback-take-system', kind: 'fail', at: 'hook-restore', path: 'data_mail$', nth: 1 },
    ]);
    const report = await deploy(world, host);
    assert.deepEqual(
      report.system.missing.map(({ name }) => name),
      ['data_home'],
    );
    setFaults(fallback.root, []);
    await close(world, host);
    const done = await update(world, main, { take: ['system'], all: true });
    assert.equal(done?.outcomes.find(({ name }) => name === 'system')?.status, 'taken');
    assert.deepEqual(compareServers(ldap, readServerState(main.root, ['ldap'])), []);
    const alice = [/^\/home\/(?!alice)/];
    assert.deepEqual(compareServers(homes, readServerState(main.root, ['homes']), { ignore: alice }), []);
  });

  it('asks, and takes nothing for removed, when an older version gave back', async () => {
    const { world, main, fallback, host } = await twoServers({ toml: '[deploy]\nexclude_system = ["data_mail"]\n' });
    await deploy(world, host);
    liveOneDay(fallback, { day: 5, seed: 5, users });
    await close(world, host);
    await withFolderSession(world, async (session) => {
      const stateFolder = join(world.folder, 'main-state');
      const request = {
        host: hostOf(main.root, stateFolder),
        session,
        journal: await openJournal(stateFolder),
        adopt: async () => undefined,
      };
      const produced = await findProduced(request, parseEpoch(1));
      assert.ok(produced !== undefined);
      const { takenParts, ...attributes } = produced.record.attributes;
      assert.match(takenParts ?? '', /data_home/);
      const older = { ...produced, record: { ...produced.record, attributes } };
      const system = (await lookHome(request, older)).items.find(({ name }) => name === 'system');
      assert.equal(system?.verdict, 'both');
      assert.equal(system?.there.counts.removed, 0);
    });
  });
});
