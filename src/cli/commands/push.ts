// fallback push: sends archives as one snapshot; only what the fallback server lacks goes over the network.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { HttpRepository } from '../../sync/http/http-repository.ts';
import type { ByteSource } from '../../sync/push/byte-source.ts';
import type { PushArchive, PushResult } from '../../sync/push/push.ts';
import type { PushCounters } from '../../sync/push/push-counters.ts';
import type { SeenHead } from '../../sync/trust.ts';
import type { CommandBody, Invocation } from '../command-spec.ts';
import { type FoundArchive, findArchives } from '../find-archives.ts';
import { type OpenedRepository, openForPush, openState } from '../open-repository.ts';
import { configOption } from '../open-yunohost.ts';
import { startProgress } from '../progress-line.ts';
import {
  absolutePath,
  downloadLimitOption,
  jsonOption,
  quietOption,
  stateOption,
  uploadLimitOption,
} from '../shared-options.ts';
import { showBytes, showCount, showDuration, showPercent, showRate, showText } from '../show.ts';
import { layFacts } from '../table.ts';
import { scheduledOption } from './night-options.ts';

const archivesAtOnce = 2;

/** Stops between two reads once the run was interrupted. */
function interruptible(source: ByteSource, signal: AbortSignal): ByteSource {
  return {
    lengthBytes: source.lengthBytes,
    file: source.file,
    read: async (into) => {
      signal.throwIfAborted();
      return await source.read(into);
    },
    close: () => source.close(),
  };
}

async function pushArchives(
  invocation: Invocation,
  opened: OpenedRepository<HttpRepository>,
  found: readonly FoundArchive[],
  counters: PushCounters,
  epoch: SeenHead['epoch'],
): Promise<PushResult> {
  const { signal, world } = invocation;
  const state = await openState(invocation);
  const [{ push }, { openFileSource }, { parseOrigin }] = await Promise.all([
    import('../../sync/push/push.ts'),
    import('../../sync/push/byte-source.ts'),
    import('../../format/ids.ts'),
  ]);
  const archives = found.map(
    ({ name, path }): PushArchive => ({ name, open: async () => interruptible(await openFileSource(path), signal) }),
  );
  return await push({
    session: opened.session,
    archives,
    origin: parseOrigin('main'),
    epoch,
    holder: `push on ${world.hostName}`,
    indexPath: state.indexPath,
    spoolPath: state.spoolPath,
    counters,
    archivesAtOnce,
    signal,
  });
}

async function run(invocation: Invocation): Promise<number | undefined> {
  const { world, args } = invocation;
  if (args.length === 0) {
    const { pushServer } = await import('./night.ts');
    return await pushServer(invocation);
  }
  const startedMs = world.monotonicMs();
  const found = await findArchives(args.map((path) => absolutePath(world, path)));
  const state = await openState(invocation);
  // The pairing is looked at before the lock makes a folder: a machine that is not paired stays untouched.
  await state.load();
  const lock = await state.lock('push', () => world.nowMs());
  try {
    const { opened } = await openForPush(invocation);
    try {
      return await pushOpened(invocation, opened, found, startedMs);
    } finally {
      await opened.close();
    }
  } finally {
    lock.release();
  }
}

async function pushOpened(
  invocation: Invocation,
  opened: OpenedRepository<HttpRepository>,
  found: readonly FoundArchive[],
  startedMs: number,
): Promise<number | undefined> {
  const { world, output } = invocation;
  const { newPushCounters } = await import('../../sync/push/push-counters.ts');
  const state = await openState(invocation);
  const { seen } = opened.session;
  if (seen === undefined) await state.forgetCaches();
  const epoch = seen?.epoch ?? opened.session.status.epoch;
  const counters = newPushCounters();
  counters.archivesTotal = found.length;
  counters.totalBytes = found.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  const isKnown = !found.some(({ isGzipped }) => isGzipped);
  const progress = startProgress(world, output, () => ({
    what: 'Pushing',
    done: counters.readBytes,
    total: isKnown ? counters.totalBytes : undefined,
    // Reading runs ahead of a slow line: at its end the work is not done.
    part:
      counters.archivesDone < counters.archivesTotal
        ? `${counters.archivesDone} of ${counters.archivesTotal} archives read`
        : 'all read, sending the rest',
    sentBytes: opened.traffic?.().bodySentBytes,
  }));
  let result: PushResult;
  try {
    result = await pushArchives(invocation, opened, found, counters, epoch);
  } finally {
    progress.stop();
  }
  const { snapshot, sha256 } = result;
  try {
    await state.saveSeenHead({
      repositoryId: opened.session.repository.repositoryId,
      number: snapshot.number,
      sha256,
      epoch,
    });
  } catch (cause) {
    throw new FallbackError(
      'IO',
      `Snapshot ${snapshot.number} is safe on the fallback server, but this machine could not note that in ${state.folder}.`,
      { cause, hint: 'Look at this machine’s disk. The next push goes on as usual.' },
    );
  }
  report(invocation, opened, result, counters, world.monotonicMs() - startedMs);
  const empty = result.archives.filter(({ recipe }) => recipe.lengthBytes === 0).map(({ name }) => showText(name));
  if (empty.length > 0) invocation.output.warn(`Of 0 bytes, and kept so: ${empty.join(', ')}. Is that meant?`);
  if (counters.unlistedMembers > 0) {
    const members = showCount(counters.unlistedMembers, 'member');
    invocation.output.warn(
      `${members} of these archives cannot be listed (damaged headers, or names beyond all limits): restore the whole archive to get them back.`,
    );
  }
  return await warnOfDamage(invocation, opened, snapshot.number);
}

/** What is still broken from before is said every night. */
async function warnOfDamage(
  { output }: Invocation,
  { session }: OpenedRepository<HttpRepository>,
  own: number,
): Promise<number | undefined> {
  const snapshots = await session.repository.snapshots();
  const damaged = snapshots.filter(
    ({ packsDamaged, fileLost, deletedAfterMs }) =>
      deletedAfterMs === undefined && (fileLost === true || !packsDamaged.isEmpty),
  );
  if (damaged.length === 0) return undefined;
  const numbers = damaged.map(({ number }) => number).join(', ');
  const which = damaged.length === 1 ? `Snapshot ${numbers} is` : `Snapshots ${numbers} are`;
  output.warn(`${which} damaged in part on the fallback server: fallback check tells what is missing.`);
  return damaged.some(({ number }) => number === own) ? 4 : undefined;
}

function report(
  { output }: Invocation,
  opened: OpenedRepository<HttpRepository>,
  { snapshot, archives, sha256, snapshotBytes }: PushResult,
  counters: PushCounters,
  durationMs: number,
): void {
  const traffic = opened.traffic?.();
  const wireSentBytes = traffic?.wireSentBytes ?? 0;
  const { readBytes, newBytes, newChunks, chunks, packsSent, packBytesSent, healedPacks, healedChunks } = counters;
  const { resentBytes, resentChunks } = counters;
  output.json({
    snapshot: snapshot.number,
    sha256,
    complete: snapshot.complete,
    archives: archives.map(({ name, status, recipe }) => ({
      name,
      status,
      bytes: recipe.lengthBytes,
      sha256: recipe.sha256,
    })),
    readBytes,
    chunks,
    newChunks,
    newBytes,
    resentBytes,
    packsSent,
    packBytesSent,
    snapshotBytes,
    wireSentBytes,
    wireReceivedBytes: traffic?.wireReceivedBytes ?? 0,
    healedPacks,
    healedChunks,
    durationMs: Math.round(durationMs),
  });
  const sentBytes = packBytesSent + snapshotBytes;
  const rate = durationMs > 0 ? ` (${showRate((readBytes / durationMs) * 1000)})` : '';
  output.line(
    `Snapshot ${snapshot.number} is ${snapshot.complete ? 'complete' : 'partial'}: ` +
      `${showCount(archives.length, 'archive')}, ${showBytes(readBytes)} read in ${showDuration(durationMs)}${rate}.`,
  );
  const facts = layFacts([
    [
      'new',
      `${showBytes(newBytes)} in ${showCount(newChunks, 'chunk')} (${showPercent(newBytes, Math.max(1, readBytes))} of what was read)`,
    ],
    [
      'sent',
      `${showBytes(sentBytes)} in ${showCount(packsSent, 'pack')}; ${showBytes(wireSentBytes)} over the network`,
    ],
    [
      'of it again',
      resentBytes === 0
        ? undefined
        : `${showBytes(resentBytes)} in ${showCount(resentChunks, 'chunk')}, out of packs of which little is used any more`,
    ],
    [
      'saved',
      `${showBytes(Math.max(0, readBytes - newBytes))} by deduplication, ${showBytes(Math.max(0, newBytes - packBytesSent))} by compression`,
    ],
    [
      'healed',
      healedPacks === 0 ? undefined : `${showCount(healedPacks, 'lost pack')} (${showCount(healedChunks, 'chunk')})`,
    ],
  ]);
  output.lines(facts.map((line) => `  ${line}`));
}

export const pushCommand: CommandBody = {
  description: [
    'An archive is called after its file, without .tar, .tar.gz or .tgz. A folder stands for all such files in it, sorted by name. ' +
      'A gzipped archive is stored unpacked, and comes back as a plain tar.',
    'Without archives, on a YunoHost server: the whole server as its configuration says, the system and each app in an archive of ' +
      'its own (docs/CONFIGURATION.md). Exits with 3 when something could not be saved: its last good archive is kept.',
    'A push that dies anywhere is simply run again: what was sent is kept. Two at once on one machine: the second exits with 10.',
  ],
  arguments: [
    {
      syntax: '[archives...]',
      description: 'files or folders; none for the whole YunoHost server',
      completion: 'file',
    },
  ],
  options: [
    stateOption,
    uploadLimitOption,
    downloadLimitOption,
    configOption,
    scheduledOption,
    quietOption,
    jsonOption,
  ],
  examples: [
    ['fallback push', 'this YunoHost server, as /etc/fallback/config.toml says'],
    ['fallback push /home/yunohost.backup/archives', 'every archive of the folder, as one snapshot'],
    ['fallback push system.tar nextcloud.tar --limit-upload 500', 'two archives, at most 500 KiB/s'],
  ],
  json: [
    'One object: `snapshot` (number), `sha256`, `complete`, `archives` (each `name`, `status`, `bytes`, `sha256`), `readBytes`, `chunks`, ' +
      '`newChunks`, `newBytes`, `resentBytes` (of the new: sent again out of half-dead packs), `packsSent`, `packBytesSent`, `snapshotBytes`, ' +
      '`wireSentBytes`, `wireReceivedBytes`, `healedPacks`, `healedChunks`, `durationMs`.',
    'Without archives: `snapshot`, `sha256`, `complete`, `status` (`ok`, `warning`), `exitCode`, `archives` (each `name`, `kind`, `status`: ' +
      '`saved`, `suspicious`, `kept`, `missing`, `vanished`; `bytes`, `savedAtMs`, `reason`, `code`, `warnings`), `notCovered`, `leftOut` (`data`: each `app`, `folder`; `folders`), `warnings`, `mistakes` (in what shall be covered), `readBytes`, ' +
      '`newBytes`, `sentBytes`, `durationMs`, `damagedSnapshots`.',
  ],
  run,
};
