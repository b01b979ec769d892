// What runs in this process at one time, counted over all repositories of a store: each part of it alone is within its limits.

import type { RepositoryId } from '../format/ids.ts';
import { diskBytes } from './stored-object.ts';

/** An object that is being received. */
export interface Incoming {
  /** So many of its bytes are on the disk now. */
  wrote(bytes: number): void;
  /** It is recorded, or given up; safe to call again. */
  end(): void;
}

/** Counters; whoever adds to one takes the same away again when it ends, whatever happens. */
export class RunningBytes {
  /** Directories that were read ahead for readers which have not taken them yet. */
  readAhead = 0;
  /** What has been announced and is not on the disk yet. */
  unwritten = 0;
  readonly #incoming = new Map<RepositoryId, number>();

  /** What uploads to a repository will have taken on the disk, and no record counts yet. */
  incoming(id: RepositoryId): number {
    return this.#incoming.get(id) ?? 0;
  }

  /** Counts an object from now on. @param contentsBytes length of the client's bytes. */
  begin(id: RepositoryId, contentsBytes: number): Incoming {
    const totalBytes = diskBytes(contentsBytes);
    let unwritten = totalBytes;
    let hasEnded = false;
    this.unwritten += totalBytes;
    this.#incoming.set(id, this.incoming(id) + totalBytes);
    const wrote = (bytes: number): void => {
      const fewer = Math.min(bytes, unwritten);
      unwritten -= fewer;
      this.unwritten -= fewer;
    };
    const end = (): void => {
      if (hasEnded) return;
      hasEnded = true;
      wrote(unwritten);
      const left = this.incoming(id) - totalBytes;
      if (left === 0) this.#incoming.delete(id);
      else this.#incoming.set(id, left);
    };
    return { wrote, end };
  }
}
