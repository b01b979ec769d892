// A push, as a list of steps: lease, index, archives, packs, healing, snapshot. FORMAT.md, Write order: P1-P5.
import { unlink } from 'node:fs/promises';
import { equalBytes, toHex } from '../../bytes/hex.ts';
import { createChunker } from '../../chunker/create-chunker.ts';
import { sealSnapshot } from '../../crypto/sealed-snapshot.ts';
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import { type Epoch, leaseIdFromBytes, type Origin, parseSnapshotNumber } from '../../format/ids.ts';
import { PackRanges } from '../../format/pack-ranges.ts';
import { type Attributes, isArchiveName, type SnapshotArchive } from '../../format/snapshot.ts';
import type { Lease, RepositoryStatus, RepositoryWriter, SnapshotSummary } from '../../store/repository-store.ts';
import { readDamagedPacks, writeDamagedPacks } from '../index/damaged-packs.ts';
import { type LoadedIndex, loadIndex } from '../index/load-index.ts';
import { addNeededPacks } from '../read/needed-packs.ts';
import type { RepositorySession } from '../repository-session.ts';
import { checkFirstPack, checkLostHead, checkTrust, seenIn } from '../trust.ts';
import { ArchivePusher, type ArchivePusherContext } from './archive-pusher.ts';
import type { ByteSource } from './byte-source.ts';
import { ChunkSink } from './chunk-sink.ts';
import { type Comparison, compareFile } from './compare-file.ts';
import { CompressionLevel } from './compression-level.ts';
import { type HalfDeadPacks, HalfDeadSearch } from './half-dead-packs.ts';
import { Healer } from './healer.ts';
import { forgetArchives, type KnownArchive, KnownArchives, type PushedArchive } from './known-archives.ts';
import { PackNumbers } from './pack-numbers.ts';
import { PackUsage, readUsage, writeUsage } from './pack-usage.ts';
import { PackWriter } from './pack-writer.ts';
import type { PushCounters } from './push-counters.ts';
import { type ArchiveSpans, anewEvery } from './spans/archive-spans.ts';
import { SpanFolder } from './spans/span-folder.ts';
import { WindowPool } from './window-pool.ts';

const windowBytes = 2 * 1024 * 1024;

/** One archive to push: where its bytes come from is asked when its turn comes. */
export interface PushArchive {
  readonly name: string;
  open(): Promise<ByteSource>;
  /** Facts to keep with it, asked once its bytes were read. */
  attributes?(): Attributes;
}

/** An archive that stays as it was in an earlier snapshot, because tonight's could not be made. */
export interface KeptArchive {
  readonly kept: SnapshotArchive;
}

export interface PushOptions {
  readonly session: RepositorySession<RepositoryWriter>;
  /** Archives in the order of the snapshot; pulled one by one, so that each can be made, pushed and deleted before the next. */
  readonly archives: AsyncIterable<PushArchive | KeptArchive> | Iterable<PushArchive | KeptArchive>;
  readonly origin: Origin;
  /** The epoch that this machine lives in: once another has taken over, the store refuses it. */
  readonly epoch: Epoch;
  /** For people, in the lease. */
  readonly holder: string;
  readonly indexPath: string;
  readonly spoolPath: string;
  readonly counters: PushCounters;
  /** How many archives are read side by side. */
  readonly archivesAtOnce: number;
  /** Whether the set is complete, and facts about it: asked when all archives were read. */
  finish?(): { readonly complete: boolean; readonly attributes?: Attributes };
  readonly signal?: AbortSignal;
  /** Whether chunks of half-dead packs are left where they are: for measurements. */
  readonly keepHalfDead?: boolean;
  /** Judges an archive when its bytes are stored: `suspicious` marks it. */
  judge?(name: string, lengthBytes: number): 'saved' | 'suspicious';
}

/** What a push published. */
export interface PushResult {
  readonly snapshot: SnapshotSummary;
  readonly archives: readonly SnapshotArchive[];
  readonly sha256: Uint8Array;
  /** Bytes of the snapshot's own file. */
  readonly snapshotBytes: number;
  readonly fetchedDirectories: number;
}

/** Everything that lives as long as the lease. */
interface PushRun {
  readonly lease: Lease;
  readonly loaded: LoadedIndex;
  readonly packs: PackWriter;
  readonly numbers: PackNumbers;
  readonly healer: Healer | undefined;
  /** What of which pack tonight's archives use: left to the next push. */
  readonly usage: PackUsage;
  readonly halfDead: HalfDeadPacks;
  /** What the last push knew of each archive's bytes. */
  readonly spans: SpanFolder;
  /** What the newest snapshot holds of each. */
  readonly known: KnownArchives;
  /** Gathers every pack that the snapshot needs. */
  readonly usedPacks: Set<number>;
  readonly pusher: ArchivePusherContext;
}

/** Failures that what is known of archives may be the cause of. */
const suspectCodes: ReadonlySet<string> = new Set(['VERIFY_FAILED', 'PACKS_MISSING', 'FORMAT_INVALID', 'INTERNAL']);

/**
 * Pushes archives as one snapshot: only chunks that the store lacks are sealed and sent.
 * @throws BUSY, FENCED, LEASE_LOST, ARCHIVE_UNREADABLE, ARCHIVE_CHANGED, PACKS_MISSING, VERIFY_FAILED, network and server errors;
 * after any of them the last snapshot is untouched, and the push can be run again.
 */
export async function push(options: PushOptions): Promise<PushResult> {
  const { session } = options;
  const leaseId = leaseIdFromBytes(session.environment.randomBytes(16));
  const lease = await session.repository.acquireLease({ leaseId, epoch: options.epoch, holder: options.holder });
  const renewal = keepRenewing(session.repository, lease);
  try {
    await checkLease(options, lease);
    const run = await startRun(options, lease);
    try {
      const archives = await pushArchives(options, run);
      await run.packs.finish();
      await heal(options, run);
      return await publish(options, run, archives);
    } catch (error) {
      // It may be what is remembered that is wrong: then it would be so in every push to come.
      if (isFallbackError(error, 'VERIFY_FAILED')) await run.spans.keepOnly([]);
      if (isFallbackError(error) && suspectCodes.has(error.code)) await forgetArchives(options.indexPath);
      throw error;
    } finally {
      await run.packs.abort();
      await run.numbers.close();
      await run.healer?.close();
      // Packs that were acknowledged are found again by the next push, whatever became of this one.
      await run.loaded.cache.flush().catch(() => undefined);
    }
  } finally {
    clearInterval(renewal);
    await session.repository.releaseLease(leaseId).catch(() => undefined);
  }
}

const renewalMsMin = 1_000;
const renewalMsMax = 3_600_000;

/** Renews a lease until `clearInterval`, one renewal at a time, whatever lifetime a server names. */
function keepRenewing(repository: RepositoryWriter, { leaseId, lifetimeMs }: Lease): NodeJS.Timeout {
  let isRenewing = false;
  const renew = async (): Promise<void> => {
    if (isRenewing) return;
    isRenewing = true;
    await repository.renewLease(leaseId).catch(() => undefined);
    isRenewing = false;
  };
  return setInterval(() => void renew(), Math.min(renewalMsMax, Math.max(renewalMsMin, lifetimeMs / 3)));
}

/** What the lease says is built upon and remembered, so it must not be older than what the session has checked, nor of another history. */
async function checkLease({ session, epoch }: PushOptions, lease: Lease): Promise<void> {
  const { repository, keys, status, seen } = session;
  const isProved = await checkTrust(repository, keys, lease.status, seenIn(status));
  if (seen !== undefined && !(isProved && session.isHeadProved)) await checkLostHead(repository, seen);
  if (lease.status.epoch !== epoch) {
    const told = `a lease of epoch ${lease.status.epoch} to a push of epoch ${epoch}`;
    throw new FallbackError('PROTOCOL', `The server gave ${told}. Nothing was sent.`);
  }
}

async function startRun(options: PushOptions, lease: Lease): Promise<PushRun> {
  const { session, counters } = options;
  const { keys, configuration, repository, crypto, environment } = session;
  const { head } = lease.status;
  const keptUsage = head === undefined ? undefined : await readUsage(usagePath(options), head.sha256);
  const search = new HalfDeadSearch(options.keepHalfDead === true ? undefined : keptUsage);
  const { indexPath } = options;
  const { randomBytes } = environment;
  // A killed push may have left contents there in clear.
  await unlink(options.spoolPath).catch(() => undefined);
  const damaged = await damagedStill(options, lease.status);
  const onPack = search.see.bind(search);
  const loaded = await loadIndex(indexPath, keys, repository, lease.status, damaged, randomBytes, onPack);
  const halfDead = search.choose(counters);
  await checkFirstPack(repository, keys, lease, loaded.highestPack);
  const windowCount = options.archivesAtOnce + environment.threads + 1;
  const chunker = createChunker(configuration, keys.chunkerSeed, { poolBytes: windowCount * windowBytes });
  const randomHex = (): string => toHex(randomBytes(8));
  const numbers = await PackNumbers.open(indexPath, keys.repositoryId, lease.firstPack, randomHex);
  const packs = new PackWriter({
    repository,
    leaseId: lease.leaseId,
    numbers,
    crypto,
    index: loaded.index,
    cache: loaded.cache,
    configuration,
    randomInteger: (bound) => Buffer.from(environment.randomBytes(6)).readUIntBE(0, 6) % bound,
    counters,
    compression: new CompressionLevel(loaded.index.size === 0),
  });
  const { lostPacks } = loaded;
  const { lost } = lease.status;
  const healer = lostPacks.size === 0 ? undefined : new Healer(lostPacks, lost, options.spoolPath);
  const usage = new PackUsage();
  const sink = new ChunkSink({
    index: loaded.index,
    packs,
    healer,
    halfDead,
    chunkIdKey: keys.chunkId,
  });
  return {
    lease,
    loaded,
    packs,
    numbers,
    healer,
    usage,
    halfDead,
    spans: new SpanFolder(`${indexPath}.spans`, keys, randomBytes),
    known: await KnownArchives.load(
      indexPath,
      keys,
      head === undefined ? undefined : { snapshotSha256: head.sha256, programVersion: environment.programVersion },
    ),
    usedPacks: new Set(),
    pusher: { chunker, windows: new WindowPool(chunker, windowBytes), crypto, sink, counters },
  };
}

/** What checks found damaged, and the store does not know to be so. */
async function damagedStill({ session, indexPath }: PushOptions, { present }: RepositoryStatus): Promise<PackRanges> {
  const { repositoryId } = session.keys;
  const { randomBytes } = session.environment;
  const noted = await readDamagedPacks(indexPath, repositoryId);
  const still = noted.intersect(present);
  // A full disk costs the next push as much.
  if (still.size < noted.size)
    await writeDamagedPacks(indexPath, repositoryId, still, randomBytes).catch(() => undefined);
  return still;
}

const usagePath = ({ indexPath }: PushOptions): string => `${indexPath}.usage`;

/** Leaves to the next push what this one has counted. */
async function keepUsage(options: PushOptions, run: PushRun, snapshotSha256: Uint8Array): Promise<void> {
  const budget = run.halfDead.account.next(options.counters.readBytes, run.lease.status.head === undefined);
  await writeUsage(usagePath(options), { snapshotSha256, usage: run.usage, budget });
}

async function* asAsync<Item>(items: AsyncIterable<Item> | Iterable<Item>): AsyncGenerator<Item> {
  yield* items;
}

/** Reads all archives, a few side by side, each into its place of the result. */
async function pushArchives(options: PushOptions, run: PushRun): Promise<SnapshotArchive[]> {
  const archives: (SnapshotArchive | undefined)[] = [];
  const names = new Set<string>();
  const iterator = asAsync(options.archives);
  let failure: unknown;
  const work = async (): Promise<void> => {
    while (failure === undefined) {
      options.signal?.throwIfAborted();
      const next = await iterator.next();
      if (next.done === true) return;
      const place = archives.push(undefined) - 1;
      archives[place] = await pushOne(options, run, next.value, names);
      options.counters.archivesDone++;
    }
  };
  const lanes = Array.from({ length: Math.max(1, options.archivesAtOnce) }, () =>
    work().catch((error: unknown) => {
      failure ??= error;
    }),
  );
  await Promise.all(lanes);
  if (failure !== undefined) {
    await iterator.return(undefined);
    throw failure;
  }
  return archives.filter((archive) => archive !== undefined);
}

async function pushOne(
  options: PushOptions,
  run: PushRun,
  item: PushArchive | KeptArchive,
  names: Set<string>,
): Promise<SnapshotArchive> {
  const name = 'kept' in item ? item.kept.name : item.name;
  if (!isArchiveName(name)) throw new FallbackError('USAGE', `An archive cannot be called ${JSON.stringify(name)}.`);
  if (names.has(name)) throw new FallbackError('USAGE', `Two archives are called ${name}. Nothing was published.`);
  names.add(name);
  if ('kept' in item) {
    const needed = new Set<number>();
    await addNeededPacks(options.session, item.kept, needed);
    for (const pack of needed) {
      run.usedPacks.add(pack);
      run.usage.pin(pack);
    }
    return { ...item.kept, status: 'kept' };
  }
  const source = await item.open();
  try {
    const { recipe, catalogue } = await pushBytes(options, run, name, source);
    return {
      name,
      status: options.judge?.(name, recipe.lengthBytes) ?? 'saved',
      savedAtMs: options.session.environment.nowMs(),
      recipe,
      catalogue,
      attributes: item.attributes?.() ?? {},
    };
  } finally {
    await source.close();
  }
}

async function pushBytes(options: PushOptions, run: PushRun, name: string, source: ByteSource): Promise<PushedArchive> {
  const spans = await run.spans.open(name);
  const archive = await pushKnown(options, run, name, source, spans);
  for (const [pack, bytes] of archive.use.entries()) {
    run.usedPacks.add(pack);
    run.usage.add(pack, bytes);
  }
  return archive;
}

/** Names an archive again that has not changed, or pushes its bytes; takes note of it for the next push. */
async function pushKnown(
  options: PushOptions,
  run: PushRun,
  name: string,
  source: ByteSource,
  spans: ArchiveSpans,
): Promise<PushedArchive> {
  const before = spans.known === undefined ? undefined : run.known.find(name, spans.known.id);
  let isPushed = false;
  try {
    const comparison = before === undefined ? 'other' : await compareWhole(options, run, before, source, spans);
    if (before !== undefined && comparison === 'same') {
      options.counters.chunks += before.pushed.chunks;
      run.known.note(name, before);
      return before.pushed;
    }
    const pushed = await new ArchivePusher(run.pusher, spans).push(source);
    isPushed = true;
    const spansId = await spans.publish();
    const isAsBefore = before !== undefined && equalBytes(before.pushed.recipe.sha256, pushed.recipe.sha256);
    const isEdited = comparison === 'edited' || (before?.isEdited === true && !isAsBefore);
    if (spansId !== undefined) run.known.note(name, { spansId, isEdited, pushed });
    return pushed;
  } finally {
    if (!isPushed) await spans.discard();
  }
}

/**
 * Whether an archive is byte for byte what the newest snapshot holds, and all of that may be named again. One archive in `anewEvery`, drawn
 * by lot, is cut and hashed as if nothing were known of it.
 */
async function compareWhole(
  { session, signal, counters }: PushOptions,
  run: PushRun,
  { isEdited, pushed }: KnownArchive,
  { file }: ByteSource,
  spans: ArchiveSpans,
): Promise<Comparison> {
  const { known } = spans;
  if (file === undefined || known === undefined || pushed.recipe.lengthBytes !== file.sizeBytes) return 'other';
  const { randomBytes } = session.environment;
  if ((randomBytes(1)[0] ?? 0) % anewEvery === 0) {
    spans.cutAllAnew();
    return 'other';
  }
  const packs = pushed.use.entries().map(([pack]) => pack);
  const { usable } = run.loaded;
  const mayBeNamed = run.healer === undefined && packs.every((pack) => usable.has(pack));
  if (isEdited || !mayBeNamed || run.halfDead.hasAny(packs)) return 'other';
  const onBytes = (bytes: number): void => {
    counters.readBytes += bytes;
  };
  const comparison = await compareFile(file, known, { crypto: session.crypto, signal, randomBytes, onBytes });
  if (comparison === 'same') await file.checkUnchanged();
  return comparison;
}

async function heal(options: PushOptions, run: PushRun): Promise<void> {
  await run.healer?.finish({
    repository: options.session.repository,
    leaseId: run.lease.leaseId,
    status: run.lease.status,
    crypto: options.session.crypto,
    cache: run.loaded.cache,
    counters: options.counters,
  });
}

/** Publishes the snapshot, the only commit point: every pack that it names is durable by now. */
async function publish(options: PushOptions, run: PushRun, archives: readonly SnapshotArchive[]): Promise<PushResult> {
  const { session } = options;
  const { environment, keys, repository } = session;
  const { status } = run.lease;
  if (archives.length === 0) throw new FallbackError('USAGE', 'There is no archive to push. Nothing was published.');
  const summary = options.finish?.() ?? { complete: true };
  const head = {
    repositoryId: keys.repositoryId,
    number: parseSnapshotNumber((status.head?.number ?? 0) + 1),
    epoch: options.epoch,
    complete: summary.complete,
    previousSha256: status.head?.sha256 ?? new Uint8Array(32),
    origin: options.origin,
    packs: PackRanges.fromNumbers(run.usedPacks),
  };
  const record = {
    createdAtMs: environment.nowMs(),
    hostName: environment.hostName,
    programVersion: environment.programVersion,
    archives,
    attributes: summary.attributes ?? {},
  };
  const { file, sha256 } = sealSnapshot(keys, head, record, environment.randomBytes);
  options.signal?.throwIfAborted();
  const snapshot = await repository.commitSnapshot(run.lease.leaseId, file);
  if (snapshot.number !== head.number) {
    throw new FallbackError('TRUST_FORK', `The store took snapshot ${head.number}, and calls it ${snapshot.number}.`);
  }
  await keepUsage(options, run, sha256);
  const { programVersion, randomBytes } = environment;
  await run.known.save({ snapshotSha256: sha256, programVersion }, randomBytes);
  await run.spans.keepOnly(archives.map(({ name }) => name));
  return {
    snapshot,
    archives,
    sha256,
    snapshotBytes: file.byteLength,
    fetchedDirectories: run.loaded.fetchedDirectories,
  };
}
