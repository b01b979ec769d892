import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { SilenceWatch } from '../../../src/sync/http/silence-watch.ts';

test('silence ends a request; a watch that is over stays so, also when a late piece of the body touches it', async () => {
  const outer = new AbortController().signal;
  const silent = new SilenceWatch(5, outer);
  await assert.rejects(sleep(60_000, undefined, { signal: silent.signal }));
  assert.ok(isFallbackError(silent.signal.reason, 'TIMEOUT'));
  const over = new SilenceWatch(5, outer);
  over.end();
  over.touch();
  await sleep(50);
  assert.equal(over.signal.aborted, false);
});
