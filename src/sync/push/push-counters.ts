// What a push has done so far: read by the progress line while it runs, and by the report at its end.

/** Counters of one push; bytes unless the name says otherwise. */
export interface PushCounters {
  archivesTotal: number;
  archivesDone: number;
  /** Of all archives, when known before. */
  totalBytes: number;
  readBytes: number;
  chunks: number;
  /** Contents of chunks that the store did not have. */
  newBytes: number;
  newChunks: number;
  /** Of these, contents that were sent again because they lay in half-dead packs. */
  resentBytes: number;
  resentChunks: number;
  packsSent: number;
  /** Sealed packs, as acknowledged by the server. */
  packBytesSent: number;
  healedChunks: number;
  healedPacks: number;
  /** Members of tars that no list can hold: they come back with the whole archive only. */
  unlistedMembers: number;
}

/** All zero. */
export function newPushCounters(): PushCounters {
  return {
    archivesTotal: 0,
    archivesDone: 0,
    totalBytes: 0,
    readBytes: 0,
    chunks: 0,
    newBytes: 0,
    newChunks: 0,
    resentBytes: 0,
    resentChunks: 0,
    packsSent: 0,
    packBytesSent: 0,
    healedChunks: 0,
    healedPacks: 0,
    unlistedMembers: 0,
  };
}
