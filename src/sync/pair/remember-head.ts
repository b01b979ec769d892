// What a machine has seen is kept, so that a server cannot show it an older state later.
import type { RepositoryStatus } from '../../store/repository-store.ts';
import type { ClientState } from '../client-state.ts';

/**
 * Keeps the head of a session that openSession has checked. The epoch that this machine lives in stays as it is: reading
 * must not lift the fence that a takeover put up.
 */
export async function rememberHead(state: ClientState, status: RepositoryStatus): Promise<void> {
  const { head, repositoryId } = status;
  if (head === undefined) return;
  const seen = await state.seenHead();
  const isSame = seen?.repositoryId === repositoryId;
  if (isSame && seen.number >= head.number) return;
  await state.saveSeenHead({ repositoryId, ...head, epoch: isSame ? seen.epoch : status.epoch });
}
