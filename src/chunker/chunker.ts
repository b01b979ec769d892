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
  /** Needed with a memory of spans. */
  readonly spans?: SpanList;
}

/** The spans of one window, and the chunks whose ids are known from memory. */
export interface SpanList {
  /** The ids of known chunks, 32 bytes for each cut; of others nothing is written. */
  readonly ids: Buffer;
  /** 1 for each cut whose id is known. */
  readonly known: Uint8Array;
  knownCount: number;
  /** The spans that end in this window, in order. */
  readonly ends: SpanEnd[];
}

/** The end of a span. */
export interface SpanEnd {
  /** How many cuts of the window lie before it. */
  readonly cuts: number;
  readonly tag: Uint8Array;
}

/** A span as it was cut when it went by: its length, and its chunks' ends, kinds and ids (32 bytes each). */
export interface KnownSpan {
  readonly lengthBytes: number;
  /** In bytes from the span's first, ascending; the last is its length. */
  readonly ends: Uint32Array;
  readonly kinds: Uint8Array;
  readonly ids: Buffer;
}

/**
 * What is remembered of an archive that went by before: which bytes were cut how, and the ids of their chunks. It knows a span by a tag
 * of its bytes, so it is true whatever became of the archive and of the store since; all it may do is forget.
 */
export interface SpanMemory {
  /** Whether nothing is known. */
  readonly isEmpty: boolean;
  /** The span that followed here last time. */
  expected(): KnownSpan | undefined;
  /** Whether these bytes are the expected span. If so it is passed, and the next one expected. @returns its tag. */
  pass(bytes: Uint8Array): Uint8Array | undefined;
  /** Takes bytes of a span that is cut anew. */
  update(bytes: Uint8Array): void;
  /** Ends the span that was cut anew. What it knows by its tag is followed from there, else the next span is expected. */
  end(): Uint8Array;
}

/** Cuts one archive, window by window. Without a memory of spans the cuts depend on the bytes alone, never on how they fell into windows. */
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
  /**
   * A fresh chunker for one archive. `onMember` is told of every tar member, in order, once its header is complete. With `spans`, what
   * has not changed since is cut as it was, without looking for cuts, and its ids are filled in.
   */
  startArchive(onMember?: (member: TarMemberSeen) => void, spans?: SpanMemory): ArchiveChunker;
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
