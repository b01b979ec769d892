// Something of the fallback server's own fails to come back: it holds up nothing else, and stays in its snapshot.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import type { CloseReport } from '../../../src/yunohost/takeover/close.ts';
import { setFaults } from '../double/faults.ts';
import { compareServers, readServerState } from '../double/seed-server.ts';
import { stateOfService } from '../double/service-states.ts';
import { close, deploy, leftovers, openJournal, type Two, twoServers, withFolderSession } from './takeover-fixture.ts';

const part = { match: '^backup restore fallback-take-own-system', kind: 'fail', at: 'hook-restore' } as const;
const faults = {
  part: { ...part, path: 'data_multimedia' },
  app: { match: '^backup restore fallback-take-own-demopg', kind: 'app-fails' },
} as const;
const music = '/home/yunohost.multimedia/share/Music/own.ogg';
const ignore = [/^\/var\/lib\/mysql$/, /^\/home\/yunohost\.multimedia/];

/** Deployed, and a close that met an own app that does not come back. */
async function afterFirstClose(ordered: readonly (typeof faults)[keyof typeof faults][]): Promise<Two> {
  const two = await twoServers();
  two.fallback.write(music, 'own');
  await deploy(two.world, two.host);
  setFaults(two.fallback.root, ordered);
  await assert.rejects(
    close(two.world, two.host),
    (error) => isFallbackError(error, 'VERIFY_FAILED') && /demopg did not come back/.test(error.message),
  );
  assert.equal((await openJournal(two.host.stateFolder)).state, 'closing');
  for (const name of ['nginx', 'postfix', 'dovecot']) assert.equal(stateOfService(two.fallback, name), 'running');
  return two;
}

const namesOf = ({ lost }: CloseReport): string[] => lost.map(({ name }) => name).sort();
const pinned = async ({ world }: Two): Promise<number[]> =>
  await withFolderSession(world, async ({ repository }) =>
    (await repository.snapshots()).filter((snapshot) => snapshot.pinned).map(({ number }) => number),
  );

describe('own things that do not come back', { concurrency: 2 }, () => {
  it('the next close tries the app again; a part that never comes is told, and its snapshot stays pinned', async () => {
    const two = await afterFirstClose([faults.part, faults.app]);
    setFaults(two.fallback.root, [faults.part]);
    const report = await close(two.world, two.host);
    assert.deepEqual(namesOf(report), ['data_multimedia']);
    assert.ok((await pinned(two)).includes(report.lost[0]?.snapshot ?? 0));
    assert.equal((await openJournal(two.host.stateFolder)).state, 'idle');
    assert.deepEqual(leftovers(two.fallback.root), []);
  });

  it('an app that need not come back is left out by name', async () => {
    const before = await twoServers();
    const own = readServerState(before.fallback.root);
    const two = await afterFirstClose([faults.app]);
    await assert.rejects(close(two.world, two.host), (error) => isFallbackError(error, 'VERIFY_FAILED'));
    const report = await close(two.world, two.host, { left: ['demopg'] });
    assert.deepEqual(namesOf(report), ['demopg']);
    assert.ok((await pinned(two)).includes(report.lost[0]?.snapshot ?? 0));
    const differences = compareServers(own, readServerState(two.fallback.root), { ignore });
    assert.deepEqual(
      differences.filter((line) => !/demopg|services\.yml/.test(line)),
      [],
    );
  });
});
