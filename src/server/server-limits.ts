// Every limit of the server, in one table with units. docs/PROTOCOL.md, Limits, lists the same; format/limits.ts has the format's.

const KiB = 1024;
const MiB = 1024 * KiB;

export const defaultServerLimits = {
  /** Path and query of a request. */
  targetCharactersMax: 2 * KiB,
  /** All header lines of a request together, and how many of them. */
  headerBytesMax: 16 * KiB,
  headerLinesMax: 64,
  /** Nested arrays and objects in a JSON body. */
  jsonDepthMax: 8,
  /** When they are all taken, the oldest on which no token was accepted makes way for the next; so it is with those of one address. */
  connectionsMax: 512,
  /** Of one address (an IPv6 /64 counts as one): fifty main servers behind one router have four each. Not applied behind a reverse proxy. */
  connectionsPerAddressMax: 256,
  requestsMax: 128,
  /** Requests that need no valid token (pairing and asking what this is; as many again for recovery), in all and of one address: strangers hold no more. */
  openRequestsMax: 16,
  openRequestsPerAddressMax: 4,
  requestsPerTokenMax: 16,
  /** Bodies that are taken whole (snapshots), together, one of each token; those up to freeBodyBytes are not counted. Packs are streamed to the disk. */
  bodyMemoryBytesMax: 64 * MiB,
  freeBodyBytes: 64 * KiB,
  /** Time for a TLS handshake, and for a whole request head, from the connection or from its first byte on. */
  handshakeMs: 15_000,
  headMs: 20_000,
  /** A connection without a request is closed after this time. */
  idleConnectionMs: 65_000,
  /** In each such window a body must bring so many bytes: 256 B/s, below the 1 KiB/s of the slowest honest line. */
  bodyWindowMs: 60_000,
  bodyBytesPerWindowMin: 15 * KiB,
  /** A body that is taken whole has so much time, and more for its length: 400 KiB may come at 1 KiB/s, 16 MiB within 74 minutes. */
  wholeBodyGraceMs: 300_000,
  wholeBodyBytesPerSecondMin: 4 * KiB,
  /** A reader that takes nothing for this long is dropped. */
  replyStallMs: 120_000,
  /** A refused body is still read and dropped for this long, so that the client sees the answer and not a reset. */
  lingerMs: 3_000,
  /** While a body arrives or the store works, a `102 Processing` says so this often. */
  processingMs: 5_000,
  /** Failed attempts of one address before it is told to wait, and the time that forgives one. */
  failedAttemptsMax: 20,
  failedAttemptForgivenMs: 3_000,
  failedAddressesMax: 10_000,
  /** A failed attempt is answered this long after it came, whatever was wrong with it. */
  failedAnswerMs: 100,
  /** Snapshots in one answer. */
  snapshotsPerPageMax: 1_000,
  /** Running requests get this long when the server stops. */
  stopGraceMs: 30_000,
} as const;

/** The limits of a running server: the defaults, or others for tests. */
export type ServerLimits = { readonly [Name in keyof typeof defaultServerLimits]: number };
