// Worker threads for crypto tasks: started lazily, so that small runs stay quick; the least loaded one gets the next task.
import { Worker } from 'node:worker_threads';
import { isTransferable } from '../../bytes/free-bytes.ts';
import type { ErrorCode } from '../../errors/error-codes.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { CryptoResult, CryptoTask, WorkerKeys } from './crypto-tasks.ts';
import { sourceBytes } from './pack-source.ts';

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly weight: number;
}

interface Thread {
  readonly worker: Worker;
  readonly waiting: Map<number, Waiting>;
  load: number;
  /** Why it ended by itself: what is asked of it later fails too, since nobody would answer. */
  failure: FallbackError | undefined;
}

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly hint: string | undefined;
    readonly details: Readonly<Record<string, unknown>> | undefined;
  };
}

let lastDigestNumber = 0;

/** A number for one digest (its `archive`), unlike that of any other of this process. */
export function newDigestNumber(): number {
  return ++lastDigestNumber;
}

/** Runs crypto tasks. */
export interface CryptoRunner {
  /** @param affinity tasks with the same number go to the same thread, in order. */
  run<Task extends CryptoTask>(task: Task, affinity?: number): Promise<CryptoResult<Task>>;
  close(): Promise<void>;
}

/** Relative cost of a byte, by task: sealing compresses. */
const weights = { ids: 1, digest: 0.7, seal: 6, open: 3, place: 4, 'file-digest': 0, compare: 0.4 } as const;

function bytesOf(task: CryptoTask): number {
  switch (task.kind) {
    case 'ids':
      return task.window.byteLength;
    case 'digest':
      return task.bytes.byteLength;
    case 'seal':
      return task.contents.byteLength;
    case 'open':
    case 'place':
      return sourceBytes(task.source);
    case 'file-digest':
      return 0;
    case 'compare':
      return task.lengths.reduce((sum, length) => sum + length, 0);
  }
}

const weightOf = (task: CryptoTask): number => bytesOf(task) * weights[task.kind];

/** What a task gives away: the memory of a pack that was fetched. */
function givenBy(task: CryptoTask): ArrayBuffer[] {
  if (task.kind !== 'open' && task.kind !== 'place') return [];
  const { source } = task;
  return source instanceof Uint8Array && isTransferable(source) ? [source.buffer] : [];
}

/** A pool of threads that share the memory of the tasks' buffers where it is shared memory. */
export class WorkerPool implements CryptoRunner {
  readonly #keys: WorkerKeys;
  readonly #script: URL;
  readonly #threadsMax: number;
  readonly #threads: Thread[] = [];
  #nextId = 1;
  #closed = false;

  /** @param threadsMax at least 1; usually the number of cores. @param script another one for tests. */
  constructor(keys: WorkerKeys, threadsMax: number, script = new URL('./crypto-worker.ts', import.meta.url)) {
    this.#keys = keys;
    this.#script = script;
    this.#threadsMax = Math.max(1, threadsMax);
  }

  #start(): Thread {
    const worker = new Worker(this.#script, {
      workerData: this.#keys,
      resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8 },
    });
    const thread: Thread = { worker, waiting: new Map(), load: 0, failure: undefined };
    worker.on('message', (answer: Answer) => {
      const waiting = thread.waiting.get(answer.id);
      if (waiting === undefined) return;
      thread.waiting.delete(answer.id);
      thread.load -= waiting.weight;
      if (answer.error === undefined) waiting.resolve(answer.result);
      else {
        const { code, message, hint, details } = answer.error;
        waiting.reject(
          new FallbackError(code, message, {
            ...(hint === undefined ? {} : { hint }),
            ...(details === undefined ? {} : { details }),
          }),
        );
      }
    });
    const fail = (cause: unknown): void => {
      const message = 'A worker thread ended unexpectedly; nothing was published.';
      thread.failure ??= new FallbackError('INTERNAL', message, { cause });
      for (const waiting of thread.waiting.values()) waiting.reject(thread.failure);
      thread.waiting.clear();
    };
    worker.on('error', fail);
    worker.on('exit', () => fail(undefined));
    worker.unref();
    this.#threads.push(thread);
    return thread;
  }

  #pick(affinity: number | undefined): Thread {
    if (affinity !== undefined) {
      const wanted = affinity % this.#threadsMax;
      while (this.#threads.length <= wanted) this.#start();
      const thread = this.#threads[wanted];
      if (thread !== undefined) return thread;
    }
    let best = this.#threads[0] ?? this.#start();
    for (const thread of this.#threads) if (thread.load < best.load) best = thread;
    if (best.load > 0 && this.#threads.length < this.#threadsMax) best = this.#start();
    return best;
  }

  run<Task extends CryptoTask>(task: Task, affinity?: number): Promise<CryptoResult<Task>> {
    if (this.#closed) return Promise.reject(new FallbackError('INTERRUPTED', 'The run was stopped.'));
    const thread = this.#pick(affinity);
    if (thread.failure !== undefined) return Promise.reject(thread.failure);
    const id = this.#nextId++;
    const weight = weightOf(task);
    thread.load += weight;
    thread.worker.ref();
    return new Promise<CryptoResult<Task>>((resolve, reject) => {
      const settle = (): void => {
        if (thread.waiting.size === 0) thread.worker.unref();
      };
      thread.waiting.set(id, {
        weight,
        resolve: (result) => {
          settle();
          resolve(result as CryptoResult<Task>);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      thread.worker.postMessage({ id, task }, givenBy(task));
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#threads.map((thread) => thread.worker.terminate()));
  }
}
