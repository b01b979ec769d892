// The one file that a path means: the last of that name, and for a hard link the file that it was linked to.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { CatalogueMember } from '../../format/catalogue.ts';
import type { CatalogueReader } from '../read/catalogue-reader.ts';
import { findMembersByPath } from '../read/find-members.ts';
import { normalizeMemberPath } from '../read/member-pattern.ts';
import { isOdd } from './plan-members.ts';

const linksMax = 16;

function notAFile(path: string, type: string): FallbackError {
  return new FallbackError('USAGE', `${path} is a ${type}, not a file.`, { hint: 'Restore it into a folder instead.' });
}

/** Of names that are not UTF-8 the list of members has what it can hold: which one is meant cannot be told by them. */
function looksAlike(path: string): FallbackError {
  return new FallbackError(
    'USAGE',
    `${path} may be any of several members, whose names are not UTF-8 and look alike.`,
    {
      hint: 'Restore the folder that they are in with --to FOLDER: each gets its own name there.',
    },
  );
}

/** @throws NOT_FOUND (with near names), USAGE when it is not a file or means several. */
export async function findFileMember(catalogue: CatalogueReader, path: string): Promise<CatalogueMember> {
  let found: CatalogueMember | undefined;
  let foundPath: string | undefined;
  let sameNames = 0;
  for await (const { member, path: memberPath } of findMembersByPath(catalogue, [path])) {
    if (foundPath !== undefined && foundPath !== memberPath) {
      throw new FallbackError('USAGE', `${path} means more than one member.`, { hint: 'Name one file.' });
    }
    if (member.type === 'directory') throw notAFile(path, 'folder');
    found = member;
    foundPath = memberPath;
    sameNames++;
  }
  if (sameNames > 1 && isOdd(foundPath ?? '')) throw looksAlike(path);
  for (let links = 0; found?.type === 'hardlink' && links < linksMax; links++) {
    found = await linkedFile(catalogue, found);
  }
  if (found === undefined)
    throw new FallbackError('NOT_FOUND', `${path} is a hard link to what is not in the archive.`);
  if (found.type !== 'file') throw notAFile(path, found.type);
  return found;
}

/** The last file before a hard link that has the name it links to. */
async function linkedFile(catalogue: CatalogueReader, link: CatalogueMember): Promise<CatalogueMember | undefined> {
  const wanted = normalizeMemberPath(link.linkName);
  let found: CatalogueMember | undefined;
  let sameNames = 0;
  for await (const member of catalogue.members()) {
    if (member.headerOffset >= link.headerOffset) break;
    if (normalizeMemberPath(member.name) !== wanted) continue;
    found = member;
    sameNames++;
  }
  if (sameNames > 1 && isOdd(wanted)) throw looksAlike(wanted);
  return found;
}
