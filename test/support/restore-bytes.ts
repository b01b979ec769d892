// An archive of a snapshot as one byte string in memory.
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { RepositoryReader } from '../../src/store/repository-store.ts';
import type { RepositorySession } from '../../src/sync/repository-session.ts';
import { newRestoreCounters } from '../../src/sync/restore/restore-archive.ts';
import { restoreArchiveToStream } from '../../src/sync/restore/restore-stream.ts';
import { findArchive, findSnapshot } from '../../src/sync/snapshots.ts';

/** Restores an archive to memory. @param snapshot as an admin names it. */
export async function restoreBytes(
  session: RepositorySession<RepositoryReader>,
  name: string,
  snapshot = 'latest',
): Promise<Buffer> {
  const stream = new PassThrough();
  const whole = buffer(stream);
  whole.catch(() => undefined);
  const archive = findArchive(await findSnapshot(session, snapshot), name);
  await restoreArchiveToStream({ session, archive, stream, counters: newRestoreCounters() });
  stream.end();
  return await whole;
}
