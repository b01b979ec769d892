// What runs in this process at one time, counted over all repositories of a store: each part of it alone is within its limits.

/** Counters; whoever adds to one takes the same away again when it ends, whatever happens. */
export class RunningBytes {
  /** Directories that were read ahead for readers which have not taken them yet. */
  readAhead = 0;
}
