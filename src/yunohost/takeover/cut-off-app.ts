// An app whose restore was cut off may stand all the same: YunoHost's restore outlives the run that began it, and people work in
// what it brought. Nobody can tell such an app from half of one: it is saved before it is replaced, and not brought home by itself.
import { type FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import { origins } from './choose-snapshot.ts';
import { type DeployRequest, saveAppAlone } from './deploy.ts';
import type { Journal } from './journal.ts';
import type { SavedState } from './save-state.ts';
import { shortCall, warn } from './takeover-host.ts';

/** What stood where a restore was cut off; JSON. */
export interface CutOffApp {
  readonly app: string;
  /** The safety backup that holds it; it stays pinned. */
  readonly snapshot: number;
}

const factName = 'cutOff';

/** All that was saved so far. */
export const cutOffApps = (journal: Journal): readonly CutOffApp[] => journal.fact<CutOffApp[]>(factName) ?? [];

/** Half an app cannot be backed up; a full disk or a lock, say, is no such failure. */
const isUnsavable = (error: unknown): error is FallbackError =>
  isFallbackError(error, 'BACKUP_FAILED') && isFallbackError(error.cause, 'YUNOHOST_FAILED');

/**
 * Saves an app whose restore was cut off, when YunoHost has it. One that YunoHost cannot back up is told of, and no more.
 * @throws what saving and proving throw.
 */
export async function saveCutOff(
  { host, session, journal, pin }: Pick<DeployRequest, 'host' | 'session' | 'journal' | 'pin'>,
  id: string,
): Promise<void> {
  const installed = await host.yunohost.apps.list(shortCall(host));
  if (!installed.some((app) => app.id === id)) return;
  let saved: SavedState;
  try {
    saved = await saveAppAlone({ host, session, journal }, id, origins.safety);
  } catch (error) {
    if (!isUnsavable(error)) throw error;
    warn(
      host,
      `The restore of ${id} was cut off, and what is here of it cannot be backed up: it is removed. ${error.message}`,
    );
    return;
  }
  await pin(saved.snapshot);
  await journal.record({ facts: { [factName]: [...cutOffApps(journal), { app: id, snapshot: saved.snapshot }] } });
  warn(
    host,
    `The restore of ${id} was cut off, and it is here all the same: what it holds is in snapshot ${saved.snapshot}.`,
  );
}
