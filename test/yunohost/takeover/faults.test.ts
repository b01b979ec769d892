// What goes wrong on the way: calls that fail, hang, print junk or half-succeed, a full disk, a lease that is held, damage.
// After each nothing is lost, and the same command again goes on.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { leaseIdFromBytes, parseEpoch } from '../../../src/format/ids.ts';
import { mayDeploy } from '../../../src/yunohost/takeover/preflight.ts';
import { setFaults } from '../double/faults.ts';
import { setRoom } from '../double/free-space.ts';
import { compareServers, readServerState } from '../double/seed-server.ts';
import {
  close,
  deploy,
  hostOf,
  leftovers,
  look,
  openJournal,
  twoServers,
  withFolderSession,
} from './takeover-fixture.ts';

const ignore = [/^\/var\/lib\/mysql$/];

describe('faults of a takeover', { concurrency: 2 }, () => {
  it('an app that fails twice is told as missing, leaves no zombie, and comes with the next deploy', async () => {
    const { world, fallback, host } = await twoServers();
    setFaults(fallback.root, [{ match: '^backup restore fallback-take-demosql', kind: 'app-fails', app: 'demosql' }]);
    const first = await deploy(world, host);
    assert.deepEqual(
      first.apps.map(({ id, status }) => [id, status]),
      [
        ['demopg', 'restored'],
        ['demosql', 'missing'],
        ['notes', 'restored'],
      ],
    );
    const list = await host.yunohost.apps.list();
    assert.equal(
      list.some(({ id }) => id === 'demosql'),
      false,
    );
    assert.deepEqual(leftovers(fallback.root), []);
    setFaults(fallback.root, []);
    const second = await deploy(world, host);
    assert.ok(second.apps.every(({ status }) => status === 'restored'));
  });

  it('junk, a hang and a half success cost a second try, not the takeover; and all is given back', async () => {
    const { world, fallback } = await twoServers();
    const host = hostOf(fallback.root, `${world.folder}/fallback-state`, '[yunohost]\ntime_limit = "20s"\n');
    const before = readServerState(fallback.root);
    setFaults(fallback.root, [
      { match: '^backup restore fallback-take-system', kind: 'junk', nth: 1 },
      { match: '^backup restore fallback-take-demopg', kind: 'hang', nth: 1 },
      { match: '^backup restore fallback-take-notes', kind: 'exit-code', code: 1, nth: 1 },
    ]);
    const report = await deploy(world, host);
    assert.ok(
      report.apps.every(({ status }) => status === 'restored'),
      JSON.stringify(report.apps),
    );
    assert.deepEqual(report.system.missing, []);
    setFaults(fallback.root, []);
    await close(world, host);
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
  });

  it('an own state that cannot be put aside stops it before anything is changed', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    setFaults(fallback.root, [{ match: '^backup create .*--system', kind: 'no-space' }]);
    await assert.rejects(deploy(world, host), (error) => isFallbackError(error, 'BACKUP_FAILED'));
    assert.deepEqual(compareServers(before, readServerState(fallback.root)), []);
    assert.deepEqual(leftovers(fallback.root), []);
    setFaults(fallback.root, []);
    // Given up: the main server learns that nothing was produced.
    await close(world, host);
    assert.deepEqual(compareServers(before, readServerState(fallback.root)), []);
    assert.equal((await openJournal(host.stateFolder)).state, 'idle');
  });

  it('a full disk and an old snapshot are seen before', async () => {
    const { world, fallback, host } = await twoServers();
    setRoom(fallback.root, 50_000_000);
    const full = await look(world, host);
    assert.ok(full.findings.some(({ level }) => level === 'impossible'));
    assert.equal(mayDeploy(full.findings, true), false);
    setRoom(fallback.root, undefined);
    const old = await look(world, host, 1);
    assert.match(old.findings[0]?.text ?? '', /older than/);
    assert.equal(mayDeploy(old.findings, false), false);
    assert.equal(mayDeploy(old.findings, true), true);
  });

  it('a push that is under way is shut out, and cannot publish any more', async () => {
    const { world, host } = await twoServers();
    await withFolderSession(world, async ({ repository }) => {
      const leaseId = leaseIdFromBytes(new Uint8Array(16).fill(3));
      await repository.acquireLease({ leaseId, epoch: parseEpoch(1), holder: 'push on main' });
      await deploy(world, host);
      await assert.rejects(repository.renewLease(leaseId));
      await assert.rejects(
        repository.acquireLease({ leaseId, epoch: parseEpoch(1), holder: 'push on main' }),
        (error) => isFallbackError(error, 'FENCED'),
      );
    });
  });
});
