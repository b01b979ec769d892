// Removes what a takeover brought besides apps: homes and mail of the main server's users, settings and certificates of its
// domains. Only what lies in the proved backup of what was produced, and was not there before or is in the own backup.
import { lstat, readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { planOf } from './deploy.ts';
import type { Journal } from './journal.ts';
import { namesIn, type OwnState, watchedFolders } from './own-state.ts';
import { removeTree } from './remove-tree.ts';
import { hasApp } from './restore-parts.ts';
import type { SavedState } from './save-state.ts';
import type { ArchiveFacts, SystemNames } from './stored-archive.ts';
import { longCall, shortCall, type TakeoverHost, tell } from './takeover-host.ts';

const systemOf = (archives: readonly ArchiveFacts[]): ArchiveFacts | undefined =>
  archives.find(({ systemParts }) => systemParts.length > 0);

/**
 * Before the own system comes back: homes, mail and data that would otherwise mix with it.
 * @returns owners of the homes of the takeover's users, by name.
 */
export async function sweepBefore(
  host: TakeoverHost,
  journal: Journal,
  own: OwnState | undefined,
  produced: readonly ArchiveFacts[],
): Promise<OwnState['homeOwners']> {
  const { paths } = host.yunohost;
  const owners: Record<string, { userId: number; groupId: number }> = {};
  for (const { username } of await host.yunohost.apps.users(shortCall(host))) {
    const owner = await host.ownerOf(join(paths.homes, username));
    if (owner !== undefined) owners[username] = owner;
  }
  if (own === undefined) return owners;
  const saved = systemOf(produced);
  const aside = systemOf(journal.result<SavedState>('put-aside')?.archives ?? []);
  const plan = planOf(journal);
  for (const [kind, folder, part] of [
    ['homes', paths.homes, 'data_home'],
    ['mail', paths.mail, 'data_mail'],
  ] as const) {
    if (!plan.systemParts.includes(part)) continue;
    for (const name of await namesIn(folder)) {
      if (kind === 'homes' && name.startsWith('yunohost')) continue;
      const isSaved = saved?.names[kind].includes(name) === true;
      // A restore that was cut off produced nothing: what it laid down is what the main server's snapshot holds.
      const isUntouched = saved === undefined && plan.system?.names[kind].includes(name) === true;
      const wasHere = own.entries[kind].includes(name);
      const isAside = aside?.names[kind].includes(name) === true;
      if ((isSaved || isUntouched) && (!wasHere || isAside)) {
        tell(host, `removing ${kind === 'homes' ? '/home' : '/var/mail'}/${name}`);
        await removeTree(host, join(folder, name));
      }
    }
  }
  await sweepAppData(host, journal, own);
  return owners;
}

/** Data that a failed restore left behind: the app is gone, and was never here before. What a running app left is no such data. */
async function sweepAppData(host: TakeoverHost, journal: Journal, own: OwnState): Promise<void> {
  const ran = journal.fact<string[]>('brought') ?? [];
  for (const { id } of planOf(journal).apps) {
    if (hasApp(host, id) || ran.includes(id) || own.entries.appData.includes(id) || own.apps.includes(id)) continue;
    if (journal.isBegun(`app:${id}`)) await removeTree(host, host.yunohost.paths.at(`/home/yunohost.app/${id}`));
  }
}

/** Whether an entry of a folder belongs to a domain: `main.test`, `main.test.yml`, `main.test-history`, `Kmain.test.+165+1.key`. */
const belongsTo = (entry: string, domain: string): boolean =>
  entry === domain ||
  entry.startsWith(`${domain}-`) ||
  new RegExp(`^(?:K)?${domain.replaceAll('.', '\\.')}\\.(?:yml|json|conf|d|mail\\.(?:key|txt)|\\+)`).test(entry);

/**
 * After the own system came back: domains that came with the takeover. Settings, certificates and keys are in the proved
 * backup; the DynDNS keys above all must go, or this server and the main server take the address from each other.
 * @param own undefined on a server that was bare: its domains stay, only the DynDNS keys go.
 */
export async function sweepLeftDomains(
  host: TakeoverHost,
  own: OwnState | undefined,
  produced: readonly ArchiveFacts[],
): Promise<void> {
  const { paths } = host.yunohost;
  const saved: SystemNames | undefined = systemOf(produced)?.names;
  if (own === undefined) {
    for (const name of saved?.dyndns ?? []) await removeTree(host, join(paths.dyndnsKeys, name));
    return;
  }
  const { domains } = await host.yunohost.domains.list(shortCall(host));
  for (const domain of domains) {
    if (!own.domains.includes(domain)) await host.yunohost.domains.remove(domain, longCall(host));
  }
  for (const kind of ['domains', 'certificates', 'dyndns', 'dkim'] as const) {
    const folder = paths.at(watchedFolders[kind]);
    for (const name of await namesIn(folder)) {
      const isTheirs = saved?.[kind].includes(name) === true;
      if (isTheirs && !own.entries[kind].includes(name)) await removeTree(host, join(folder, name));
    }
    if (kind === 'dkim' && (await namesIn(folder)).length === 0) await rmdir(folder).catch(() => undefined);
  }
  await sweepNginx(host, own);
}

/** Folders of nginx for lost domains: only when nothing is left in them. */
async function sweepNginx(host: TakeoverHost, own: OwnState): Promise<void> {
  const folder = host.yunohost.paths.at(watchedFolders.nginx);
  for (const name of await namesIn(folder)) {
    if (own.entries.nginx.includes(name) || !name.endsWith('.d')) continue;
    if (own.domains.some((domain) => belongsTo(name, domain))) continue;
    const path = join(folder, name);
    if ((await lstat(path)).isDirectory() && (await readdir(path)).length === 0)
      await rmdir(path).catch(() => undefined);
  }
}
