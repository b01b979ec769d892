import { test } from 'node:test';
import { killSweep } from './kill-sweep.ts';

test('a writer killed at 400 random moments: what it was told is there, and the next one goes on', async () => {
  await killSweep(400);
});
