// fallback ls: archives of a snapshot, or what is in one of them.
import type { CatalogueMember } from '../../format/catalogue.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import { type CommandBody, flagOption, type Invocation } from '../command-spec.ts';
import { type OpenedRepository, withRepository } from '../open-repository.ts';
import { jsonOption, readingOptions } from '../shared-options.ts';
import { showBytes, showText, showTime } from '../show.ts';
import { layTable } from '../table.ts';

const longOption = flagOption('-l, --long', 'mode, owner, size and time of each member');

function listArchives({ output }: Invocation, archives: readonly SnapshotArchive[]): void {
  for (const { name, status, savedAtMs, recipe, catalogue, attributes } of archives) {
    output.json({
      name,
      status,
      savedAtMs,
      bytes: recipe.lengthBytes,
      sha256: recipe.sha256,
      isTar: catalogue !== undefined,
      attributes,
    });
  }
  const rows = archives.map(({ name, status, savedAtMs, recipe }) => [
    showText(name),
    showBytes(recipe.lengthBytes),
    showTime(savedAtMs),
    status,
  ]);
  output.lines(
    layTable([{ title: 'ARCHIVE' }, { title: 'SIZE', right: true }, { title: 'SAVED' }, { title: 'STATE' }], rows),
  );
}

const letters: Readonly<Record<CatalogueMember['type'], string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  hardlink: 'h',
  character: 'c',
  block: 'b',
  fifo: 'p',
  other: '?',
};

/** `rwxr-xr-x`, with set-id and sticky bits as ls(1) shows them. */
function showMode(mode: number): string {
  const special = [mode & 0o4000, mode & 0o2000, mode & 0o1000];
  return [6, 3, 0]
    .map((shift, index) => {
      const bits = (mode >> shift) & 7;
      const isSpecial = (special[index] ?? 0) !== 0;
      const mark = index === 2 ? 't' : 's';
      const execute = (bits & 1) !== 0 ? (isSpecial ? mark : 'x') : isSpecial ? mark.toUpperCase() : '-';
      return `${(bits & 4) !== 0 ? 'r' : '-'}${(bits & 2) !== 0 ? 'w' : '-'}${execute}`;
    })
    .join('');
}

function describeMember(member: CatalogueMember, isLong: boolean): string {
  const { name, type, linkName, mode, userName, userId, groupName, groupId, sizeBytes, modifiedSeconds } = member;
  const shown = showText(name) + (type === 'directory' && !name.endsWith('/') ? '/' : '');
  if (!isLong) return shown;
  const arrow =
    type === 'symlink' ? ` -> ${showText(linkName)}` : type === 'hardlink' ? ` = ${showText(linkName)}` : '';
  const owner = `${showText(userName || String(userId))}:${showText(groupName || String(groupId))}`;
  return [
    letters[type] + showMode(mode),
    owner.padEnd(20),
    showBytes(sizeBytes).padStart(8),
    showTime(modifiedSeconds * 1000),
    shown + arrow,
  ].join('  ');
}

async function listMembers(
  { output, get, signal }: Invocation,
  { session }: OpenedRepository,
  archive: SnapshotArchive,
  paths: readonly string[],
): Promise<void> {
  const [{ CatalogueReader }, { PackReader }, { findMembersByPath }] = await Promise.all([
    import('../../sync/read/catalogue-reader.ts'),
    import('../../sync/read/pack-reader.ts'),
    import('../../sync/read/find-members.ts'),
  ]);
  const isLong = get(longOption) !== undefined;
  const catalogue = new CatalogueReader(new PackReader(session), archive);
  for await (const { member } of findMembersByPath(catalogue, paths)) {
    signal.throwIfAborted();
    if (!output.isRead) return;
    const { headerOffset, headerBytes, ...facts } = member;
    output.json(facts);
    output.line(describeMember(member, isLong));
    await output.drain();
  }
}

async function run(invocation: Invocation): Promise<undefined> {
  const [name = '', archiveName, ...paths] = invocation.args;
  return await withRepository(invocation, async (opened) => {
    const { findArchive, findSnapshot } = await import('../../sync/snapshots.ts');
    const snapshot = await findSnapshot(opened.session, name);
    if (archiveName === undefined) listArchives(invocation, snapshot.record.archives);
    else await listMembers(invocation, opened, findArchive(snapshot, archiveName), paths);
    return undefined;
  });
}

export const lsCommand: CommandBody = {
  description: [
    'A path names a member, or a folder with all that is in it; * and ? stand for more, ** for any folders. ' +
      'Control characters in names are shown as \\x1b and the like; --json has names as they are.',
  ],
  arguments: [
    {
      syntax: '<snapshot>',
      description: 'its number, `latest`, or a date (the newest not after it)',
      completion: ['latest'],
    },
    { syntax: '[archive]', description: 'list the members of this archive', completion: 'none' },
    { syntax: '[path...]', description: 'only these members', completion: 'none' },
  ],
  options: [longOption, ...readingOptions, jsonOption],
  examples: [
    ['fallback ls latest', 'the archives of the newest snapshot'],
    ['fallback ls 2026-11-22 nextcloud "apps/**/*.php" -l', 'members of one archive, with mode, owner, size and time'],
  ],
  json: [
    'Archives, one a line: `name`, `status` (`saved`, `kept` from an earlier night, `suspicious`), `savedAtMs`, `bytes`, `sha256`, `isTar`, `attributes`.',
    'Members, one a line: `name`, `type`, `sizeBytes`, `mode`, `userId`, `groupId`, `userName`, `groupName`, `modifiedSeconds`, `linkName`.',
  ],
  run,
};
