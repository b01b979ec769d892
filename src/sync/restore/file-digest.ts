// SHA-256 of a file that is being written out of order: a thread goes over it as far as it is written without a gap, while the
// rest is still on its way.
import type { RunTable } from '../read/run-table.ts';
import { type CryptoRunner, newDigestNumber } from '../workers/worker-pool.ts';

/** So much is left to the next time: a message costs more than hashing a little. */
const stepBytes = 4 * 1024 * 1024;

/** Follows the writing of one file. */
export class FileDigest {
  readonly #archive = newDigestNumber();
  readonly #thread: number;
  readonly #crypto: CryptoRunner;
  readonly #descriptor: number;
  readonly #runs: RunTable;
  readonly #isWritten: Uint8Array;
  #nextRun = 0;
  #writtenBytes = 0;
  #hashedBytes = 0;
  #step: Promise<unknown> | undefined;
  #isEnded = false;

  constructor(crypto: CryptoRunner, thread: number, descriptor: number, runs: RunTable) {
    this.#crypto = crypto;
    this.#thread = thread;
    this.#descriptor = descriptor;
    this.#runs = runs;
    this.#isWritten = new Uint8Array(runs.length);
  }

  /** The bytes of some runs are in the file now. */
  written(runs: Uint32Array): void {
    for (const run of runs) this.#isWritten[run] = 1;
    while (this.#isWritten[this.#nextRun] === 1) this.#writtenBytes = this.#runs.endAt(this.#nextRun++);
    if (this.#step === undefined && this.#writtenBytes - this.#hashedBytes >= stepBytes) this.#catchUp();
  }

  #catchUp(): void {
    const step = this.#run(this.#writtenBytes, false);
    this.#hashedBytes = this.#writtenBytes;
    this.#step = step;
    step.then(
      () => {
        this.#step = undefined;
      },
      // Met again at the end, which waits for it.
      () => undefined,
    );
  }

  #run(end: number, isLast: boolean): Promise<Uint8Array | undefined> {
    const task = { kind: 'file-digest', archive: this.#archive, descriptor: this.#descriptor, end, isLast } as const;
    return this.#crypto.run(task, this.#thread);
  }

  /** Hashes the rest. @returns the SHA-256 of what was written without a gap: of the whole file, if all of it was. */
  async finish(): Promise<Uint8Array> {
    this.#isEnded = true;
    const [sha256] = await Promise.all([this.#run(this.#writtenBytes, true), this.#step]);
    return sha256 ?? new Uint8Array(32);
  }

  /** Waits until the file is not read any more; for a file that is given up. */
  async stop(): Promise<void> {
    if (!this.#isEnded) await this.#run(0, true).catch(() => undefined);
    await this.#step?.catch(() => undefined);
  }
}
