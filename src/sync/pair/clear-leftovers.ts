// What an earlier pairing left in a folder that counts as unpaired: nothing of it may pass for the new one's.
import { join } from 'node:path';
import type { RepositoryId } from '../../format/ids.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { withFsErrors } from '../../fs/map-fs-error.ts';
import type { ClientState } from '../client-state.ts';

/** Removes an old push token, and the memory of another repository; what was seen of this one stays. */
export async function clearLeftovers(fs: FileSystem, state: ClientState, repositoryId: RepositoryId): Promise<void> {
  const seen = await state.seenHead();
  const names =
    seen === undefined || seen.repositoryId === repositoryId
      ? ['push-token']
      : ['push-token', 'trust.json', 'index', 'snapshots'];
  await withFsErrors('clear the folder of an earlier pairing', async () => {
    for (const name of names) {
      const path = join(state.folder, name);
      if ((await fs.facts(path)) !== undefined) await fs.unlink(path);
    }
  });
}
