// What changed between two versions of an archive, without what changes by itself every night.

import { diffSnapshots, newDiffCounters } from '../../sync/compare/diff-snapshots.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import type { ListedSnapshot } from '../../sync/snapshots.ts';

/** Members that changed. */
export interface Changes {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** How many of each there are: the lists may be shortened for the journal. */
  readonly counts: { readonly added: number; readonly changed: number; readonly removed: number };
  /** One of the two has no such archive: nothing can be said. */
  readonly isUnknown: boolean;
}

/** Generated at each backup: lists, the archive's own name in paths, settings with a port that a machine chose. */
const generated =
  /^(?:\.\/)?(?:backup\.csv|info\.json|hooks\/|conf\/manually_modified_files\/home\/yunohost\.backup\/)/;
const namesKept = 20;

/** Nothing can be said. */
export const unknownChanges: Changes = {
  added: [],
  changed: [],
  removed: [],
  counts: { added: 0, changed: 0, removed: 0 },
  isUnknown: true,
};

/** For the journal: the counts, and the first names. */
export const shorten = ({ added, changed, removed, counts, isUnknown }: Changes): Changes => ({
  added: added.slice(0, namesKept),
  changed: changed.slice(0, namesKept),
  removed: removed.slice(0, namesKept),
  counts,
  isUnknown,
});

/** The changes of which only some count. */
export function onlyChanges(
  { added, changed, removed, isUnknown }: Changes,
  isCounted: (member: string, change: 'added' | 'changed' | 'removed') => boolean,
): Changes {
  const lists = {
    added: added.filter((member) => isCounted(member, 'added')),
    changed: changed.filter((member) => isCounted(member, 'changed')),
    removed: removed.filter((member) => isCounted(member, 'removed')),
  };
  const counts = { added: lists.added.length, changed: lists.changed.length, removed: lists.removed.length };
  return { ...lists, counts, isUnknown };
}

/** Compares one archive of two snapshots. @param isCounted which members matter. */
export async function compareVersions(
  session: RepositorySession,
  before: ListedSnapshot,
  after: ListedSnapshot,
  archive: string,
  isCounted: (member: string) => boolean = () => true,
  signal?: AbortSignal,
): Promise<Changes> {
  const has = (snapshot: ListedSnapshot): boolean => snapshot.record.archives.some(({ name }) => name === archive);
  if (!has(before) || !has(after)) return unknownChanges;
  const [added, changed, removed]: [string[], string[], string[]] = [[], [], []];
  const differences = diffSnapshots({ session, before, after, archive, counters: newDiffCounters(), signal });
  let isSeen = false;
  let hasMembers = false;
  for await (const difference of differences) {
    if (difference.kind === 'archive') {
      isSeen = true;
      continue;
    }
    hasMembers = true;
    const { change, name } = difference;
    if (change === 'metadata' || generated.test(name) || !isCounted(name.replace(/^\.\//, ''))) continue;
    const list = change === 'added' ? added : change === 'removed' ? removed : changed;
    list.push(name.replace(/^\.\//, ''));
  }
  // A difference without members: no tar on one side.
  const counts = { added: added.length, changed: changed.length, removed: removed.length };
  return { added, changed, removed, counts, isUnknown: isSeen && !hasMembers };
}

export const countOf = ({ counts }: Changes): number => counts.added + counts.changed + counts.removed;

/** `3 new, 2 changed`, or `nothing`. */
export function showChanges(changes: Changes): string {
  if (changes.isUnknown) return 'not known';
  const { counts } = changes;
  const all = [
    ['new', counts.added],
    ['changed', counts.changed],
    ['removed', counts.removed],
  ] as const;
  const parts = all.filter(([, count]) => count > 0).map(([what, count]) => `${count} ${what}`);
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

/** Members that both sides wrote. */
export function writtenByBoth(a: Changes, b: Changes): string[] {
  const all = new Set([...b.added, ...b.changed, ...b.removed]);
  return [...a.added, ...a.changed, ...a.removed].filter((name) => all.has(name));
}
