// A close of a deploy that was cut off while it brought an app: what stands under that name is nobody's to throw away.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { snapshotByNumber } from '../../../src/yunohost/takeover/choose-snapshot.ts';
import { compareVersions } from '../../../src/yunohost/takeover/compare-versions.ts';
import type { SavedState } from '../../../src/yunohost/takeover/save-state.ts';
import type { TakeoverEvent } from '../../../src/yunohost/takeover/takeover-host.ts';
import { setFaults } from '../double/faults.ts';
import { type AppShape, compareServers, liveOneDay, readServerState } from '../double/seed-server.ts';
import { demoPg, demoSql } from '../double/testing.ts';
import {
  close,
  cutOff,
  deploy,
  emptyEngine,
  hostOf,
  openJournal,
  recover,
  twoServers,
  withFolderSession,
} from './takeover-fixture.ts';

const ignore = [emptyEngine];

describe('a close of a deploy that was cut off in an app', { concurrency: 2 }, () => {
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

  it('saves an app that stands although its restore was cut off, be it the main server’s or the own one', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    const workIn = (app: AppShape) => liveOneDay(fallback, { day: 5, seed: 5, users: [], apps: [app] });
    await assert.rejects(deploy(world, host, cutOff('app:demosql begun')), /cut off/);
    // As the restores do that outlive the run that began them.
    await recover(world, host, 'demosql', { epoch: 2 });
    workIn(demoSql);
    await assert.rejects(close(world, host, { onStep: cutOff('close:own-app:demopg begun') }), /cut off/);
    const journal = await openJournal(host.stateFolder);
    await journal.record({ facts: { 'own-try:demopg': 'begun' } });
    const aside = journal.result<SavedState>('put-aside')?.snapshot ?? 0;
    await recover(world, host, 'demopg', { at: String(aside), epoch: 2 });
    workIn(demoPg);
    const report = await close(world, host);
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
    assert.deepEqual(
      [report.saved.includes('demosql'), report.cutOff.map(({ app }) => app)],
      [false, ['demosql', 'demopg']],
    );
    await withFolderSession(world, async (session) => {
      const snapshots = await session.repository.snapshots();
      for (const { app, snapshot } of report.cutOff) {
        const from = await snapshotByNumber(session, app === 'demopg' ? aside : 1);
        const { added } = await compareVersions(session, from, await snapshotByNumber(session, snapshot), app);
        assert.ok(
          added.some((member) => /day-5/.test(member)),
          app,
        );
        assert.equal(snapshots.find(({ number }) => number === snapshot)?.pinned, true);
      }
    });
  });

  it('says so when half an app cannot be saved, and goes on', async () => {
    const two = await twoServers();
    const { world, fallback } = two;
    const events: TakeoverEvent[] = [];
    const host = hostOf(fallback.root, two.host.stateFolder, '', (event) => events.push(event));
    const before = readServerState(fallback.root);
    await assert.rejects(deploy(world, host, cutOff('app:demosql begun')), /cut off/);
    await recover(world, host, 'demosql', { epoch: 2 });
    setFaults(fallback.root, [{ match: '^backup create', kind: 'app-fails', app: 'demosql' }]);
    const { cutOff: saved } = await close(world, host);
    assert.deepEqual(saved, []);
    assert.ok(events.some(({ level, text }) => level === 'warning' && /restore of demosql was cut off/.test(text)));
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
  });

  it('leaves an own app alone that was to be replaced and was not touched yet', async () => {
    const { world, fallback, host } = await twoServers();
    const before = readServerState(fallback.root);
    // Such an app is tried once more, alone, before it makes way.
    setFaults(fallback.root, [{ match: '^backup create', kind: 'app-fails', app: 'demopg' }]);
    await assert.rejects(deploy(world, host, cutOff('app:demopg begun')), /cut off/);
    setFaults(fallback.root, []);
    const report = await close(world, host);
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore }), []);
    assert.deepEqual(report.cutOff, []);
  });
});
