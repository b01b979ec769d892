// The takeover on a server that is set up and on a bare one: every byte of the main server is there, and the own domain answers.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { servesDomain } from '../double/domains.ts';
import { compareServers, readServerState } from '../double/seed-server.ts';
import { deploy, leftovers, look, openJournal, twoServers } from './takeover-fixture.ts';

/** What differs by right: the own domain and app, portals, keys that YunoHost draws anew, certificates' places. */
const byRight = [
  /fb\.test|fbwiki|fbadmin/,
  /^\/etc\/yunohost\/certs/,
  /^ldap:cn=(admins|all_users|fbwiki)/,
  /^\/etc\/yunohost\/services\.yml$/,
  // An own app has the port: YunoHost gives these another.
  /^\/etc\/yunohost\/apps\/(demosql|notes)\/settings\.yml$/,
  // The throw-away admin of a post-install that a restore does.
  /^\/home\/tmpadmin$/,
];

describe('deploy', { concurrency: 2 }, () => {
  it('brings the main server to one that is set up, and keeps it reachable', async () => {
    const { world, main, fallback, host } = await twoServers();
    const { findings } = await look(world, host);
    assert.ok(
      findings.every(({ level }) => level === 'ok' || level === 'warning'),
      JSON.stringify(findings, undefined, 1),
    );
    const report = await deploy(world, host);
    assert.deepEqual(
      report.apps.map(({ id, status, reason }) => [id, status, reason]),
      [
        ['demopg', 'restored', undefined],
        ['demosql', 'restored', undefined],
        ['notes', 'restored', undefined],
      ],
    );
    assert.deepEqual(report.system.missing, []);
    const differences = compareServers(readServerState(main.root), readServerState(fallback.root), { ignore: byRight });
    assert.deepEqual(differences, []);
    assert.ok(servesDomain(fallback, 'fb.test') && servesDomain(fallback, 'main.test'));
    assert.deepEqual(leftovers(fallback.root), []);
    assert.equal((await openJournal(host.stateFolder)).state, 'deployed');
  });

  it('brings the main server to a bare machine', async () => {
    const { world, main, fallback, host } = await twoServers({ isBare: true });
    const report = await deploy(world, host);
    assert.ok(report.apps.every(({ status }) => status === 'restored'));
    const differences = compareServers(readServerState(main.root), readServerState(fallback.root), { ignore: byRight });
    assert.deepEqual(differences, []);
    assert.deepEqual(leftovers(fallback.root), []);
  });
});
