// The main server is gone for good: a machine that was never set up becomes what it was, with what was produced meanwhile.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { compareServers, liveOneDay, readServerState, seedBareServer } from '../double/seed-server.ts';
import { demoPg, demoSql, newRoot } from '../double/testing.ts';
import { close, deploy, twoServers, update } from './takeover-fixture.ts';

it('a new machine takes everything home', async () => {
  const { world, fallback, host } = await twoServers();
  await deploy(world, host);
  liveOneDay(fallback, { day: 5, seed: 5, users: ['alice', 'bob'], apps: [demoSql, demoPg] });
  const produced = readServerState(fallback.root);
  await close(world, host);
  const fresh = seedBareServer(newRoot());
  const done = await update(world, fresh, { all: true }, { liveEpoch: 2 });
  assert.deepEqual(
    done?.outcomes.map(({ status, reason }) => [status, reason]),
    done?.outcomes.map(() => ['taken', undefined]),
  );
  assert.equal(done?.adopted, 2);
  const ownToEach = [
    /fb\.test|fbwiki|fbadmin|tmpadmin/,
    /^\/etc\/yunohost\/(certs|services\.yml|settings\.yml|firewall\.yml|domains)/,
    /^ldap:cn=(admins|all_users|fbwiki)/,
    /^\/etc\/yunohost\/apps\/\w+\/settings\.yml$/,
  ];
  assert.deepEqual(compareServers(produced, readServerState(fresh.root), { ignore: ownToEach }), []);
});
