// The store's answers as JSON. PROTOCOL.md, Answers. The client's half is sync/http/decode-answers.ts.
import { ByteWriter } from '../bytes/byte-writer.ts';
import { toHex } from '../bytes/hex.ts';
import { type PackRanges, writePackRanges } from '../format/pack-ranges.ts';
import type { Lease, RepositoryStatus, SnapshotPointer, SnapshotSummary } from '../store/repository-store.ts';

/** Base64 of the ranges as FORMAT.md writes them: a tenth of the length of JSON numbers. */
export function encodeRanges(ranges: PackRanges): string {
  const writer = new ByteWriter(64);
  writePackRanges(writer, ranges);
  return Buffer.from(writer.finish()).toString('base64');
}

const encodePointer = (pointer: SnapshotPointer): object => ({
  number: pointer.number,
  sha256: toHex(pointer.sha256),
});

/** A snapshot's summary; what is undefined is left out. */
export function encodeSummary(summary: SnapshotSummary): object {
  return {
    ...encodePointer(summary),
    receivedAtMs: summary.receivedAtMs,
    epoch: summary.epoch,
    origin: summary.origin,
    complete: summary.complete,
    fileBytes: summary.fileBytes,
    pinned: summary.pinned,
    deletedAfterMs: summary.deletedAfterMs,
    packsDamaged: encodeRanges(summary.packsDamaged),
    fileLost: summary.fileLost === true ? true : undefined,
  };
}

/** A repository's status; what is undefined is left out. */
export function encodeStatus(status: RepositoryStatus): object {
  return {
    repositoryId: status.repositoryId,
    name: status.name,
    epoch: status.epoch,
    generation: status.generation,
    head: status.head === undefined ? undefined : encodePointer(status.head),
    lastPack: status.lastPack,
    present: encodeRanges(status.present),
    lost: encodeRanges(status.lost),
    holed: encodeRanges(status.holed),
    healRevision: status.healRevision,
    storedBytes: status.storedBytes,
    quotaBytes: status.quotaBytes,
    freeBytes: status.freeBytes,
    leaseHolder: status.leaseHolder,
    lastCompleteAtMs: status.lastCompleteAtMs,
    serverTimeMs: status.serverTimeMs,
  };
}

export function encodeLease(lease: Lease): object {
  return {
    leaseId: lease.leaseId,
    firstPack: lease.firstPack,
    lifetimeMs: lease.lifetimeMs,
    status: encodeStatus(lease.status),
  };
}
