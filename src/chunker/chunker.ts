// The contract between the chunker and those who feed it. Implementations: our kernel, and an adapter over fastcdc-wasm.

/** Which implementation cuts: chosen when a repository is made, kept in its sealed configuration. */
export type ChunkerEngine = 'fallback' | 'fastcdc-wasm';

/** The lengths of chunks, in bytes. */
export interface CutSizes {
  readonly minimumBytes: number;
  readonly averageBytes: number;
  readonly maximumBytes: number;
}

/** The cut rules. They stand in the repository's sealed configuration; a recipe does not depend on them. */
export interface ChunkerParameters {
  readonly engine: ChunkerEngine;
  /** Wherever small edits happen. */
  readonly fine: CutSizes;
  /** Inside large members that are edited all over every night: dumps, databases. Undefined: as `fine`. */
  readonly edited: CutSizes | undefined;
  /** Inside large incompressible members: photos, video, compressed archives. */
  readonly coarse: CutSizes;
  /** A member of at least this size starts and ends with a cut, and its first bytes are looked at; in bytes. */
  readonly largeMemberBytesMin: number;
  /** A member of at least this size whose first bytes are incompressible is cut coarsely, in bytes. */
  readonly coarseMemberBytesMin: number;
}

/** What the bytes of a chunk are like: 0 fine (compressible, edited in place), 1 coarse (incompressible). */
export type ChunkKind = 0 | 1;

/** The cuts of one window; the arrays belong to the caller and are written by `cut`. */
export interface CutList {
  /** Where each chunk ends, in bytes from the window's first byte, ascending. */
  readonly ends: Uint32Array;
  /** Each chunk's kind. */
  readonly kinds: Uint8Array;
  /** How many entries are set. */
  count: number;
}

/** Cuts one archive, window by window. The cuts depend on the bytes alone, never on how they fell into windows. */
export interface ArchiveChunker {
  /**
   * Cuts what can be decided of the window `[startByte, startByte + lengthBytes)` of the pool.
   * @param isEnd no byte follows: everything is cut, and the chunker is used up.
   * @returns how many bytes the cuts cover (= the last end, or 0). The caller presents the rest again, at the start of
   * the next window, followed by more bytes. A window of at least `windowBytesMin` always yields a cut.
   */
  cut(startByte: number, lengthBytes: number, isEnd: boolean, cuts: CutList): number;
}

/** One engine with its parameters and seed, ready to cut any number of archives. */
export interface Chunker {
  /** The memory that windows lie in: shared with workers, and with the kernel itself. */
  readonly pool: Uint8Array<SharedArrayBuffer>;
  /** A window of this many bytes always makes progress: the largest chunk and what the rules must look ahead. */
  readonly windowBytesMin: number;
  /** At most this many cuts come from a window of `lengthBytes`: the size that a CutList needs. */
  cutsMax(lengthBytes: number): number;
  /** A fresh chunker for one archive. `onMember` is told of every tar member, in order, once its header is complete. */
  startArchive(onMember?: (member: TarMemberSeen) => void): ArchiveChunker;
  /** The ends of all chunks of a whole byte string (recipes, catalogues), cut with other sizes and without tar rules. */
  cutBytes(bytes: Uint8Array, sizes: CutSizes): Uint32Array;
}

/** A tar member as the chunker saw it go by: what a catalogue needs. */
export interface TarMemberSeen {
  /** The whole name, as UTF-8 text (invalid bytes replaced); a folder's ends without a slash. */
  readonly name: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink' | 'character' | 'block' | 'fifo' | 'other';
  /** Where its header (with its pax or GNU pre-headers) begins in the tar, in bytes. */
  readonly headerOffset: number;
  /** Length of all its headers, in bytes. */
  readonly headerBytes: number;
  /** Length of its contents, in bytes, without padding. */
  readonly sizeBytes: number;
  readonly mode: number;
  readonly userId: number;
  readonly groupId: number;
  readonly userName: string;
  readonly groupName: string;
  /** Seconds since 1970, with the fraction a pax header gave. */
  readonly modifiedSeconds: number;
  readonly linkName: string;
}
