// The names of everything in a store's folder. FORMAT.md, Store folder.
import { fromHex } from '../bytes/hex.ts';
import type { RepositoryId } from '../format/ids.ts';
import type { ObjectKey } from './object-store.ts';

const packsPerFolder = 1000;
const digits = (value: number, count: number): string => String(value).padStart(count, '0');

/** The folder of all repositories. */
export const repositoriesPrefix = 'repositories/';
/** A repository's folder. */
export const repositoryPrefix = (id: RepositoryId): string => `${repositoriesPrefix}${id}/`;
/** The repository's small mutable document. It is written last: a folder without it is no repository. */
export const documentKey = (id: RepositoryId): ObjectKey => `${repositoryPrefix(id)}repository.json`;
export const configurationKey = (id: RepositoryId): ObjectKey => `${repositoryPrefix(id)}configuration`;
export const keyDocumentsPrefix = (id: RepositoryId): string => `${repositoryPrefix(id)}keys/`;
export const keyDocumentKey = (id: RepositoryId, number: number): ObjectKey =>
  `${keyDocumentsPrefix(id)}${digits(number, 8)}`;
export const packsPrefix = (id: RepositoryId): string => `${repositoryPrefix(id)}packs/`;
/** The folder of a pack: a thousand numbers share one. */
export const packFolderPrefix = (id: RepositoryId, number: number): string =>
  `${packsPrefix(id)}${digits(Math.floor(number / packsPerFolder), 9)}/`;

function packFileName(number: number, revision: number): string {
  return `${digits(number, 12)}${revision === 0 ? '' : `.r${revision}`}.pack`;
}

/** A pack's key; healed revisions stand beside the numbers of first revisions. */
export const packKey = (id: RepositoryId, number: number, revision: number): ObjectKey =>
  packFolderPrefix(id, number) + packFileName(number, revision);
export const snapshotsPrefix = (id: RepositoryId): string => `${repositoryPrefix(id)}snapshots/`;
export const snapshotKey = (id: RepositoryId, number: number): ObjectKey =>
  `${snapshotsPrefix(id)}${digits(number, 10)}.snapshot`;
export const quarantinePrefix = (id: RepositoryId): string => `${repositoryPrefix(id)}quarantine/`;
/** Where a pack's revision lies once it is in quarantine for the first time. */
export const quarantinedPackKey = (id: RepositoryId, number: number, revision: number): ObjectKey =>
  quarantinePrefix(id) + packFileName(number, revision);

const lastPart = (key: string): string => key.slice(key.lastIndexOf('/', key.length - 2) + 1);

/** The number and revision in a pack's file name, in its folder or in quarantine; undefined for other names. */
export function parsePackName(key: ObjectKey): { readonly number: number; readonly revision: number } | undefined {
  const match = /^(\d{12,13})(?:\.r([1-9]\d{0,4}))?\.pack(?:\.\d+)?$/.exec(lastPart(key));
  if (match === null) return undefined;
  return { number: Number(match[1]), revision: Number(match[2] ?? 0) };
}

/** The number in a snapshot's file name, in its folder or in quarantine; undefined for other names. */
export function parseSnapshotName(key: ObjectKey): number | undefined {
  const match = /^(\d{10})\.snapshot(?:\.\d+)?$/.exec(lastPart(key));
  return match === null ? undefined : Number(match[1]);
}

/** The number in a key document's file name; undefined for other names. */
export function parseKeyDocumentName(key: ObjectKey): number | undefined {
  const name = lastPart(key);
  return /^\d{8}$/.test(name) ? Number(name) : undefined;
}

/** The number of a thousand in a folder's name under `packs/`; undefined for other names. */
export function parsePackFolder(prefix: string): number | undefined {
  const match = /^(\d{9,10})\/$/.exec(lastPart(prefix));
  return match === null ? undefined : Number(match[1]);
}

/** The id in a repository folder's name; undefined for other names. */
export function parseRepositoryFolder(prefix: string): RepositoryId | undefined {
  const name = lastPart(prefix).replace(/\/$/, '');
  return fromHex(name, 16) === undefined ? undefined : (name as RepositoryId);
}
