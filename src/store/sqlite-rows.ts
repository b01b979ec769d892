// Between rows of metadata.sqlite and the records of metadata-store.ts.
import { ByteReader } from '../bytes/byte-reader.ts';
import { ByteWriter } from '../bytes/byte-writer.ts';
import { parseEpoch, parseLeaseId, parseOrigin, parseRepositoryId, parseSha256Hex } from '../format/ids.ts';
import { type PackRanges, readPackRanges, writePackRanges } from '../format/pack-ranges.ts';
import type {
  AuditEntry,
  InviteRecord,
  LeaseRecord,
  PackRecord,
  ScrubRecord,
  SnapshotRecord,
} from './metadata-store.ts';
import {
  bytesIn,
  choiceIn,
  numberIn,
  optionalNumberIn,
  optionalTextIn,
  type Row,
  textIn,
} from './sqlite-connection.ts';
import { packStates, snapshotStates } from './sqlite-schema.ts';

/** Pack ranges as the column `packs` holds them. */
export function encodeRanges(ranges: PackRanges): Uint8Array {
  const writer = new ByteWriter(64);
  writePackRanges(writer, ranges);
  return writer.finish();
}

function decodeRanges(bytes: Uint8Array): PackRanges {
  const reader = new ByteReader(bytes, 'database’s list of packs');
  const ranges = readPackRanges(reader);
  reader.end();
  return ranges;
}

export function packFrom(row: Row): PackRecord {
  return {
    number: numberIn(row, 'number'),
    revision: numberIn(row, 'revision'),
    state: choiceIn(row, 'state', packStates),
    fileBytes: numberIn(row, 'file_bytes'),
    prefixBytes: numberIn(row, 'prefix_bytes'),
    sha256: bytesIn(row, 'sha256'),
    receivedAtMs: numberIn(row, 'received_at'),
    condemnedAtMs: optionalNumberIn(row, 'condemned_at'),
  };
}

export function snapshotFrom(row: Row): SnapshotRecord {
  const packs = bytesIn(row, 'packs');
  return {
    number: numberIn(row, 'number'),
    state: choiceIn(row, 'state', snapshotStates),
    sha256: bytesIn(row, 'sha256'),
    receivedAtMs: numberIn(row, 'received_at'),
    epoch: parseEpoch(numberIn(row, 'epoch')),
    origin: parseOrigin(textIn(row, 'origin')),
    complete: numberIn(row, 'complete') === 1,
    fileBytes: numberIn(row, 'file_bytes'),
    // Decoded when they are asked for, and not kept: a thousand snapshots of an old history are millions of ranges.
    get packs() {
      return decodeRanges(packs);
    },
    deletedAfterMs: optionalNumberIn(row, 'deleted_after'),
  };
}

export function leaseFrom(row: Row): LeaseRecord {
  return {
    leaseId: parseLeaseId(textIn(row, 'lease_id')),
    holder: textIn(row, 'holder'),
    epoch: parseEpoch(numberIn(row, 'epoch')),
    firstPack: numberIn(row, 'first_pack'),
    acquiredAtMs: numberIn(row, 'acquired_at'),
    usedAtMs: numberIn(row, 'used_at'),
    expiresAtMs: numberIn(row, 'expires_at'),
    fenced: numberIn(row, 'fenced') === 1,
  };
}

export function inviteFrom(row: Row): InviteRecord {
  const redeemedId = optionalTextIn(row, 'redeemed_id');
  const requestSha256 = optionalTextIn(row, 'request_sha256');
  return {
    sha256: parseSha256Hex(textIn(row, 'sha256')),
    name: textIn(row, 'name'),
    expiresAtMs: numberIn(row, 'expires_at'),
    redeemed:
      redeemedId === undefined || requestSha256 === undefined
        ? undefined
        : { repositoryId: parseRepositoryId(redeemedId), requestSha256: parseSha256Hex(requestSha256) },
  };
}

export function auditFrom(row: Row): AuditEntry {
  const id = optionalTextIn(row, 'id');
  return {
    atMs: numberIn(row, 'at'),
    repositoryId: id === undefined ? undefined : parseRepositoryId(id),
    event: textIn(row, 'event'),
    text: textIn(row, 'text'),
  };
}

export function scrubFrom(row: Row): ScrubRecord {
  return {
    startedAtMs: numberIn(row, 'started_at'),
    phase: textIn(row, 'phase'),
    number: numberIn(row, 'number'),
    report: textIn(row, 'report'),
  };
}
