// Threads that end by themselves: whoever waits for them, or asks them later, is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deriveRepositoryKeys } from '../../../src/crypto/key-hierarchy.ts';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { parseRepositoryId } from '../../../src/format/ids.ts';
import { workerKeys } from '../../../src/sync/workers/crypto-tasks.ts';
import { WorkerPool } from '../../../src/sync/workers/worker-pool.ts';

/** A thread that answers its first task, and ends at the second. */
const dying = `
  import { parentPort } from 'node:worker_threads';
  parentPort.on('message', ({ id }) => (id === 1 ? parentPort.postMessage({ id, result: 'done' }) : process.exit(1)));
`;

test('a thread that ended fails what it was asked, and what it is asked later', async () => {
  const repositoryId = parseRepositoryId('00112233445566778899aabbccddeeff');
  const keys = workerKeys(deriveRepositoryKeys(new Uint8Array(32), repositoryId));
  const pool = new WorkerPool(keys, 1, new URL(`data:text/javascript,${encodeURIComponent(dying)}`));
  const digest = () => pool.run({ kind: 'digest', archive: 1, bytes: new Uint8Array(10), isEnd: true }, 1);
  const isDead = (error: unknown): boolean => isFallbackError(error, 'INTERNAL') && /worker thread/.test(error.message);
  try {
    assert.equal((await digest()) as unknown, 'done');
    const waiting = [digest(), digest()];
    for (const one of waiting) await assert.rejects(one, isDead);
    await assert.rejects(digest(), isDead);
  } finally {
    await pool.close();
  }
});
