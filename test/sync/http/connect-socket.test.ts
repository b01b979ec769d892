import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { tieringBudget } from '../../../src/sync/http/connect-socket.ts';

test('the budget that is put back is V8’s own', () => {
  assert.ok(
    process.versions.v8.startsWith(tieringBudget.v8),
    `V8 is now ${process.versions.v8}: look the default up again`,
  );
  const { stdout } = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  const shown = /--wasm-tiering-budget [^\n]*\n[^\n]*default: (?:--wasm-tiering-budget=)?(\d+)/.exec(stdout)?.[1];
  assert.equal(Number(shown), tieringBudget.bytes);
});
