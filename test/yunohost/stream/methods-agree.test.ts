// The same server, both methods: archives that hold the same and restore the same.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { it } from 'node:test';
import { compareServers, readServerState, seedBareServer } from '../double/seed-server.ts';
import { listMembers, type ReadMember } from '../double/tar-read.ts';
import { archivePath, demoSql, newRoot } from '../double/testing.ts';
import { doubleCommand } from '../double-host.ts';
import { NightFixture } from '../night-fixture.ts';

/** Everything of a member but the time of what is made anew for each archive. */
const shown = (member: ReadMember) => {
  const isGenerated = /^(apps|conf|data|hooks|info\.json|backup\.csv)/.test(member.name) && member.type === 'directory';
  const { name, type, mode, userId, groupId, userName, groupName, linkName, sizeBytes, modifiedSeconds } = member;
  const isMade =
    isGenerated || /(^|\/)(info\.json|backup\.csv|db\.sql|.*\.ldif|manually_modified_files_list)$/.test(name);
  return {
    name,
    type,
    mode,
    userId,
    groupId,
    userName,
    groupName,
    linkName,
    sizeBytes,
    ...(isMade ? {} : { modifiedSeconds }),
  };
};

it('both methods give archives with the same members and contents, which restore the same server', async () => {
  const fixture = await NightFixture.create({ apps: [demoSql], users: ['alice', 'bob'] });
  await fixture.night('[push]\nmethod = "archive"\n');
  await fixture.night('[push]\nmethod = "stream"\n');
  const states = [];
  for (const snapshot of ['1', '2']) {
    const bare = seedBareServer(newRoot());
    const yunohost = doubleCommand(bare.root);
    mkdirSync(yunohost.paths.archives, { recursive: true });
    for (const name of ['system', 'demosql']) {
      writeFileSync(archivePath(bare.root, `${name}.tar`), await fixture.bytesOf(name, snapshot));
    }
    const system = await yunohost.backups.restore({ name: 'system', system: 'all' });
    assert.ok([...system.results.system.values()].every((result) => result === 'Success'));
    const app = await yunohost.backups.restore({ name: 'demosql', apps: ['demosql'] });
    assert.equal(app.results.apps.get('demosql'), 'Success');
    states.push(readServerState(bare.root));
  }
  for (const name of ['system', 'demosql']) {
    const [first, second] = [
      listMembers(await fixture.bytesOf(name, '1')),
      listMembers(await fixture.bytesOf(name, '2')),
    ];
    assert.deepEqual(second.map(shown), first.map(shown));
    for (const [index, member] of first.entries()) {
      const isMade = /^(info\.json|backup\.csv)$/.test(member.name);
      if (!isMade) assert.ok(member.content().equals(second[index]?.content() ?? Buffer.alloc(0)), member.name);
    }
  }
  const [first, second] = states;
  assert.ok(first !== undefined && second !== undefined);
  // What the post-install of each bare machine made for itself.
  const ignore = [/^\/etc\/yunohost\/certs\/main\.test-history\/.*-selfsigned/, /^\/home\/tmpadmin/];
  assert.deepEqual(compareServers(first, second, { ignore }), []);
});
