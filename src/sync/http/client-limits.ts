// Time-outs, retries and the largest answers of the client, in one table with units. docs/PROTOCOL.md, Limits, lists the same.
import { limits } from '../../format/limits.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

export const defaultClientLimits = {
  connectionsMax: 4,
  /** Connecting, TLS included. */
  connectMs: 10_000,
  /** No byte in either direction, and no sign of life from the server. */
  silenceMs: 60_000,
  /** A reverse proxy swallows the server's signs of life: a body that is under way gets so much longer for each KiB. */
  silencePerKiBThroughProxyMs: 250,
  /** An idle connection is closed after this time, before the server closes it (65 s). */
  idleConnectionMs: 30_000,
  /** The server was reached before: as long as this it is asked again, so that a restart of it is no error. */
  retryReachedMs: 90_000,
  /** It was never reached: the address may be wrong, so give up soon. */
  retryUnreachedMs: 8_000,
  retryDelayMsMin: 200,
  retryDelayMsMax: 10_000,
  /** A server's Retry-After is honoured up to this. */
  retryAfterMsMax: 30_000,
  /** Answers with a changed body are asked again so often. */
  digestRetriesMax: 2,
  headerBytesMax: 16 * KiB,
  problemBytesMax: 64 * KiB,
  /** A status with a million ranges in it; a page of a thousand snapshots with damage. */
  statusBytesMax: 32 * MiB,
  snapshotPageBytesMax: 32 * MiB,
  /** A million snapshots. */
  snapshotPagesMax: 1_000,
  /** Ranges of damaged packs in all summaries together; of what is over, each keeps the first few. */
  damagedRangesMax: 1_000_000,
  smallAnswerBytesMax: limits.jsonBytesMax,
  recoveryBytesMax: MiB,
  /** Pieces in which a body is sent, and in which an answer is asked for under --limit-download. */
  sendPieceBytes: 64 * KiB,
  rangePieceBytesMin: 16 * KiB,
} as const;

/** The limits of one client: the defaults, or others for tests. */
export type ClientLimits = { readonly [Name in keyof typeof defaultClientLimits]: number };
