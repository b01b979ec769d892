// What is done with each chosen member of a tar, in its order: the last of each name wins, and a hard link is only ever made to
// a file that this run restored.
import type { CatalogueMember } from '../../format/catalogue.ts';
import type { CatalogueReader } from '../read/catalogue-reader.ts';
import { findMembers } from '../read/find-members.ts';
import { MemberPatterns, normalizeMemberPath } from '../read/member-pattern.ts';
import { NameTable } from '../read/name-table.ts';

/** A name that is not UTF-8: the catalogue has a replacement character for what it cannot hold, so that several may look alike. */
export const isOdd = (name: string): boolean => name.includes('\ufffd');

/** What was chosen, gathered in one pass over the catalogue. */
export interface Selection {
  readonly patterns: MemberPatterns;
  /** Members that a later one of the same name replaces, by their place in the archive. */
  readonly replaced: ReadonlySet<number>;
  /** Paths that chosen hard links name. */
  readonly linkTargets: ReadonlySet<string>;
  readonly membersTotal: number;
  /** Where the last chosen member ends in the archive. */
  readonly endByte: number;
}

/** @throws NOT_FOUND when a path means no member, and what CatalogueReader.members throws. */
export async function selectMembers(catalogue: CatalogueReader, paths: readonly string[]): Promise<Selection> {
  const patterns = new MemberPatterns(paths);
  const names = new NameTable();
  const replaced = new Set<number>();
  const linkTargets = new Set<string>();
  let membersTotal = 0;
  let endByte = 0;
  for await (const { member, path, index } of findMembers(catalogue, patterns)) {
    membersTotal++;
    endByte = member.headerOffset + member.headerBytes + member.sizeBytes;
    const before = names.set(path, index);
    if (before >= 0 && !isOdd(path)) replaced.add(before);
    if (member.type === 'hardlink') linkTargets.add(normalizeMemberPath(member.linkName));
  }
  return { patterns, replaced, linkTargets, membersTotal, endByte };
}

/**
 * `contents`: a file, or a hard link to one that was not chosen; `link`: to a file that was restored before;
 * `broken`: a hard link to what the archive does not hold.
 */
export type MemberAction = 'directory' | 'contents' | 'link' | 'symlink' | 'device' | 'broken' | 'other';

export interface PlannedMember {
  readonly member: CatalogueMember;
  readonly action: MemberAction;
  /** Whose contents it gets: its own, or a hard link's target. */
  readonly source: CatalogueMember;
  /** Whether later hard links may mean these contents. */
  readonly isLinkTarget: boolean;
}

const plainActions: Readonly<Partial<Record<CatalogueMember['type'], MemberAction>>> = {
  file: 'contents',
  directory: 'directory',
  symlink: 'symlink',
  character: 'device',
  block: 'device',
  fifo: 'device',
};

/** All chosen members in the archive's order; the same each time. @throws what CatalogueReader.members throws. */
export async function* planMembers(catalogue: CatalogueReader, selection: Selection): AsyncGenerator<PlannedMember> {
  /** For each wanted path, the file that it means at this point of the archive. */
  const files = new Map<string, CatalogueMember>();
  /** Odd names that several files have: nobody can say here which of them a hard link means. */
  const ambiguous = new Set<string>();
  /** Files whose contents are restored already, by their place. */
  const restored = new Set<number>();
  let index = 0;
  for await (const member of catalogue.members()) {
    const path = normalizeMemberPath(member.name);
    const isChosen = selection.patterns.matches(path) && !selection.replaced.has(index);
    index++;
    const isWanted = selection.linkTargets.has(path);
    const linkPath = normalizeMemberPath(member.linkName);
    const linked = ambiguous.has(linkPath) ? undefined : files.get(linkPath);
    const source = member.type === 'hardlink' ? linked : member;
    if (isChosen) {
      let action: MemberAction = plainActions[member.type] ?? 'other';
      if (member.type === 'hardlink') action = actionOfLink(source, restored);
      const isLinkTarget = action === 'contents' && (isWanted || member.type === 'hardlink');
      yield { member, action, source: source ?? member, isLinkTarget };
      if (isLinkTarget && source !== undefined) restored.add(source.headerOffset);
    }
    if (isWanted && isOdd(path) && files.has(path)) ambiguous.add(path);
    if (isWanted && source?.type === 'file') files.set(path, source);
    else if (isWanted) files.delete(path);
  }
}

function actionOfLink(source: CatalogueMember | undefined, restored: ReadonlySet<number>): MemberAction {
  if (source === undefined) return 'broken';
  return restored.has(source.headerOffset) ? 'link' : 'contents';
}
