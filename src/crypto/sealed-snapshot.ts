// Seals and opens snapshot files. FORMAT.md, Snapshot: the associated data is the whole head.
import { createHash } from 'node:crypto';
import { equalBytes } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { sealOverheadBytes } from '../format/pack.ts';
import {
  decodeSnapshotFile,
  decodeSnapshotRecord,
  encodeSnapshotHead,
  encodeSnapshotRecord,
  type SnapshotHead,
  type SnapshotRecord,
} from '../format/snapshot.ts';
import type { RepositoryKeys } from './key-hierarchy.ts';
import { open, type RandomBytes, seal } from './seal.ts';

type SnapshotKeys = Pick<RepositoryKeys, 'repositoryId' | 'snapshot'>;

/** A snapshot's file and the SHA-256 that the next snapshot chains to. */
export interface SealedSnapshot {
  readonly file: Uint8Array;
  readonly sha256: Uint8Array;
}

/** Every pack that a recipe names must stand in the head: the server's closure check sees nothing else. */
function checkClosure(head: SnapshotHead, record: SnapshotRecord): void {
  for (const { name, recipe, catalogue } of record.archives) {
    for (const run of [...recipe.runs, ...(catalogue?.runs ?? [])]) {
      if (head.packs.has(run.pack)) continue;
      throw new FallbackError(
        'INTERNAL',
        `The snapshot's head lacks pack ${run.pack}, which ${name} needs. It was not sent.`,
      );
    }
  }
}

/**
 * Seals a snapshot, and opens it again before anything is sent.
 * @throws LIMIT_EXCEEDED, FORMAT_INVALID (what could not be read again), INTERNAL (a pack is missing in the head), VERIFY_FAILED.
 */
export function sealSnapshot(
  keys: SnapshotKeys,
  head: SnapshotHead,
  record: SnapshotRecord,
  randomBytes: RandomBytes,
): SealedSnapshot {
  checkClosure(head, record);
  const plaintext = encodeSnapshotRecord(record);
  const headBytes = encodeSnapshotHead(head, plaintext.byteLength + sealOverheadBytes);
  const file = new Uint8Array(Buffer.concat([headBytes, seal(keys.snapshot, headBytes, plaintext, randomBytes)]));
  const reopened = openSnapshot(keys, file, head.number);
  if (!equalBytes(encodeSnapshotRecord(reopened.record), plaintext)) {
    throw new FallbackError('VERIFY_FAILED', `Snapshot ${head.number} did not open again. It was not sent.`);
  }
  return { file, sha256: reopened.sha256 };
}

/** An opened snapshot. */
export interface OpenedSnapshot {
  readonly head: SnapshotHead;
  readonly record: SnapshotRecord;
  readonly sha256: Uint8Array;
}

/**
 * Opens a snapshot's file.
 * @param number what was asked for: another snapshot is refused.
 * @throws SEAL_BROKEN, FORMAT_INVALID, FORMAT_UNSUPPORTED.
 */
export function openSnapshot(keys: SnapshotKeys, file: Uint8Array, number: number): OpenedSnapshot {
  const { head, headBytes, sealed } = decodeSnapshotFile(file);
  if (head.repositoryId !== keys.repositoryId || head.number !== number) {
    throw new FallbackError(
      'SEAL_BROKEN',
      `What the store gives as snapshot ${number} is another one. Nothing of it was used.`,
    );
  }
  const record = decodeSnapshotRecord(open(keys.snapshot, headBytes, sealed, `snapshot ${number}`));
  return { head, record, sha256: new Uint8Array(createHash('sha256').update(file).digest()) };
}
