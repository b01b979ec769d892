// The system part of an update: users, homes and mail that the fallback server produced come home. Settings of the machine
// (SSH, firewall, certificates, files changed by hand) stay as they are here: those of the fallback server are its own.
import { basename } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { Epoch } from '../../format/ids.ts';
import type { Attributes, SnapshotArchive } from '../../format/snapshot.ts';
import type { RepositoryReader, RepositoryWriter } from '../../store/repository-store.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { findArchive, type ListedSnapshot } from '../../sync/snapshots.ts';
import { systemArchive } from '../coverage.ts';
import { markedFolders } from '../left-out.ts';
import type { Changes } from './compare-versions.ts';
import { cutMembers } from './cut-members.ts';
import type { Journal } from './journal.ts';
import type { OwnState } from './own-state.ts';
import { placeArchive, placedName, removePlaced } from './placed-archive.ts';
import { giveHomes, keepDomains, liftNestedFolders, setTiles, tilesOf } from './reach.ts';
import { removeInside } from './remove-tree.ts';
import { makeSafety, pushSafety } from './replace-app.ts';
import { type LostPart, leavePostInstall, restoreParts, throwIfHopeless } from './restore-parts.ts';
import { type ArchiveFacts, isIn, proveStored } from './stored-archive.ts';
import { longCall, shortCall, type TakeoverHost, tell, warn } from './takeover-host.ts';

/** Parts that belong to a machine, not to its users. */
const machineParts = ['conf_ynh_settings', 'conf_ynh_certs', 'conf_manually_modified_files'];

/** Whether a system part is brought home. */
export const isHomePart = (part: string): boolean => !machineParts.includes(part);

/** Members of a system archive that are compared: those of the parts that are brought home. */
export const isHomeMember = (member: string): boolean =>
  member.startsWith('data/') || member.startsWith('conf/ldap/dc=') || !/^(conf|data)\//.test(member);

/** Parts whose restore adds to what is there, and overwrites files of the same name; any other part is replaced as a whole. */
export const mergedParts = ['data_home', 'data_mail'];

/** The part that a member of a system archive belongs to; undefined for none of YunoHost's own. */
export function partOf(member: string): string | undefined {
  if (member.startsWith('conf/ldap/')) return 'conf_ldap';
  const name = /^data\/([^/]+)/.exec(member)?.[1];
  return name === undefined ? undefined : `data_${name}`;
}

/** Parts of the main server that the fallback server had, as its `close` noted; undefined: an older version closed. */
export const takenPartsOf = ({ record }: ListedSnapshot): readonly string[] | undefined =>
  record.attributes['takenParts']?.split(' ').filter((one) => one !== '');

const homesAttribute = 'homesLeftOut';
const attributeBytesMax = 4000;

/** Names of homes that are not to be brought home, as attributes of a snapshot: as many as it takes, with `/` between the names. */
export function homesToAttributes(homes: readonly string[]): Attributes {
  const texts: string[] = [];
  for (const name of homes) {
    const longer = `${texts.at(-1) ?? ''}/${name}`;
    if (texts.length > 0 && Buffer.byteLength(longer) <= attributeBytesMax) texts[texts.length - 1] = longer;
    else texts.push(`/${name}`);
  }
  return Object.fromEntries(texts.map((text, index) => [`${homesAttribute}${index === 0 ? '' : index}`, text]));
}

/** Those names, as the fallback server's `close` noted them; none when an older version closed. */
export const homesLeftOutOf = ({ record }: ListedSnapshot): readonly string[] =>
  Object.entries(record.attributes)
    .filter(([key]) => key.startsWith(homesAttribute))
    .flatMap(([, text]) => text.split('/').filter((name) => name !== ''));

/** The home that a member of a system archive belongs to; undefined for none. */
export const homeOf = (member: string): string | undefined => /^data\/home\/([^/]+)/.exec(member)?.[1];

/** Parts of YunoHost's own that these changes touch and that a restore replaces as a whole. */
export const wholePartsOf = ({ added, changed, removed }: Changes): string[] => {
  const parts = [...added, ...changed, ...removed].map(partOf).filter((part) => part !== undefined);
  return [...new Set(parts)].filter((part) => !mergedParts.includes(part)).sort();
};

/**
 * Whether a part is brought home. One that the fallback server did not have is its own there: it is added to homes and mail,
 * and replaces nothing. One that is replaced as a whole and was not written there would only undo what was written here.
 * @param taken undefined: not known. @param written such parts that were written there; undefined: not known.
 */
export function isBrought(
  part: string,
  taken: readonly string[] | undefined,
  written?: readonly string[] | undefined,
): boolean {
  if (!isHomePart(part)) return false;
  if (mergedParts.includes(part)) return true;
  const isKnown = part === 'conf_ldap' || part.startsWith('data_');
  return (taken?.includes(part) ?? true) && (!isKnown || (written?.includes(part) ?? true));
}

/** Whether a member that is not there any more was removed on the fallback server: it had its part. */
export function isRemovedThere(member: string, taken: readonly string[] | undefined): boolean {
  const part = partOf(member);
  return part !== undefined && taken?.includes(part) === true;
}

export interface SystemHomeRequest {
  readonly host: TakeoverHost;
  readonly session: RepositorySession<RepositoryWriter>;
  readonly journal: Journal;
  readonly epoch: Epoch;
  readonly archive: SnapshotArchive;
  /** Whether a part of the archive is brought home. */
  isBrought(part: string): boolean;
  /** Homes of the archive that are not brought home: they are the fallback server's own. */
  readonly homesLeftOut: readonly string[];
  /** Members of homes and mail that were removed on the fallback server and not written here. */
  removedThere(): Promise<readonly string[]>;
  /** This server before; undefined when it was bare, and has its system from the snapshot that was taken over. */
  readonly own: OwnState | undefined;
  /** Domains of the fallback server itself: they came into the directory there, and must not stay here. */
  readonly ownDomainsThere: readonly string[];
}

/** A main server that was set up anew, without post-install: it gets the system that it had when it was taken over. */
export async function postInstallFrom(
  host: TakeoverHost,
  session: RepositorySession<RepositoryReader>,
  base: ListedSnapshot,
): Promise<readonly string[]> {
  const archive = findArchive(base, systemArchive);
  const facts = await proveStored(session, archive, { signal: host.signal });
  const name = placedName('take', 'base-system');
  await placeArchive(host, session, archive, name);
  tell(host, 'setting this machine up as the main server was');
  let missing: LostPart[];
  try {
    missing = await restoreParts(host, name, facts.systemParts);
  } catch (error) {
    throwIfHopeless(host, error);
    if (!(await leavePostInstall(host, error))) throw error;
    missing = await restoreParts(host, name, facts.systemParts);
  }
  await removePlaced(host.yunohost.paths, name);
  await liftNestedFolders(host);
  await host.yunohost.server.regenConf([], {}, longCall(host));
  if (missing.length > 0) {
    throw new FallbackError(
      'YUNOHOST_FAILED',
      `Parts of the system did not come back: ${missing.map((part) => part.name).join(', ')}.`,
    );
  }
  return facts.systemParts;
}

/**
 * @returns why it failed; all parts were put back then, and files that had come stay in homes and mail.
 * @throws YUNOHOST_FAILED when parts came back neither new nor old.
 */
export async function bringSystemHome(request: SystemHomeRequest): Promise<string | undefined> {
  const { host, session, journal, epoch, archive, own } = request;
  const { paths } = host.yunohost;
  const facts = await journal.step('system:prove', () => proveStored(session, archive, { signal: host.signal }));
  const here = own?.systemParts ?? (await host.yunohost.server.hooks('backup', shortCall(host)));
  const parts = facts.systemParts.filter((part) => request.isBrought(part) && here.includes(part));
  if (parts.length === 0) return undefined;
  if (!journal.isBegun('system:restore')) {
    await requireUnmarked(request, facts, parts);
    await journal.forget((step) => step === 'system:safety' || step === 'system:push-safety');
  }
  const safety = await journal.step('system:safety', () => makeSafety(host, systemArchive, { system: parts }));
  await journal.step('system:push-safety', () => pushSafety({ host, session, epoch }, systemArchive, safety));
  const missing = await journal.step('system:restore', () => restoreHome(request, parts));
  await settle(request);
  if (missing.length === 0) {
    await journal.step('system:merge', () => removeWhatWasRemoved(request));
    await removePlaced(paths, safety);
    return undefined;
  }
  const reason = missing.map((part) => `${part.name} (${part.reason})`).join(', ');
  await journal.step('system:put-back', () => putBack(host, safety, parts, reason));
  await settle(request);
  await removePlaced(paths, safety);
  return `What was here is back; files that had come stay in homes and mail. ${reason}`;
}

/** The safety backup leaves out what is marked here: it could not be put back. @throws BACKUP_FAILED. */
async function requireUnmarked(
  { host, homesLeftOut }: SystemHomeRequest,
  facts: ArchiveFacts,
  parts: readonly string[],
): Promise<void> {
  const marked = await markedFolders(host.yunohost.paths, parts);
  const clashing = marked.filter((folder) => isIn(facts, folder) && !homesLeftOut.includes(basename(folder)));
  if (clashing.length === 0) return;
  throw new FallbackError(
    'BACKUP_FAILED',
    `What comes home would replace files in ${clashing.join(', ')}, and a file .nobackup there leaves them out of every backup, the safety backup too. Nothing was changed.`,
    {
      hint: `To have them backed up and replaced: rm ${clashing.map((folder) => `${folder}/.nobackup`).join(' ')}, then fallback update again. To leave all as it is here: fallback update --keep ${systemArchive}.`,
    },
  );
}

/** All parts, not only those that failed: new users with old homes would be neither this server nor the other. */
async function putBack(host: TakeoverHost, safety: string, parts: readonly string[], reason: string): Promise<void> {
  tell(host, `putting ${parts.join(', ')} back`);
  const lost = (await restoreParts(host, safety, parts)).map((part) => part.name);
  if (lost.length === 0) return;
  throw new FallbackError(
    'YUNOHOST_FAILED',
    `The system parts ${lost.join(', ')} came back neither new nor old: ${reason}`,
    {
      hint: `The old state is kept: yunohost backup restore ${safety} --system ${lost.join(' ')} --force. Or run fallback update again.`,
    },
  );
}

async function restoreHome(
  { host, session, archive, own, homesLeftOut }: SystemHomeRequest,
  parts: readonly string[],
): Promise<LostPart[]> {
  const name = placedName('take', systemArchive);
  try {
    await placeArchive(host, session, archive, name);
    if (homesLeftOut.length > 0) {
      const isCut = (member: string): boolean => homesLeftOut.includes(homeOf(member) ?? '');
      await cutMembers(host.yunohost.paths.archive(name), isCut, host.signal);
    }
    tell(host, `restoring ${parts.join(', ')}`);
    try {
      return await restoreParts(host, name, parts);
    } catch (error) {
      throwIfHopeless(host, error);
      warn(host, error instanceof Error ? error.message : String(error));
      // An app with a visible tile on a domain that the directory lost makes YunoHost crash: tiles away, domains back, again.
      if (own !== undefined) await keepDomains(host, own.domains, own.certificates).catch(() => undefined);
      const tiles = own === undefined ? [] : await tilesOf(host, own.apps).catch(() => []);
      await setTiles(host, tiles, false).catch(() => undefined);
      try {
        return await restoreParts(host, name, parts);
      } catch (second) {
        throwIfHopeless(host, second);
        const reason = second instanceof Error ? second.message : String(second);
        return parts.map((part) => ({ name: part, reason }));
      } finally {
        if (own !== undefined) await keepDomains(host, own.domains, own.certificates);
        await setTiles(host, tiles, true).catch(() => undefined);
      }
    }
  } finally {
    await removePlaced(host.yunohost.paths, name).catch(() => undefined);
  }
}

/** Domains as they were here, without the fallback server's own; owners of homes; configuration. */
async function settle({ host, own, ownDomainsThere }: SystemHomeRequest): Promise<void> {
  const call = longCall(host);
  if (own !== undefined) {
    await keepDomains(host, own.domains, own.certificates);
    await giveHomes(host, own.homeOwners);
  }
  const { domains, main } = await host.yunohost.domains.list(shortCall(host));
  for (const domain of domains) {
    if (!ownDomainsThere.includes(domain) || domain === main || own?.domains.includes(domain) === true) continue;
    await host.yunohost.domains.remove(domain, call);
  }
  await host.yunohost.server.regenConf([], {}, call);
}

/**
 * YunoHost's restore adds and replaces, and removes nothing: a mail that was read there would lie here twice. Removes what was
 * removed there, unless it was written here meanwhile. @returns how many files.
 */
async function removeWhatWasRemoved({ host, removedThere }: SystemHomeRequest): Promise<number> {
  const places = { 'data/home/': host.yunohost.paths.homes, 'data/mail/': host.yunohost.paths.mail };
  let removed = 0;
  // The deepest first, so that folders are empty when their turn comes.
  for (const member of [...(await removedThere())].sort().reverse()) {
    const place = Object.entries(places).find(([prefix]) => member.startsWith(prefix));
    if (place === undefined) continue;
    const [prefix, folder] = place;
    if (await removeInside(folder, member.slice(prefix.length))) removed++;
  }
  return removed;
}
