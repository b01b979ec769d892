// Members of an archive by path or glob: what `ls` shows and `restore` takes.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { CatalogueMember } from '../../format/catalogue.ts';
import type { CatalogueReader } from './catalogue-reader.ts';
import { type MemberPattern, MemberPatterns, normalizeMemberPath } from './member-pattern.ts';
import { NearNames } from './near-names.ts';

/** A member and its path in normal form. */
export interface FoundMember {
  readonly member: CatalogueMember;
  readonly path: string;
  /** Its place among all members of the archive, from 0. */
  readonly index: number;
}

/**
 * The members that `patterns` mean, in the archive's order, in bounded memory; all of them when there is no pattern.
 * @throws NOT_FOUND (at the end, with near names, when a pattern meant none), and what CatalogueReader.members throws.
 */
export async function* findMembers(catalogue: CatalogueReader, patterns: MemberPatterns): AsyncGenerator<FoundMember> {
  let index = 0;
  for await (const member of catalogue.members()) {
    const path = normalizeMemberPath(member.name);
    if (patterns.matches(path)) yield { member, path, index };
    index++;
  }
  const { unmatched } = patterns;
  if (unmatched !== undefined) throw await notFound(catalogue, unmatched);
}

/** As `findMembers`, from paths as they were typed. */
export function findMembersByPath(catalogue: CatalogueReader, paths: readonly string[]): AsyncGenerator<FoundMember> {
  return findMembers(catalogue, new MemberPatterns(paths));
}

async function notFound(catalogue: CatalogueReader, pattern: MemberPattern): Promise<FallbackError> {
  const near = new NearNames(pattern.path);
  for await (const member of catalogue.members()) near.see(normalizeMemberPath(member.name));
  const hint = near.toHint();
  const text = `The archive has no member ${JSON.stringify(pattern.text)}.`;
  return new FallbackError('NOT_FOUND', text, hint === '' ? {} : { hint });
}
