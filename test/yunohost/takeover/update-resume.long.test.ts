// An update that goes on after days or a cut, or that lacks room: it looks again, and touches nothing that it cannot put back.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { setRoom } from '../double/free-space.ts';
import { compareServers, liveOneDay, readServerState } from '../double/seed-server.ts';
import { demoPg, demoSql } from '../double/testing.ts';
import { close, deploy, giveUp, leftovers, twoServers, update } from './takeover-fixture.ts';

const day = (number: number, apps = [demoSql, demoPg]) => ({
  day: number,
  seed: number,
  users: ['alice', 'bob'],
  apps,
});

describe('update that goes on', { concurrency: 2 }, () => {
  it('decides by what is here now, and brings what is half replaced to its end', async () => {
    const { world, main, fallback, host } = await twoServers();
    await deploy(world, host);
    liveOneDay(fallback, day(5));
    await close(world, host);
    const first = await update(world, main, {});
    assert.equal(first?.items.find(({ name }) => name === 'demosql')?.verdict, 'fallback');
    // Answered “later”; people go on writing here, and days pass.
    liveOneDay(main, { ...day(6, [demoSql]), users: [] });
    const before = readServerState(main.root, ['databases', 'apps']);
    const later = await update(world, main, { all: true, keep: ['demopg'] });
    assert.equal(later?.items.find(({ name }) => name === 'demosql')?.verdict, 'both');
    assert.equal(later?.outcomes.find(({ name }) => name === 'demosql')?.status, 'open');
    assert.deepEqual(compareServers(before, readServerState(main.root, ['databases', 'apps'])), []);
    const cutOff = (step: string, moment: string): void => {
      if (step === 'replace:demosql' && moment === 'begun') throw new Error('cut off');
    };
    await assert.rejects(update(world, main, { take: ['demosql'] }, { onStep: cutOff }), /cut off/);
    await assert.rejects(giveUp(world, main), (error) => isFallbackError(error, 'WRONG_STATE'));
    const done = await update(world, main, { keep: ['demosql'] });
    assert.equal(done?.outcomes.find(({ name }) => name === 'demosql')?.status, 'taken');
    assert.equal(done?.adopted, 2);
    assert.deepEqual(leftovers(main.root), []);
  });

  it('removes no app when there is no room to unpack one again', async () => {
    const { world, main, fallback, host } = await twoServers();
    await deploy(world, host);
    liveOneDay(fallback, day(5, [demoSql]));
    await close(world, host);
    await update(world, main, {});
    const before = readServerState(main.root, ['databases', 'apps']);
    // Enough for the safety backup, too little for any restore after it.
    const fillUp = (step: string, moment: string): void => {
      if (step === 'safety:demosql' && moment === 'begun') setRoom(main.root, 100 * 1024 * 1024 + 20_000);
    };
    const full = await update(world, main, { take: ['demosql'] }, { onStep: fillUp });
    const outcome = full?.outcomes.find(({ name }) => name === 'demosql');
    assert.equal(outcome?.status, 'failed');
    assert.match(outcome?.reason ?? '', /needs .* Nothing was removed for it/);
    assert.deepEqual(compareServers(before, readServerState(main.root, ['databases', 'apps'])), []);
    assert.deepEqual(leftovers(main.root), []);
    setRoom(main.root, undefined);
    const done = await update(world, main, { take: ['demosql'] });
    assert.equal(done?.outcomes.find(({ name }) => name === 'demosql')?.status, 'taken');
  });
});
