// fallback restore: archives as files, single members into a folder, or either to stdout. It never changes a running system.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import { isDamage } from '../../sync/read/is-damage.ts';
import type { ExtractResult } from '../../sync/restore/extract-members.ts';
import type { RestoreCounters, RestoredArchive } from '../../sync/restore/restore-archive.ts';
import type { ListedSnapshot } from '../../sync/snapshots.ts';
import { type CommandBody, flagOption, type Invocation, textOption } from '../command-spec.ts';
import { encodeError } from '../error-report.ts';
import { type OpenedRepository, withRepository } from '../open-repository.ts';
import { type Progress, startProgress } from '../progress-line.ts';
import { absolutePath, jsonOption, quietOption, readingOptions } from '../shared-options.ts';
import { showAge, showBytes, showCount, showDuration, showText, showTime } from '../show.ts';

const toOption = textOption(
  '--to <folder>',
  'archives become NAME.tar in this folder; members keep their path below it',
  {
    completion: 'folder',
  },
);
const outputOption = textOption(
  '--output <file>',
  'one archive as this file; - is stdout, for one archive or one member',
  {
    completion: 'file',
  },
);
const overwriteOption = flagOption('--overwrite', 'replace files of the same name');
const devicesOption = flagOption('--devices', 'make device nodes and pipes too');
const noOwnersOption = flagOption('--no-owners', 'members belong to whoever restores them, also when that is root');
const setIdOption = flagOption('--set-id', 'keep set-user-id and set-group-id bits');

/** What the options and arguments ask for. */
interface Wanted {
  readonly archives: readonly SnapshotArchive[];
  readonly paths: readonly string[];
  readonly folder: string | undefined;
  /** `-` is stdout. */
  readonly file: string | undefined;
}

/** @throws USAGE before anything is opened. */
function checkUsage(invocation: Invocation): void {
  const { args, output, world } = invocation;
  const [to, file] = [invocation.get(toOption), invocation.get(outputOption)];
  const fail = (message: string, hint: string): never => {
    throw new FallbackError('USAGE', `${message} Nothing was restored.`, { hint });
  };
  if ((to === undefined) === (file === undefined)) {
    fail('Where to restore to is not clear.', 'Give either --to FOLDER, or --output FILE (- for stdout).');
  }
  if (file !== undefined && args.length < 2)
    fail('One file takes one archive.', 'Name the archive: fallback ls SNAPSHOT shows them.');
  if (file !== undefined && args.length > 3) fail('One file takes one member.', 'Use --to FOLDER for several.');
  if (file === '-' && output.mode.json) fail('With --json stdout is taken.', 'Give a file, or leave --json out.');
  if (file === '-' && world.stdout.isTTY === true)
    fail('An archive does not belong on a terminal.', 'Send it to a file or a pipe.');
}

async function choose(invocation: Invocation, snapshot: ListedSnapshot): Promise<Wanted> {
  const { world, args } = invocation;
  const { findArchive } = await import('../../sync/snapshots.ts');
  const [, name, ...paths] = args;
  const [to, file] = [invocation.get(toOption), invocation.get(outputOption)];
  return {
    archives: name === undefined ? snapshot.record.archives : [findArchive(snapshot, name)],
    paths,
    folder: to === undefined ? undefined : absolutePath(world, to),
    file: file === undefined || file === '-' ? file : absolutePath(world, file),
  };
}

function showProgress(
  { world, output }: Invocation,
  what: string,
  { totalBytes, writtenBytes }: { totalBytes: () => number; writtenBytes: () => number },
): Progress {
  return startProgress(world, output, () => ({ what, done: writtenBytes(), total: totalBytes() }));
}

const bytesOf = (counters: RestoreCounters) => ({
  totalBytes: () => counters.totalBytes,
  writtenBytes: () => counters.writtenBytes,
});

async function restoreFiles(
  invocation: Invocation,
  opened: OpenedRepository,
  wanted: Wanted,
): Promise<RestoredArchive[]> {
  const { newRestoreCounters, restoreArchivesToFiles, restoreArchivesToFolder } = await import(
    '../../sync/restore/restore-archive.ts'
  );
  const counters = newRestoreCounters();
  const progress = showProgress(invocation, 'Restoring', bytesOf(counters));
  const options = {
    session: opened.session,
    counters,
    overwrite: invocation.get(overwriteOption) !== undefined,
    signal: invocation.signal,
  };
  const { archives, folder, file } = wanted;
  try {
    if (folder !== undefined) return await restoreArchivesToFolder({ ...options, archives, folder });
    return await restoreArchivesToFiles({
      ...options,
      archives: archives.map((archive) => ({ archive, path: file ?? '' })),
    });
  } finally {
    progress.stop();
  }
}

/** @returns the exit code. */
function reportFiles(
  { output }: Invocation,
  snapshot: ListedSnapshot,
  restored: readonly RestoredArchive[],
  ms: number,
): number | undefined {
  output.json({
    snapshot: snapshot.head.number,
    complete: snapshot.summary.complete,
    archives: restored.map(({ archive, path, error }) => ({
      name: archive.name,
      status: archive.status,
      savedAtMs: archive.savedAtMs,
      path: error === undefined ? path : undefined,
      bytes: archive.recipe.lengthBytes,
      sha256: archive.recipe.sha256,
      ...(error === undefined ? {} : encodeError(error)),
    })),
    durationMs: Math.round(ms),
  });
  const good = restored.filter(({ error }) => error === undefined);
  const bytes = good.reduce((sum, { archive }) => sum + archive.recipe.lengthBytes, 0);
  for (const { archive, path, error } of restored) {
    if (error === undefined) output.line(`${showText(path)}  ${showBytes(archive.recipe.lengthBytes)}`);
    else output.warn(`${showText(archive.name)} was not restored: ${error.message}`);
  }
  const of = good.length === restored.length ? '' : `${good.length} of `;
  output.line(`${of}${showCount(restored.length, 'archive')}, ${showBytes(bytes)}, verified, in ${showDuration(ms)}.`);
  const isDamaged = ({ error }: RestoredArchive): boolean => error !== undefined && isDamage(error);
  const failed = restored.find(isDamaged) ?? restored.find(({ error }) => error !== undefined);
  if (failed !== undefined && isDamaged(failed)) {
    output.warn(
      'Another night may be whole: fallback snapshots. The members that are whole, of a damaged archive: ' +
        `fallback restore ${snapshot.head.number} ${showText(failed.archive.name)} "**" --to FOLDER. ` +
        'Data that the main server still has is healed by its next push.',
    );
  }
  return failed !== undefined && isDamaged(failed) ? exitDamage : failed?.error?.exitCode;
}

async function streamOut(invocation: Invocation, opened: OpenedRepository, wanted: Wanted): Promise<undefined> {
  const { world, signal } = invocation;
  const [{ extractToStream, restoreArchiveToStream }, { newRestoreCounters }] = await Promise.all([
    import('../../sync/restore/restore-stream.ts'),
    import('../../sync/restore/restore-archive.ts'),
  ]);
  const counters = newRestoreCounters();
  const [archive] = wanted.archives;
  if (archive === undefined) throw new FallbackError('NOT_FOUND', 'The snapshot has no such archive.');
  const options = { session: opened.session, archive, stream: world.stdout, counters, signal };
  const progress = showProgress(invocation, 'Restoring', bytesOf(counters));
  const [path] = wanted.paths;
  try {
    if (path === undefined) await restoreArchiveToStream(options);
    else await extractToStream({ ...options, path });
  } finally {
    progress.stop();
  }
  return undefined;
}

async function extract(
  invocation: Invocation,
  opened: OpenedRepository,
  wanted: Wanted,
  folder: string,
): Promise<ExtractResult> {
  const { extractMembers, newExtractCounters } = await import('../../sync/restore/extract-members.ts');
  const counters = newExtractCounters();
  const [archive] = wanted.archives;
  if (archive === undefined) throw new FallbackError('NOT_FOUND', 'The snapshot has no such archive.');
  const progress = showProgress(invocation, 'Restoring', {
    totalBytes: () => counters.totalBytes,
    writtenBytes: () => counters.writtenBytes,
  });
  try {
    return await extractMembers({
      session: opened.session,
      archive,
      paths: wanted.paths,
      folder,
      counters,
      overwrite: invocation.get(overwriteOption) !== undefined,
      withDevices: invocation.get(devicesOption) !== undefined,
      withSetuid: invocation.get(setIdOption) !== undefined,
      withOwners: invocation.world.userId === 0 && invocation.get(noOwnersOption) === undefined,
      signal: invocation.signal,
    });
  } finally {
    progress.stop();
  }
}

const exitIncomplete = 3;
const exitDamage = 4;

/** @returns the exit code. */
function reportMembers(
  { output }: Invocation,
  snapshot: ListedSnapshot,
  wanted: Wanted,
  result: ExtractResult,
  ms: number,
): number | undefined {
  const { membersRestored, writtenBytes, problems, problemsTotal, hasDamage } = result;
  const [archive] = wanted.archives;
  output.json({
    snapshot: snapshot.head.number,
    complete: snapshot.summary.complete,
    archive: archive?.name,
    status: archive?.status,
    savedAtMs: archive?.savedAtMs,
    folder: wanted.folder,
    members: membersRestored,
    bytes: writtenBytes,
    problems: problems.map(({ name, error }) => ({ name, ...encodeError(error) })),
    problemsTotal,
    durationMs: Math.round(ms),
  });
  for (const { name, error } of problems) output.warn(`${showText(name)} was not restored: ${showText(error.message)}`);
  if (problemsTotal > problems.length)
    output.warn(`… and ${showCount(problemsTotal - problems.length, 'more member')}.`);
  output.line(
    `${showCount(membersRestored, 'member')}, ${showBytes(writtenBytes)}, restored to ${showText(wanted.folder ?? '')} in ${showDuration(ms)}.`,
  );
  if (problemsTotal === 0) return undefined;
  return hasDamage ? exitDamage : exitIncomplete;
}

function warnOfSnapshot({ output }: Invocation, { summary, record }: ListedSnapshot): void {
  if (!summary.complete) output.warn(`Snapshot ${summary.number} is partial: something could not be saved that night.`);
  for (const { name, status } of record.archives) {
    if (status === 'kept') output.warn(`${showText(name)} is from an earlier night: that night’s could not be saved.`);
    if (status === 'suspicious') output.warn(`${showText(name)} is implausibly small.`);
  }
}

async function run(invocation: Invocation): Promise<number | undefined> {
  const { world, output, args } = invocation;
  checkUsage(invocation);
  return await withRepository(invocation, async (opened) => {
    const { findSnapshot } = await import('../../sync/snapshots.ts');
    const snapshot = await findSnapshot(opened.session, args[0] ?? '');
    const { number, receivedAtMs } = snapshot.summary;
    const { createdAtMs, hostName } = snapshot.record;
    const age = showAge(receivedAtMs, opened.session.status.serverTimeMs);
    output.note(
      `fallback: snapshot ${number}, made ${showTime(createdAtMs)} on ${showText(hostName)}, received ${age}`,
    );
    warnOfSnapshot(invocation, snapshot);
    const wanted = await choose(invocation, snapshot);
    const startedMs = world.monotonicMs();
    const passedMs = (): number => world.monotonicMs() - startedMs;
    if (wanted.file === '-') return await streamOut(invocation, opened, wanted);
    if (wanted.paths.length > 0 && wanted.folder !== undefined) {
      const result = await extract(invocation, opened, wanted, wanted.folder);
      return reportMembers(invocation, snapshot, wanted, result, passedMs());
    }
    if (wanted.paths.length > 0) {
      throw new FallbackError('USAGE', 'A single member goes to a folder or to stdout. Nothing was restored.', {
        hint: 'Use --to FOLDER, or --output - > FILE.',
      });
    }
    return reportFiles(invocation, snapshot, await restoreFiles(invocation, opened, wanted), passedMs());
  });
}

export const restoreCommand: CommandBody = {
  description: [
    'Every byte is verified: a file gets its name only when its SHA-256 is right. Existing files are not touched unless --overwrite is given. ' +
      'Single members get their contents, mode, time and owner; ACLs, extended attributes and capabilities are only in whole archives. ' +
      'Archives come back as plain tars that `yunohost backup restore` takes as they are.',
    'On stdout the bytes are verified chunk by chunk, the whole at the end: look at the exit code before using them.',
    'Exits with 4 when something is damaged (the rest is restored), with 3 when a member could not be restored for another reason.',
  ],
  arguments: [
    {
      syntax: '<snapshot>',
      description: 'its number, `latest`, or a date (the newest not after it)',
      completion: ['latest'],
    },
    { syntax: '[archive]', description: 'one archive instead of all', completion: 'none' },
    {
      syntax: '[path...]',
      description: 'members of it: a file, a folder with all in it, or a pattern with * and **',
      completion: 'none',
    },
  ],
  options: [
    toOption,
    outputOption,
    overwriteOption,
    devicesOption,
    setIdOption,
    noOwnersOption,
    ...readingOptions,
    quietOption,
    jsonOption,
  ],
  examples: [
    ['fallback restore latest --to /home/yunohost.backup/archives', 'every archive of the newest snapshot'],
    ['fallback restore 12 nextcloud --output nextcloud.tar', 'one archive as one file'],
    ['fallback restore latest nextcloud "apps/nextcloud/settings" --to /tmp/look', 'some members'],
    ['fallback restore latest system --output - | tar -t', 'an archive to stdout'],
  ],
  json: [
    'Archives: one object: `snapshot`, `complete`, `archives` (each `name`, `status`, `savedAtMs`, `path`, `bytes`, `sha256`; `error` instead of `path` when it is damaged), `durationMs`.',
    'Members: one object: `snapshot`, `complete`, `archive`, `status`, `savedAtMs`, `folder`, `members`, `bytes`, `problems` (each `name`, `error`), `problemsTotal`, `durationMs`.',
  ],
  run,
};
