// A process that takes a lock, says so, and waits to be killed.
import { writeSync } from 'node:fs';
import { acquireExclusiveLock } from '../../src/fs/exclusive-lock.ts';

try {
  await acquireExclusiveLock(process.argv[2] ?? '', { purpose: 'child', nowMs: () => Date.now() });
  writeSync(1, 'locked\n');
} catch {
  writeSync(1, 'refused\n');
}
setTimeout(() => undefined, 600_000);
