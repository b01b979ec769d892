// What `close` cannot give back as the rest: what was written into places that no backup holds stays here, and of what this server's
// own backup holds besides, the main server is told that it is not its own.
import { basename, dirname, join } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import { partOfFolder, unsavedDataOf } from '../left-out.ts';
import { deployFacts, makingWay, planOf, systemAside, takeoverEpoch } from './deploy.ts';
import type { Journal } from './journal.ts';
import { lookAt, moveFolderAside } from './move-aside.ts';
import type { OwnState } from './own-state.ts';
import type { LostPart } from './restore-parts.ts';
import { isIn } from './stored-archive.ts';
import { shortCall, type TakeoverHost, warn } from './takeover-host.ts';

/** Data that stay here, since no backup holds them; JSON. */
export interface KeptData {
  /** Its setting leaves them out, and it is removed; absent for a home or the multimedia folder, which a file `.nobackup` leaves out. */
  readonly app?: string;
  /** As the machine names it: `/home/yunohost.app/wiki`. */
  readonly folder: string;
  /** Where they lie until then, when it is another place: this server's own comes back to that one. */
  readonly from?: string;
}

/**
 * System parts of the main server that really came: of any other, what lies here says nothing of what was removed. A part that its
 * archive only names did not come, and of the multimedia folder with a file `.nobackup` in it nothing is given back.
 */
export function takenPartsOf(journal: Journal, marked: readonly string[]): string[] {
  const missing = (journal.fact<LostPart[]>(deployFacts.systemMissing) ?? []).map(({ name }) => name);
  const { system, systemParts } = planOf(journal);
  const isHeld = (part: string): boolean => !part.startsWith('data_') || (system?.dataParts?.includes(part) ?? true);
  const isMarked = (part: string): boolean => part !== 'data_home' && marked.map(partOfFolder).includes(part);
  return systemParts.filter((part) => !missing.includes(part) && isHeld(part) && !isMarked(part));
}

/** Homes that are not to be brought home, nor taken for emptied: this server's own, and those that are in no backup. */
export function homesLeftOut(journal: Journal, marked: readonly string[]): string[] {
  const way = makingWay(journal, 'homes');
  const own = (journal.fact<OwnState>(deployFacts.own)?.entries.homes ?? []).filter((name) => !way.includes(name));
  const homes = marked.filter((folder) => partOfFolder(folder) === 'data_home').map((folder) => basename(folder));
  return [...new Set([...own, ...homes])].filter((name) => !name.startsWith('yunohost')).sort();
}

/** What was written here and goes into no backup: told before anything is removed. @throws BACKUP_FAILED when it is not where it should be. */
export async function findUnsaved(
  host: TakeoverHost,
  journal: Journal,
  apps: readonly string[],
  discarded: readonly string[],
): Promise<KeptData[]> {
  const own = journal.fact<OwnState>(deployFacts.own)?.apps ?? [];
  const produced = `fallback-produced-${takeoverEpoch(journal)}`;
  const { paths } = host.yunohost;
  const kept: KeptData[] = [];
  for (const { app, folder } of await unsavedDataOf(paths, apps)) {
    // The restore of the own app would move or delete what it finds in its folder.
    const from = own.includes(app) ? { folder: join(dirname(folder), produced, app), from: folder } : { folder };
    if (own.includes(app) && (await lookAt(paths, folder)) === 'missing') {
      // Given up by name, or cut off while it was restored: nothing was written.
      if (discarded.includes(app) || (journal.isBegun(`app:${app}`) && !journal.isEnded(`app:${app}`))) continue;
      throw new FallbackError(
        'BACKUP_FAILED',
        `${app} leaves its data out of every backup (do_not_backup_data), and they are not in ${folder}, where its settings have them. Nothing was removed.`,
        {
          hint: `Put its setting right (yunohost app setting ${app} data_dir -v FOLDER), or have them backed up (yunohost app setting ${app} do_not_backup_data -v 0). Then run fallback close again.`,
        },
      );
    }
    kept.push({ app, ...from });
    warn(
      host,
      `${app} leaves its data out of every backup (do_not_backup_data): what was written here stays in ${from.folder}.`,
    );
  }
  return kept;
}

/** Folders that a file `.nobackup` leaves out, of people who are here now; they stay, beside what comes back to their place. */
export async function findMarked(host: TakeoverHost, journal: Journal, marked: readonly string[]): Promise<KeptData[]> {
  if (marked.length === 0) return [];
  const own = journal.fact<OwnState>(deployFacts.own)?.entries.homes ?? [];
  const users = (await host.yunohost.apps.users(shortCall(host))).map(({ username }) => username);
  const aside = systemAside(journal);
  const kept: KeptData[] = [];
  for (const from of marked) {
    const name = basename(from);
    if (partOfFolder(from) === 'data_home' && own.includes(name) && !users.includes(name)) continue;
    // YunoHost takes no folder that is called so for a home.
    const folder = `/home/yunohost.fallback-produced-${takeoverEpoch(journal)}/${name}`;
    const one = aside !== undefined && isIn(aside, from) ? { folder, from } : { folder: from };
    warn(host, `${from} is left out of every backup (.nobackup): what was written here stays in ${one.folder}.`);
    kept.push(one);
  }
  return kept;
}

/** What findUnsaved and findMarked found, as the journal keeps it. */
export const keptData = (journal: Journal): readonly KeptData[] => journal.fact<KeptData[]>('unsaved') ?? [];

/** Moves data out of the way of what comes back to their folder. They were seen: when they are gone, they were moved before, or by hand. */
export async function moveKept({ yunohost: { paths } }: TakeoverHost, { folder, from }: KeptData): Promise<void> {
  if (from === undefined || (await lookAt(paths, from)) !== 'full') return;
  await moveFolderAside(paths, from, folder, 'run fallback close again');
}
