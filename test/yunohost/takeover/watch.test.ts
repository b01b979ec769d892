// What silence means: none through a dead link, none in a gap, an incident after the delay, one mail at each end.
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { parseRepositoryId } from '../../../src/format/ids.ts';
import { nodeFileSystem } from '../../../src/fs/node-file-system.ts';
import { armedKeyPath, readArmedKey, removeArmedKey, saveArmedKey } from '../../../src/yunohost/takeover/armed-key.ts';
import { probeSmtp, probeWeb } from '../../../src/yunohost/takeover/probes.ts';
import {
  decideHalfDone,
  decideWatch,
  mayBegin,
  resumesMax,
  type WatchState,
} from '../../../src/yunohost/takeover/watch.ts';
import { inTemporaryFolder } from '../../support/temporary-folder.ts';

const minute = 60_000;
const dead = [{ name: 'web', isAlive: false, said: '' }];
const alive = [...dead, { name: 'smtp', isAlive: true, said: '' }];
const look = (before: WatchState, nowMs: number, probes = dead, isOwnLinkDown = false, isBlind = false) =>
  decideWatch({ before, nowMs, probes, isOwnLinkDown, isBlind, delayMs: 60 * minute });

/** What silent looks at these minutes say. */
function verdictsOf(minutes: readonly number[], delayMinutes: number): string[] {
  let state: WatchState = {};
  return minutes.map((at) => {
    const nowMs = at * minute;
    const step = decideWatch({
      before: state,
      nowMs,
      probes: dead,
      isOwnLinkDown: false,
      isBlind: false,
      delayMs: delayMinutes * minute,
    });
    state = step.state;
    return step.verdict;
  });
}

describe('watch', () => {
  it('declares an incident once, after the delay, and its end once', () => {
    let state: WatchState = {};
    const verdicts: string[] = [];
    for (let at = 0; at <= 70; at += 5) {
      const step = look(state, at * minute);
      state = step.state;
      verdicts.push(step.verdict);
    }
    assert.deepEqual(verdicts, [...Array(12).fill('quiet'), 'incident', 'still-down', 'still-down']);
    const back = look(state, 75 * minute, alive);
    assert.equal(back.verdict, 'recovered');
    assert.equal(look(back.state, 80 * minute, alive).verdict, 'alive');
  });

  it('one witness is enough, and begins the silence anew', () => {
    const first = look({}, 0);
    const second = look(first.state, 30 * minute, alive);
    assert.equal(second.verdict, 'alive');
    assert.equal(look(second.state, 61 * minute).verdict, 'quiet');
  });

  it('decides nothing through a dead link, nor after a gap in looking', () => {
    const first = look({}, 0);
    const cut = look(first.state, 59 * minute, dead, true);
    assert.equal(cut.verdict, 'cut-off');
    assert.equal(look(cut.state, 61 * minute).verdict, 'quiet');
    assert.equal(look({ silentSinceMs: 0, lookedAtMs: 0 }, 10 * 60 * minute).verdict, 'quiet');
  });

  it('time in which nobody looked is no silence, however short or long the delay', () => {
    // The machine slept, or was restarted together with the main server.
    assert.deepEqual(verdictsOf([0, 50, 51, 52], 5), ['quiet', 'quiet', 'quiet', 'quiet']);
    assert.deepEqual(verdictsOf([0, 23 * 60, 24 * 60 + 1, 24 * 60 + 2], 24 * 60), Array(4).fill('quiet'));
    // A delay that two looks would fill.
    assert.deepEqual(verdictsOf([0, 2, 4], 1), ['quiet', 'quiet', 'incident']);
  });

  it('decides nothing while no probe asks the main server, however long its store is silent', () => {
    let state: WatchState = {};
    for (let at = 0; at <= 180; at++) {
      const step = look(state, at * minute, dead, false, true);
      state = step.state;
      assert.deepEqual([step.verdict, state.isBlindTold], ['blind', true]);
    }
    // A night that comes is a sign of life, and no reason to say it all again.
    const night = look(state, 181 * minute, alive, false, true);
    assert.deepEqual([night.verdict, night.state.isBlindTold], ['alive', true]);
    // Once something is asked, silence begins: what went before it was heard by nobody.
    const seeing = look(look(night.state, 182 * minute, dead, false, true).state, 183 * minute);
    assert.deepEqual([seeing.verdict, seeing.state.isBlindTold], ['quiet', undefined]);
  });

  it('a takeover that was put off stays so through silence and a dead link, and ends with the incident', () => {
    const before = {
      silentSinceMs: 0,
      silentLooks: 70,
      isIncident: true,
      isDue: true,
      begins: 0,
      lookedAtMs: 70 * minute,
    };
    const delayMs = 60 * minute;
    const silent = look(before, 72 * minute);
    assert.deepEqual([silent.verdict, mayBegin(silent.state, 72 * minute, delayMs)], ['still-down', true]);
    assert.equal(mayBegin({ ...silent.state, begins: resumesMax }, 72 * minute, delayMs), false);
    const cut = look(silent.state, 73 * minute, dead, true);
    const again = look(cut.state, 74 * minute);
    // Behind a dead link silence begins anew: one look is not enough.
    assert.deepEqual([again.state.isDue, mayBegin(again.state, 74 * minute, delayMs)], [true, false]);
    assert.equal(mayBegin(look(again.state, 134 * minute).state, 134 * minute, delayMs), false);
    let heard = again.state;
    for (let at = 75; at <= 134; at++) heard = look(heard, at * minute).state;
    assert.equal(mayBegin(heard, 134 * minute, delayMs), true);
    assert.equal(look(cut.state, 75 * minute, alive).state.isDue, undefined);
  });

  it('goes on with a takeover that lies half done three times, then tells it once', () => {
    let state: WatchState = { silentSinceMs: 1 };
    const actions: string[] = [];
    for (let look = 0; look < 6; look++) {
      const step = decideHalfDone(state, true);
      state = step.state;
      actions.push(step.action);
    }
    assert.deepEqual(actions, ['resume', 'resume', 'resume', 'tell', 'rest', 'rest']);
    assert.equal(decideHalfDone({}, false).action, 'tell');
    // An idle look forgets it all.
    assert.equal(decideHalfDone(look(state, 0).state, true).action, 'resume');
  });

  it('probes tell an answer from silence', async () => {
    const server = createServer((_, answer) => answer.writeHead(503).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    assert.equal((await probeWeb(`http://127.0.0.1:${port}/`)).isAlive, true);
    server.close();
    assert.equal((await probeWeb(`http://127.0.0.1:${port}/`)).isAlive, false);
    assert.equal((await probeSmtp('127.0.0.1', port)).isAlive, false);
  });

  it('an armed key is kept for its owner alone; armed halfway is refused', async () => {
    await inTemporaryFolder(async (folder) => {
      const key = { repositoryId: parseRepositoryId('0'.repeat(32)), secret: new Uint8Array(32).fill(7), armedAtMs: 1 };
      assert.equal(await readArmedKey(nodeFileSystem, folder), undefined);
      await saveArmedKey(nodeFileSystem, folder, key, 'ab');
      assert.deepEqual(await readArmedKey(nodeFileSystem, folder), key);
      chmodSync(armedKeyPath(folder), 0o640);
      await assert.rejects(readArmedKey(nodeFileSystem, folder), (error) =>
        isFallbackError(error, 'SECRET_FILE_UNSAFE'),
      );
      writeFileSync(join(folder, 'half'), '');
      chmodSync(armedKeyPath(folder), 0o600);
      writeFileSync(armedKeyPath(folder), '{"format":1');
      await assert.rejects(readArmedKey(nodeFileSystem, folder), (error) => isFallbackError(error, 'FORMAT_INVALID'));
      assert.equal(await removeArmedKey(nodeFileSystem, folder), true);
      assert.equal(await removeArmedKey(nodeFileSystem, folder), false);
    });
  });
});
