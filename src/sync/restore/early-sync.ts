// Has a file that is being written go to the disk while the rest is on its way, so that making it durable at the end is short.
import type { FileHandle } from 'node:fs/promises';

/** So much is written before the disk is asked to begin, each time. */
const stepBytes = 32 * 1024 * 1024;

/** Follows the writing of one file. */
export class EarlySync {
  readonly #file: FileHandle;
  #unsyncedBytes = 0;
  #running: Promise<void> | undefined;
  #failure: unknown;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** So many more bytes are in the file. */
  written(bytes: number): void {
    this.#unsyncedBytes += bytes;
    if (this.#unsyncedBytes < stepBytes || this.#running !== undefined) return;
    this.#unsyncedBytes = 0;
    this.#running = this.#file.datasync().then(
      () => {
        this.#running = undefined;
      },
      (error: unknown) => {
        // The kernel tells of a lost write once: a later sync would say that all is well.
        this.#failure = error;
      },
    );
  }

  /** Makes the whole file durable. @throws the kernel's error, also one of an earlier step. */
  async finish(): Promise<void> {
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
    await this.#file.sync();
  }

  /** Waits for what runs. */
  async stop(): Promise<void> {
    await this.#running;
  }
}
