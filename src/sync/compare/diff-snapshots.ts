// Differences between two snapshots: archives, and the members of tar archives. Exact, and next to nothing is fetched: equal
// contents are told from where their chunks lie.
import { equalBytes } from '../../bytes/hex.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import { ArchiveReader } from '../read/archive-reader.ts';
import { CatalogueReader } from '../read/catalogue-reader.ts';
import { normalizeMemberPath } from '../read/member-pattern.ts';
import { PackReader } from '../read/pack-reader.ts';
import type { RepositorySession } from '../repository-session.ts';
import type { ListedSnapshot } from '../snapshots.ts';
import { equalContents } from './compare-contents.ts';
import { MemberList, metadataHash } from './member-list.ts';
import { PackAddresses } from './pack-addresses.ts';

/** An archive that differs. Its members' differences follow, when it is a tar on both sides. */
export interface ArchiveDifference {
  readonly kind: 'archive';
  readonly change: 'added' | 'removed' | 'changed';
  readonly archive: string;
  /** Lengths in bytes; undefined where there is none. */
  readonly beforeBytes: number | undefined;
  readonly afterBytes: number | undefined;
}

/** A member that differs: new, gone, with other contents, or with the same contents and another kind, mode, owner, time or link. */
export interface MemberDifference {
  readonly kind: 'member';
  readonly change: 'added' | 'removed' | 'contents' | 'metadata';
  readonly archive: string;
  /** As it stands in the archive. */
  readonly name: string;
  readonly beforeBytes: number | undefined;
  readonly afterBytes: number | undefined;
}

export type SnapshotDifference = ArchiveDifference | MemberDifference;

/** How far a comparison is; read by the progress line. */
export interface DiffCounters {
  archivesTotal: number;
  archivesDone: number;
  membersCompared: number;
}

/** All zero. */
export function newDiffCounters(): DiffCounters {
  return { archivesTotal: 0, archivesDone: 0, membersCompared: 0 };
}

export interface DiffOptions {
  readonly session: RepositorySession;
  readonly before: ListedSnapshot;
  readonly after: ListedSnapshot;
  /** Only this archive. */
  readonly archive?: string | undefined;
  readonly counters: DiffCounters;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Streams the differences from `before` to `after`: archives in the order of `after`, then those that are gone; in each its
 * members in the archive's order, then those that are gone.
 * @throws DAMAGED, SEAL_BROKEN, FORMAT_INVALID, NOT_FOUND (a pack that is needed to tell), network errors, the signal's reason.
 */
export async function* diffSnapshots(options: DiffOptions): AsyncGenerator<SnapshotDifference> {
  const { before, after, counters, archive: only } = options;
  const isWanted = ({ name }: SnapshotArchive): boolean => only === undefined || name === only;
  const old = new Map(before.record.archives.filter(isWanted).map((archive) => [archive.name, archive]));
  const current = after.record.archives.filter(isWanted);
  counters.archivesTotal += current.length;
  for (const archive of current) {
    const previous = old.get(archive.name);
    old.delete(archive.name);
    if (previous === undefined) yield archiveDifference('added', undefined, archive);
    else if (!isSameArchive(previous, archive)) {
      yield archiveDifference('changed', previous, archive);
      if (previous.catalogue !== undefined && archive.catalogue !== undefined) {
        yield* new ArchiveComparison(options, previous, archive).run();
      }
    }
    counters.archivesDone++;
  }
  for (const archive of old.values()) yield archiveDifference('removed', archive, undefined);
}

function isSameArchive(a: SnapshotArchive, b: SnapshotArchive): boolean {
  return a.recipe.lengthBytes === b.recipe.lengthBytes && equalBytes(a.recipe.sha256, b.recipe.sha256);
}

function archiveDifference(
  change: ArchiveDifference['change'],
  before: SnapshotArchive | undefined,
  after: SnapshotArchive | undefined,
): ArchiveDifference {
  return {
    kind: 'archive',
    change,
    archive: (after ?? before)?.name ?? '',
    beforeBytes: before?.recipe.lengthBytes,
    afterBytes: after?.recipe.lengthBytes,
  };
}

/** Two versions of one tar archive. */
class ArchiveComparison {
  readonly #options: DiffOptions;
  readonly #name: string;
  readonly #addresses: PackAddresses;
  readonly #before: SnapshotArchive;
  readonly #after: SnapshotArchive;
  readonly #packs: PackReader;

  constructor(options: DiffOptions, before: SnapshotArchive, after: SnapshotArchive) {
    this.#options = options;
    this.#name = after.name;
    this.#before = before;
    this.#after = after;
    this.#packs = new PackReader(options.session);
    this.#addresses = new PackAddresses(options.session);
  }

  async *run(): AsyncGenerator<MemberDifference> {
    const packs = this.#packs;
    const [oldCatalogue, newCatalogue] = [
      new CatalogueReader(packs, this.#before),
      new CatalogueReader(packs, this.#after),
    ];
    const oldMembers = await MemberList.read(oldCatalogue);
    const newMembers = await MemberList.read(newCatalogue);
    yield* this.#changes(oldMembers, newMembers, newCatalogue);
    let index = 0;
    for await (const { name, sizeBytes } of oldCatalogue.members()) {
      const path = normalizeMemberPath(name);
      if (oldMembers.isLast(path, index++) && !newMembers.has(path)) {
        yield this.#difference('removed', name, sizeBytes, undefined);
      }
    }
  }

  async *#changes(
    oldMembers: MemberList,
    newMembers: MemberList,
    newCatalogue: CatalogueReader,
  ): AsyncGenerator<MemberDifference> {
    const oldReader = await ArchiveReader.open(this.#packs, this.#before.recipe);
    const newReader = await ArchiveReader.open(this.#packs, this.#after.recipe);
    let index = 0;
    for await (const member of newCatalogue.members()) {
      this.#options.signal?.throwIfAborted();
      const path = normalizeMemberPath(member.name);
      if (!newMembers.isLast(path, index++)) continue;
      this.#options.counters.membersCompared++;
      const old = oldMembers.find(path);
      const { name, sizeBytes } = member;
      if (old === undefined) {
        yield this.#difference('added', name, undefined, sizeBytes);
        continue;
      }
      const from = { reader: oldReader, byte: old.contentStart };
      const to = { reader: newReader, byte: member.headerOffset + member.headerBytes };
      if (old.sizeBytes !== sizeBytes || !(await equalContents(from, to, sizeBytes, this.#addresses))) {
        yield this.#difference('contents', name, old.sizeBytes, sizeBytes);
        continue;
      }
      const [low, high] = metadataHash(member);
      if (low !== old.metadata[0] || high !== old.metadata[1]) {
        yield this.#difference('metadata', name, old.sizeBytes, sizeBytes);
      }
    }
  }

  #difference(
    change: MemberDifference['change'],
    name: string,
    beforeBytes: number | undefined,
    afterBytes: number | undefined,
  ): MemberDifference {
    return { kind: 'member', change, archive: this.#name, name, beforeBytes, afterBytes };
  }
}
