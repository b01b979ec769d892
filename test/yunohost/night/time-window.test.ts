// When a window opens, by a clock that is set and a night that is longer than others.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { untilOpenMs, waitForWindow } from '../../../src/yunohost/night/time-window.ts';

const minute = 60_000;
const hour = 60 * minute;
const window = (start: number, end: number) => ({ startMinute: start * 60, endMinute: end * 60 });

describe('a time window', () => {
  it('opens within a day, whatever the time', () => {
    assert.equal(untilOpenMs(window(3, 6), 1.5 * hour), 1.5 * hour);
    assert.equal(untilOpenMs(window(3, 6), 3 * hour), 0);
    assert.equal(untilOpenMs(window(3, 6), 6 * hour), 21 * hour);
    assert.equal(untilOpenMs(window(22, 5), 21.5 * hour), 0.5 * hour);
    assert.equal(untilOpenMs(window(22, 5), 1.5 * hour), 0);
    assert.equal(untilOpenMs(window(1, 2), 2 * hour - 1), 0);
  });

  it('is waited for to the minute, in short sleeps', async () => {
    let nowMs = 1.5 * hour + 7_000;
    let isSet = false;
    const { signal } = new AbortController();
    const sleeps: number[] = [];
    const sleep = async (ms: number): Promise<void> => {
      sleeps.push(ms);
      nowMs += ms;
      // Summer time begins.
      if (nowMs > 2 * hour && !isSet) [isSet, nowMs] = [true, nowMs + hour];
    };
    await waitForWindow(window(4, 5), { timeOfDayMs: () => nowMs, sleep, signal });
    assert.equal(nowMs, 4 * hour);
    assert.ok(sleeps.every((ms) => ms > 0 && ms <= 10 * minute));
  });

  it('that the clock went past is told; a clock that is set back is waited for', async () => {
    const { signal } = new AbortController();
    const wait = async (startMs: number, setAtMs: number, setMs: number): Promise<number> => {
      let nowMs = startMs;
      let isSet = false;
      const sleep = async (ms: number): Promise<void> => {
        nowMs += ms;
        if (nowMs >= setAtMs && !isSet) [isSet, nowMs] = [true, nowMs + setMs];
      };
      await waitForWindow({ startMinute: 130, endMinute: 170 }, { timeOfDayMs: () => nowMs, sleep, signal });
      return nowMs;
    };
    const opensMs = 130 * minute;
    // 02:10-02:50, and summer time begins at 02:00; or the machine sleeps over it.
    for (const setMs of [hour, 5 * hour]) {
      await assert.rejects(wait(1.5 * hour, 2 * hour, setMs), (error) => isFallbackError(error, 'WINDOW_MISSED'));
    }
    assert.equal(await wait(1.5 * hour, 2 * hour, -hour), opensMs);
    // Who comes after it waits for tomorrow's, whenever the clock is set.
    assert.equal((await wait(3 * hour, 4 * hour, hour)) % (24 * hour), opensMs);
  });

  it('is not waited for any more once the signal says so', async () => {
    const controller = new AbortController();
    const sleep = async (): Promise<void> => {
      controller.abort(new Error('interrupted'));
      throw new Error('aborted');
    };
    const waiting = waitForWindow(window(4, 5), { timeOfDayMs: () => 0, sleep, signal: controller.signal });
    await assert.rejects(waiting, /interrupted/);
  });
});
