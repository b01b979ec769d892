// What only the admin of the store may do, at the store: take away what a thief of a push token added. THREAT-MODEL.md.
import { FallbackError } from '../errors/fallback-error.ts';
import { type Sha256Hex, sha256FromBytes } from '../format/ids.ts';
import type { FolderRepository } from './folder-repository.ts';
import { isLive } from './leases.ts';
import type { MetadataWrite } from './metadata-store.ts';
import { snapshotKey } from './object-keys.ts';
import type { RepositoryContext } from './repository-context.ts';
import { smallObjectKey } from './small-objects.ts';

async function refuseDuringPush(change: MetadataWrite, context: RepositoryContext): Promise<void> {
  const lease = await change.lease(context.id);
  if (lease === undefined || !(await isLive(change, context, lease))) return;
  throw new FallbackError('BUSY', `${lease.holder} is writing to the repository. Nothing was changed.`, {
    hint: 'Revoke its token (fallback repositories revoke), or wait until it ends.',
  });
}

async function note(change: MetadataWrite, context: RepositoryContext, event: string, text: string): Promise<void> {
  await change.addAudit({ atMs: context.environment.nowMs(), repositoryId: context.id, event, text });
}

/**
 * Drops a key document: the phrase and passphrase in it open nothing more here. The last one is never dropped.
 * A crash in between leaves it, or takes only its file, which its record gives back: the same call again goes on.
 * @throws NOT_FOUND, CONFLICT (it is the only one), IO.
 */
export async function dropKeyDocument(repository: FolderRepository, number: number): Promise<void> {
  const { context } = repository;
  await context.write(async (change) => {
    await context.state(change);
    const documents = (await change.smallObjects(context.id)).filter(({ kind }) => kind === 'key document');
    if (!documents.some((document) => document.number === number)) {
      const there = documents.map((document) => document.number).join(', ');
      throw new FallbackError('NOT_FOUND', `The repository has no key document ${number}.`, {
        hint: `It has: ${there}.`,
      });
    }
    if (documents.length === 1) {
      throw new FallbackError(
        'CONFLICT',
        `Key document ${number} is the only one; without it nothing opens. It was kept.`,
        {
          hint: 'Make a new one on the main server first: fallback key passphrase, or fallback key recovery.',
        },
      );
    }
    await change.deleteSmallObject(context.id, 'key document', number);
    await context.objects.remove([smallObjectKey(context.id, 'key document', number)]);
    await note(change, context, 'key document dropped', String(number));
  });
}

/**
 * Takes the newest snapshot away and makes the one before it the head: for a head that no key opens (SEAL_BROKEN). Machines
 * that accepted it refuse the repository afterwards (TRUST_ROLLBACK), so it is for forged ones only. Its file goes first: while it is
 * there, whoever opens the store or takes the lease finds it behind the head, and makes it the head again. A crash in between leaves a
 * head whose file is lost: the same call again goes on; or the document that names the one before, which opening the store takes over.
 * @param number the newest, named so that it cannot be another one meanwhile.
 * @throws NOT_FOUND, CONFLICT (it is not the newest, or the one before is not there any more), BUSY, IO.
 */
export async function dropNewestSnapshot(repository: FolderRepository, number: number): Promise<void> {
  const { context } = repository;
  await context.write(async (change) => {
    const { document } = await context.state(change);
    if (document.head?.number !== number) {
      throw new FallbackError('CONFLICT', `Snapshot ${number} is not the newest; only that one can be dropped.`);
    }
    await refuseDuringPush(change, context);
    const lease = await change.lease(context.id);
    if (lease !== undefined) await change.deleteLease(context.id);
    const head = await previousHead(change, context, number);
    await context.objects.remove([snapshotKey(context.id, number)]);
    await change.deleteSnapshot(context.id, number);
    await context.changeDocument(change, { head, pins: document.pins.filter((pin) => pin !== number) });
    await note(change, context, 'newest snapshot dropped', String(number));
  });
}

async function previousHead(
  change: MetadataWrite,
  context: RepositoryContext,
  number: number,
): Promise<{ number: number; sha256: Sha256Hex } | null> {
  if (number === 1) return null;
  const previous = await change.snapshot(context.id, number - 1);
  if (previous === undefined || previous.state === 'deleting') {
    throw new FallbackError(
      'CONFLICT',
      `Snapshot ${number - 1} is not there any more, so ${number} must stay the newest.`,
    );
  }
  return { number: previous.number, sha256: sha256FromBytes(previous.sha256) };
}
