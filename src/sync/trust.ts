// Trust checks T1-T4 and T6 of THREAT-MODEL.md: what a client that has seen a snapshot accepts from a store afterwards.
import { equalBytes, fromHex, toHex } from '../bytes/hex.ts';
import type { RepositoryKeys } from '../crypto/key-hierarchy.ts';
import { openSnapshot } from '../crypto/sealed-snapshot.ts';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import {
  type Epoch,
  parseEpoch,
  parseRepositoryId,
  parseSnapshotNumber,
  type RepositoryId,
  type SnapshotNumber,
} from '../format/ids.ts';
import type { Lease, RepositoryReader, RepositoryStatus, SnapshotPointer } from '../store/repository-store.ts';

/** The newest snapshot that this machine has seen of a repository. */
export interface SeenHead {
  readonly repositoryId: RepositoryId;
  readonly number: SnapshotNumber;
  readonly sha256: Uint8Array;
  /** The epoch that this machine lives in (T5: a store of a higher one refuses its pushes). */
  readonly epoch: Epoch;
}

/** The head of a status that was checked: what later answers are held against. */
export const seenIn = ({ repositoryId, head, epoch }: RepositoryStatus): SeenHead | undefined =>
  head === undefined ? undefined : { repositoryId, ...head, epoch };

/** The text of the trust record, one JSON object. */
export function encodeSeenHead(seen: SeenHead): string {
  return `${JSON.stringify({ format: 1, ...seen, sha256: toHex(seen.sha256) })}\n`;
}

/** Reads a trust record. @throws FORMAT_INVALID. */
export function decodeSeenHead(text: string): SeenHead {
  const invalid = (): FallbackError =>
    new FallbackError('FORMAT_INVALID', 'The record of what this machine has seen (trust.json) cannot be read.', {
      hint: 'If you know why it is damaged, remove it: the next run then trusts what the server shows, as a new machine would.',
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid();
  }
  if (typeof value !== 'object' || value === null) throw invalid();
  const { format, repositoryId, number, epoch, sha256: hash } = value as Record<string, unknown>;
  const sha256 = typeof hash === 'string' ? fromHex(hash, 32) : undefined;
  if (format !== 1 || typeof repositoryId !== 'string' || typeof number !== 'number' || typeof epoch !== 'number')
    throw invalid();
  if (sha256 === undefined) throw invalid();
  return {
    repositoryId: parseRepositoryId(repositoryId),
    number: parseSnapshotNumber(number),
    sha256,
    epoch: parseEpoch(epoch),
  };
}

/**
 * Compares what a store shows with what this machine has seen. A head whose file is lost there proves nothing, and takes nothing from
 * the snapshots before it.
 * @param seen undefined on a machine that has seen nothing yet.
 * @returns whether the head is proved, so that it may be remembered: false when the store cannot give its file.
 * @throws TRUST_REPOSITORY, TRUST_ROLLBACK, TRUST_FORK, and SEAL_BROKEN when the head was not made with the repository's key.
 */
export async function checkTrust(
  repository: RepositoryReader,
  keys: RepositoryKeys,
  status: RepositoryStatus,
  seen: SeenHead | undefined,
): Promise<boolean> {
  // T1: the repository is the one that was paired.
  if (status.repositoryId !== keys.repositoryId || (seen !== undefined && seen.repositoryId !== keys.repositoryId)) {
    throw new FallbackError(
      'TRUST_REPOSITORY',
      'The store holds another repository than the one this machine was paired with.',
    );
  }
  const { head } = status;
  if (seen === undefined) {
    return head === undefined || (await openHead(repository, keys, head)) !== undefined;
  }
  // T2: no older head.
  if (head === undefined || head.number < seen.number) {
    const shown = head === undefined ? 'no snapshot' : `snapshot ${head.number} as the newest`;
    throw new FallbackError(
      'TRUST_ROLLBACK',
      `This machine has seen snapshot ${seen.number}, but the store shows ${shown}.`,
    );
  }
  // T3: no other history.
  if (head.number === seen.number) {
    if (equalBytes(head.sha256, seen.sha256)) return true;
    throw fork(seen);
  }
  // T4: a newer head must be sealed with the repository's key and, where the links are still there, chain to what was seen.
  return await checkChain(repository, keys, head, seen);
}

const fork = (seen: SeenHead): FallbackError =>
  new FallbackError('TRUST_FORK', `The store’s snapshot ${seen.number} is not the one that this machine has seen.`);

/** A snapshot's file; undefined when the store says that it is damaged or gone. */
async function fileOf(repository: RepositoryReader, number: SnapshotNumber): Promise<Uint8Array | undefined> {
  try {
    return await repository.snapshot(number);
  } catch (error) {
    if (isFallbackError(error, 'DAMAGED') || isFallbackError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

/** The hash of the snapshot before; undefined when the store has lost the file that holds it. */
async function openHead(
  repository: RepositoryReader,
  keys: RepositoryKeys,
  head: SnapshotPointer,
): Promise<Uint8Array | undefined> {
  const file = await fileOf(repository, head.number);
  if (file === undefined) return undefined;
  const opened = openSnapshot(keys, file, head.number);
  if (!equalBytes(opened.sha256, head.sha256)) {
    throw new FallbackError('SEAL_BROKEN', `Snapshot ${head.number} is not the one that the store announced.`);
  }
  return opened.head.previousSha256;
}

async function checkChain(
  repository: RepositoryReader,
  keys: RepositoryKeys,
  head: SnapshotPointer,
  seen: SeenHead,
): Promise<boolean> {
  const present = new Map((await repository.snapshots()).map((summary) => [summary.number as number, summary]));
  let pointer: SnapshotPointer = head;
  for (;;) {
    const previous = await openHead(repository, keys, pointer);
    // A link that is lost ends the chain as one does that retention has deleted.
    if (previous === undefined) return pointer !== head;
    const number = pointer.number - 1;
    if (number === seen.number) {
      if (equalBytes(previous, seen.sha256)) return true;
      throw fork(seen);
    }
    // Retention may have deleted the link; the seal of what is newer than it has been checked.
    const next = present.get(number);
    if (next === undefined) return true;
    if (!equalBytes(next.sha256, previous)) throw fork(seen);
    pointer = next;
  }
}

/**
 * T4 for a writer, where the store has lost the head's file: the chain cannot be followed, so what this machine has seen must be listed
 * at least. (A reader may have seen a snapshot that retention deleted long ago; of a writer it is the newest but for the lost one.)
 * @throws TRUST_ROLLBACK, TRUST_FORK.
 */
export async function checkLostHead(repository: RepositoryReader, seen: SeenHead): Promise<void> {
  const listed = (await repository.snapshots()).find(({ number }) => number === seen.number);
  if (listed === undefined) {
    throw new FallbackError(
      'TRUST_ROLLBACK',
      `The store has lost the file of its newest snapshot, and lists no snapshot ${seen.number}, which this machine has seen. Nothing was sent.`,
      {
        hint: 'Ask on the fallback server what happened (fallback scrub). When you know the reason: fallback repositories drop-newest there, or remove trust.json here; then push again.',
      },
    );
  }
  if (!equalBytes(listed.sha256, seen.sha256)) throw fork(seen);
}

/**
 * T6: new packs are numbered above every pack that this client knows of, so that it never seals two under one number.
 * @param highestKnown of the directories in the index cache.
 * @throws TRUST_ROLLBACK, SEAL_BROKEN.
 */
export async function checkFirstPack(
  repository: RepositoryReader,
  keys: RepositoryKeys,
  lease: Lease,
  highestKnown: number,
): Promise<void> {
  const { head } = lease.status;
  const file = head === undefined ? undefined : await fileOf(repository, head.number);
  const packs = head === undefined || file === undefined ? undefined : openSnapshot(keys, file, head.number).head.packs;
  const highest = Math.max(highestKnown, packs?.ranges.at(-1)?.last ?? 0);
  if (lease.firstPack > highest) return;
  throw new FallbackError(
    'TRUST_ROLLBACK',
    `The store hands out pack number ${lease.firstPack}, but this machine knows of pack ${highest}. Nothing was sent.`,
  );
}
