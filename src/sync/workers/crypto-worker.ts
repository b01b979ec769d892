// Entry of a worker thread: runs tasks as they come, answers in the same order.
import { parentPort, workerData } from 'node:worker_threads';
import { isTransferable } from '../../bytes/free-bytes.ts';
import { isFallbackError } from '../../errors/fallback-error.ts';
import { type CryptoResult, type CryptoTask, CryptoTasks, type WorkerKeys } from './crypto-tasks.ts';

const port = parentPort;
if (port === null) throw new Error('crypto-worker.ts runs as a worker thread only');
const tasks = new CryptoTasks(workerData as WorkerKeys);

/** The large memory of a result: it is handed over, not copied. */
function ownedBuffers(result: CryptoResult<CryptoTask>): ArrayBuffer[] {
  if (typeof result !== 'object') return [];
  const owned = 'parts' in result ? result.parts : 'contents' in result ? [result.contents] : [];
  return owned.filter(isTransferable).map(({ buffer }) => buffer);
}

port.on('message', ({ id, task }: { id: number; task: CryptoTask }) => {
  try {
    const result = tasks.run(task);
    port.postMessage({ id, result }, ownedBuffers(result));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const { code, hint, details } = isFallbackError(error) ? error : { code: 'INTERNAL' };
    port.postMessage({ id, error: { code, message, hint, details } });
  }
});
