// Rebuilds an archive of the repository to nowhere: every byte is read and verified, and what a takeover wants to know of it
// is picked up on the way.
import { basename } from 'node:path';
import { Writable } from 'node:stream';
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import { newRestoreCounters, type RestoreCounters } from '../../sync/restore/restore-archive.ts';
import { restoreArchiveToStream } from '../../sync/restore/restore-stream.ts';
import { TarReader } from '../../tar/tar-reader.ts';
import { settingIn } from '../command/app-settings.ts';
import { dataFolderIn, leavesDataOut, partOfFolder } from '../left-out.ts';
import { type InsideInfo, parseInfo } from '../night/prove-archive.ts';

/** Folders of an archive whose immediate children say what a system restore brings. */
const listed = {
  homes: 'data/home/',
  mail: 'data/mail/',
  domains: 'conf/ynh/domains/',
  certificates: 'conf/ynh/certs/',
  dyndns: 'conf/ynh/dyndns/',
  dkim: 'conf/ynh/dkim/',
} as const;

/** Names of what a system archive holds, by kind. */
export type SystemNames = Readonly<Record<keyof typeof listed, readonly string[]>>;

/** An app in an archive. */
export interface AppFacts {
  readonly id: string;
  readonly version: string;
  readonly name: string;
  /** Its domain, from its settings; undefined for one without. */
  readonly domain: string | undefined;
  readonly path: string | undefined;
  /** Its archive holds no data: they were left out by its setting. */
  readonly isDataLeftOut: boolean;
  /** Where its data lie, by its settings; absent in journals of older versions. */
  readonly dataFolder?: string;
}

/** What an archive holds; JSON. */
export interface ArchiveFacts {
  readonly name: string;
  /** Of the tar, in bytes. */
  readonly tarBytes: number;
  /** Of what it unpacks to, in bytes, as YunoHost counts it before a restore. */
  readonly contentBytes: number;
  /** YunoHost's version that made it; empty for an archive that is none of YunoHost's. */
  readonly yunohostVersion: string;
  readonly systemParts: readonly string[];
  readonly names: SystemNames;
  /** Parts such as `data_home` of which it holds members: a part that it only names brings nothing. Absent in journals of older versions. */
  readonly dataParts?: readonly string[];
  /** The main domain; undefined without `conf_ynh_settings`. */
  readonly mainDomain: string | undefined;
  readonly apps: readonly AppFacts[];
}

/** Whether a system archive holds members of a home or of the multimedia folder. @param folder such as `/home/bob`. */
export function isIn({ names, dataParts }: Pick<ArchiveFacts, 'names' | 'dataParts'>, folder: string): boolean {
  const part = partOfFolder(folder);
  return part === 'data_home' ? names.homes.includes(basename(folder)) : (dataParts?.includes(part) ?? true);
}

const smallFileBytesMax = 1024 * 1024;
const infoBytesMax = 16 * 1024 * 1024;
const namesMax = 20_000;

/** Looks at the members of an archive as they pass. */
class FactCollector {
  readonly #names = new Map<keyof typeof listed, Set<string>>();
  readonly #dataParts = new Set<string>();
  readonly #texts = new Map<string, Buffer[]>();
  #into: Buffer[] | undefined;

  readonly listener = {
    onEntry: ({ name, sizeBytes }: { readonly name: string; readonly sizeBytes: number }): void => {
      const path = name.replace(/^\.\//, '');
      this.#into = undefined;
      if (isWanted(path) && sizeBytes <= (path === 'info.json' ? infoBytesMax : smallFileBytesMax)) {
        this.#into = [];
        this.#texts.set(path, this.#into);
      }
      const data = /^data\/([^/]+)/.exec(path)?.[1];
      if (data !== undefined && this.#dataParts.size < namesMax) this.#dataParts.add(`data_${data}`);
      for (const [kind, folder] of Object.entries(listed) as [keyof typeof listed, string][]) {
        if (!path.startsWith(folder)) continue;
        const child = path.slice(folder.length).split('/')[0] ?? '';
        const names = this.#names.get(kind) ?? new Set<string>();
        if (child !== '' && names.size < namesMax) names.add(child);
        this.#names.set(kind, names);
      }
    },
    onContent: (bytes: Uint8Array): void => {
      this.#into?.push(Buffer.from(bytes));
    },
  };

  text(path: string): string | undefined {
    const parts = this.#texts.get(path);
    return parts === undefined ? undefined : Buffer.concat(parts).toString('utf8');
  }

  dataParts(): string[] {
    return [...this.#dataParts].sort();
  }

  names(): SystemNames {
    const of = (kind: keyof typeof listed): string[] => [...(this.#names.get(kind) ?? [])].sort();
    return {
      homes: of('homes'),
      mail: of('mail'),
      domains: of('domains'),
      certificates: of('certificates'),
      dyndns: of('dyndns'),
      dkim: of('dkim'),
    };
  }
}

const isWanted = (path: string): boolean =>
  path === 'info.json' || path === 'conf/ynh/current_host' || /^apps\/[^/]+\/settings\/settings\.yml$/.test(path);

function appsOf(info: InsideInfo, collector: FactCollector): AppFacts[] {
  return [...info.apps].map(([id, { version, name }]) => {
    const yaml = collector.text(`apps/${id}/settings/settings.yml`) ?? '';
    const [domain, path] = [settingIn(yaml, 'domain'), settingIn(yaml, 'path')];
    return { id, version, name, domain, path, isDataLeftOut: leavesDataOut(yaml), dataFolder: dataFolderIn(yaml, id) };
  });
}

/**
 * Reads a stored archive to its end: seals, chunk ids and the SHA-256 of the whole are checked, the tar ends as a tar does.
 * @throws DAMAGED, SEAL_BROKEN, NOT_FOUND (a pack), ARCHIVE_UNREADABLE (whole, but no tar to its end), the signal's reason.
 */
export async function proveStored(
  session: RepositorySession,
  archive: SnapshotArchive,
  { counters = newRestoreCounters(), signal }: { counters?: RestoreCounters; signal?: AbortSignal | undefined } = {},
): Promise<ArchiveFacts> {
  const collector = new FactCollector();
  const reader = new TarReader(collector.listener);
  const stream = new Writable({
    highWaterMark: 4 * 1024 * 1024,
    write(bytes: Uint8Array, _encoding, done) {
      reader.push(bytes);
      done();
    },
  });
  await restoreArchiveToStream({ session, archive, stream, counters, signal });
  if (reader.state !== 'ended') {
    throw new FallbackError(
      'ARCHIVE_UNREADABLE',
      `The archive ${archive.name} is whole in the store, but it is no tar to its end.`,
      {
        hint: 'It was so when it was pushed. Choose an older snapshot: fallback snapshots.',
      },
    );
  }
  const infoText = collector.text('info.json');
  const info = infoText === undefined ? undefined : parseInfo(infoText, archive.name);
  return {
    name: archive.name,
    tarBytes: archive.recipe.lengthBytes,
    contentBytes: info?.sizeBytes ?? 0,
    yunohostVersion: info?.fromYunohostVersion ?? '',
    systemParts: info?.systemParts ?? [],
    names: collector.names(),
    dataParts: collector.dataParts(),
    mainDomain: collector.text('conf/ynh/current_host')?.trim(),
    apps: info === undefined ? [] : appsOf(info, collector),
  };
}

/** Whether an error says that this one archive is bad, and not that the store cannot be read at all. */
export const isBadArchive = (error: unknown): error is FallbackError =>
  isFallbackError(error) && (error.exitCode === 4 || error.code === 'NOT_FOUND' || error.code === 'ARCHIVE_UNREADABLE');
