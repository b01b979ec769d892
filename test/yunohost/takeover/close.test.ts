// Giving back: what was produced is in the repository, and the server is what it was, byte for byte.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { newestOf, origins } from '../../../src/yunohost/takeover/choose-snapshot.ts';
import { setFaults } from '../double/faults.ts';
import { compareServers, liveOneDay, readServerState } from '../double/seed-server.ts';
import { demoPg, demoSql } from '../double/testing.ts';
import {
  close,
  deploy,
  emptyEngine,
  leftovers,
  openJournal,
  twoServers,
  withFolderSession,
} from './takeover-fixture.ts';

const ignore = [emptyEngine];

describe('close', { concurrency: 2 }, () => {
  it('puts a server back as it was, byte for byte', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    await deploy(world, host);
    liveOneDay(fallback, { day: 5, seed: 5, users: ['alice', 'bob'], apps: [demoSql, demoPg] });
    const report = await close(world, host);
    assert.deepEqual([...report.saved].sort(), ['demopg', 'demosql', 'notes', 'system']);
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
    assert.deepEqual(leftovers(fallback.root), []);
    assert.equal((await openJournal(host.stateFolder)).state, 'idle');
    // And once more: a second takeover puts the own state aside anew, and gives it back as well.
    await deploy(world, host);
    await close(world, host);
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
  });

  it('leaves data that no backup holds where they are, and says so', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    await deploy(world, host);
    await host.yunohost.apps.setSetting('demosql', 'do_not_backup_data', '1');
    liveOneDay(fallback, { day: 5, seed: 5, users: [], apps: [demoSql] });
    const report = await close(world, host);
    const folder = '/home/yunohost.app/demosql';
    assert.deepEqual(report.unsaved, [{ app: 'demosql', folder }]);
    assert.ok(fallback.has(`${folder}/uploads/day-5/file.bin`));
    const kept = /^\/home\/yunohost\.app\/demosql/;
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore: [...ignore, kept] }), []);
  });

  it('is refused without a takeover, and changes nothing', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    await assert.rejects(close(world, host), (error) => isFallbackError(error, 'WRONG_STATE'));
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
  });

  it('removes nothing when one app cannot be backed up, until it is given up by name', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    await deploy(world, host);
    const deployed = readServerState(fallback.root);
    setFaults(fallback.root, [{ match: '^backup create', kind: 'app-fails', app: 'demosql' }]);
    await assert.rejects(close(world, host), (error) => isFallbackError(error, 'BACKUP_FAILED'));
    assert.deepEqual(compareServers(deployed, readServerState(fallback.root)), []);
    const produced = await withFolderSession(world, (session) => newestOf(session, origins.produced));
    assert.equal(produced, undefined);
    const report = await close(world, host, { discarded: ['demosql'] });
    assert.deepEqual(report.discarded, ['demosql']);
    setFaults(fallback.root, []);
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
  });
});
