// Restores members of a tar archive into a folder: TRUST, restore path safety. Folders and files first, links and devices next,
// folders' modes and times last; what cannot be restored is listed, and the rest goes on.
import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import type { CatalogueMember } from '../../format/catalogue.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import { mapFsError, systemErrorCode, withFsErrors } from '../../fs/map-fs-error.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import type { TarEntry } from '../../tar/tar-reader.ts';
import { ArchiveReader } from '../read/archive-reader.ts';
import { CatalogueReader } from '../read/catalogue-reader.ts';
import { isDamage } from '../read/is-damage.ts';
import { PackReader } from '../read/pack-reader.ts';
import type { SpanReader } from '../read/span-reader.ts';
import type { RepositorySession } from '../repository-session.ts';
import { checkFreeSpace } from './free-space.ts';
import { parseHeaders, readHeaders } from './member-headers.ts';
import { MemberWriter, type MemberWriterOptions, namesOf } from './member-writer.ts';
import { isOdd, type PlannedMember, planMembers, type Selection, selectMembers } from './plan-members.ts';
import { TargetTree } from './target-tree.ts';

/** How far an extraction is; read by the progress line. */
export interface ExtractCounters {
  membersTotal: number;
  membersDone: number;
  totalBytes: number;
  writtenBytes: number;
}

/** All zero. */
export function newExtractCounters(): ExtractCounters {
  return { membersTotal: 0, membersDone: 0, totalBytes: 0, writtenBytes: 0 };
}

export interface ExtractOptions extends MemberWriterOptions {
  readonly session: RepositorySession;
  readonly archive: SnapshotArchive;
  /** Paths or globs of members; a folder means all that is in it. None means everything. */
  readonly paths: readonly string[];
  /** The target: it is made (mode 0700) when it is not there. Members keep their whole path below it. */
  readonly folder: string;
  readonly counters: ExtractCounters;
  /** Whether device nodes and pipes are made. */
  readonly withDevices?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** A member that was not restored, and why. */
export interface ExtractProblem {
  readonly name: string;
  readonly error: FallbackError;
}

export interface ExtractResult {
  readonly membersRestored: number;
  readonly writtenBytes: number;
  /** The first thousand. */
  readonly problems: readonly ExtractProblem[];
  readonly problemsTotal: number;
  /** Whether one of all problems is damage. */
  readonly hasDamage: boolean;
}

const problemsMax = 1000;
const tarBlockBytes = 512;
/** Of errors that say: damaged. */
const exitDamage = 4;
const goOn = { hint: 'Members that were finished stay. Run it again with --overwrite, or into another folder.' };
/** What stops one member only; anything else stops the run. */
const memberCodes: ReadonlySet<string> = new Set(['UNSAFE_PATH', 'ALREADY_EXISTS', 'IO', 'ARCHIVE_UNREADABLE']);
const fatalSystemErrors: ReadonlySet<unknown> = new Set(['EIO', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM']);

function stopsOneMember(error: unknown): error is FallbackError {
  if (isDamage(error)) return true;
  return isFallbackError(error) && memberCodes.has(error.code) && !fatalSystemErrors.has(error.details['system']);
}

/**
 * Restores members: see TRUST, restore path safety.
 * @throws NOT_FOUND (a path means no member; nothing was written), DISK_FULL (before or during: files that were finished stay),
 * damage of the catalogue or recipe, network errors, the signal's reason. What concerns one member only is in the result:
 * UNSAFE_PATH, ALREADY_EXISTS, DAMAGED, SEAL_BROKEN, FORMAT_INVALID, FORMAT_UNSUPPORTED, ARCHIVE_UNREADABLE, NOT_FOUND, IO.
 */
export async function extractMembers(options: ExtractOptions): Promise<ExtractResult> {
  const { session, archive, folder } = options;
  const packs = new PackReader(session);
  const catalogue = new CatalogueReader(packs, archive);
  const selection = await selectMembers(catalogue, options.paths);
  const reader = await ArchiveReader.open(packs, archive.recipe);
  const spans = reader.spans({ signal: options.signal });
  const neededBytes = await announceSpans(catalogue, selection, spans);
  options.counters.membersTotal += selection.membersTotal - selection.replaced.size;
  options.counters.totalBytes += neededBytes;
  return await withFsErrors(`restore into ${folder}`, async () => {
    const place = (await nodeFileSystem.facts(folder)) === undefined ? dirname(folder) : folder;
    await checkFreeSpace(place, neededBytes);
    const tree = new TargetTree(folder, session.environment.randomBytes);
    try {
      const writer = new MemberWriter(tree, options);
      const result = await new Extraction(options, catalogue, selection, reader, spans, writer).run();
      await makeDurable(folder);
      return result;
    } finally {
      tree.close();
    }
  });
}

/** The whole file system at once: a call for each of a hundred thousand files would take minutes. */
async function makeDurable(folder: string): Promise<void> {
  try {
    await promisify(execFile)('sync', ['-f', '--', folder]);
  } catch (error) {
    // Without coreutils it is made durable by the kernel within half a minute.
    if (systemErrorCode(error) !== 'ENOENT')
      throw new FallbackError('IO', `What was restored to ${folder} may not be durable.`, { cause: error });
  }
}

/** Tells the reader every span that will be read, in order: headers and contents of each. @returns the bytes of all contents. */
async function announceSpans(catalogue: CatalogueReader, selection: Selection, spans: SpanReader): Promise<number> {
  let total = 0;
  for await (const { action, source } of planMembers(catalogue, selection)) {
    if (action !== 'contents') continue;
    spans.add(source.headerOffset, source.headerOffset + source.headerBytes + source.sizeBytes);
    total += source.sizeBytes;
  }
  return total;
}

/** One run. */
class Extraction {
  readonly #options: ExtractOptions;
  readonly #catalogue: CatalogueReader;
  readonly #selection: Selection;
  readonly #reader: ArchiveReader;
  readonly #spans: SpanReader;
  readonly #writer: MemberWriter;
  readonly #problems: ExtractProblem[] = [];
  #problemsTotal = 0;
  #hasDamage = false;
  #membersRestored = 0;
  #writtenBytes = 0;
  #nextSpan = 0;

  constructor(
    options: ExtractOptions,
    catalogue: CatalogueReader,
    selection: Selection,
    reader: ArchiveReader,
    spans: SpanReader,
    writer: MemberWriter,
  ) {
    this.#options = options;
    this.#catalogue = catalogue;
    this.#selection = selection;
    this.#reader = reader;
    this.#spans = spans;
    this.#writer = writer;
  }

  async run(): Promise<ExtractResult> {
    try {
      await this.#restoreAll();
    } catch (error) {
      // The next run takes folders that it finds for the user's own, and leaves their modes and owners alone.
      this.#writer.finishFolders(() => undefined);
      throw isFallbackError(error, 'INTERRUPTED') ? new FallbackError('INTERRUPTED', error.message, goOn) : error;
    }
    this.#writer.finishFolders((member, error) => this.#note(member, error));
    if (this.#selection.patterns.areAll) await this.#lookBehind();
    return {
      membersRestored: this.#membersRestored,
      writtenBytes: this.#writtenBytes,
      problems: this.#problems,
      problemsTotal: this.#problemsTotal,
      hasDamage: this.#hasDamage,
    };
  }

  async #restoreAll(): Promise<void> {
    let hasLate = false;
    for await (const planned of planMembers(this.#catalogue, this.#selection)) {
      if (planned.action === 'symlink' || planned.action === 'device') hasLate = true;
      else await this.#attempt(planned);
    }
    if (hasLate) {
      for await (const planned of planMembers(this.#catalogue, this.#selection)) {
        if (planned.action === 'symlink' || planned.action === 'device') await this.#attempt(planned);
      }
    }
  }

  /** A tar ends with zeros. What stands there instead could not be listed when it was pushed, behind a damaged header say. */
  async #lookBehind(): Promise<void> {
    const start = Math.ceil(this.#selection.endByte / tarBlockBytes) * tarBlockBytes;
    const end = Math.min(start + tarBlockBytes, this.#reader.lengthBytes);
    if (start >= end || (await this.#reader.read(start, end)).every((byte) => byte === 0)) return;
    this.#add(
      this.#options.archive.name,
      new FallbackError(
        'ARCHIVE_UNREADABLE',
        'The archive goes on behind its last member that could be listed, already when it was pushed.',
        { hint: 'Restore it whole: all its bytes are there.' },
      ),
    );
  }

  async #attempt(planned: PlannedMember): Promise<void> {
    this.#options.signal?.throwIfAborted();
    try {
      await this.#restore(planned);
      this.#membersRestored++;
    } catch (error) {
      this.#note(planned.member, error);
    }
    this.#options.counters.membersDone++;
  }

  #note(member: CatalogueMember, thrown: unknown): void {
    const error = mapFsError(thrown, `restore ${member.name}`);
    if (!stopsOneMember(error)) throw error;
    this.#add(member.name, error);
  }

  #add(name: string, error: FallbackError): void {
    this.#problemsTotal++;
    this.#hasDamage ||= error.exitCode === exitDamage;
    if (this.#problems.length < problemsMax) this.#problems.push({ name, error });
  }

  async #restore({ member, action, source, isLinkTarget }: PlannedMember): Promise<void> {
    switch (action) {
      case 'contents':
        return await this.#restoreFile(member, source, isLinkTarget);
      case 'directory':
        return this.#writer.folder(member, namesOf(member, await this.#headersIfOdd(member)));
      case 'link':
        return this.#writer.link(member, namesOf(member, await this.#headersIfOdd(member)), source);
      case 'symlink':
        return this.#writer.symlink(member, namesOf(member, await this.#headersIfOdd(member)));
      case 'device':
        return await this.#restoreDevice(member);
      case 'broken':
        throw new FallbackError(
          'NOT_FOUND',
          isOdd(member.linkName)
            ? `It is a hard link to ${member.linkName}, and that name is not UTF-8: the archive holds no such file, or several that look alike.`
            : `It is a hard link to ${member.linkName}, which the archive does not hold.`,
          { hint: 'Restore the archive whole, and take it out with tar.' },
        );
      case 'other':
        throw new FallbackError('FORMAT_UNSUPPORTED', 'It is of a kind that this program does not restore.', {
          hint: 'Restore the archive whole, and take it out with tar.',
        });
    }
  }

  async #restoreFile(member: CatalogueMember, source: CatalogueMember, isLinkTarget: boolean): Promise<void> {
    const span = this.#nextSpan++;
    if (source.headerOffset + source.headerBytes + source.sizeBytes > this.#reader.lengthBytes) {
      throw new FallbackError('ARCHIVE_UNREADABLE', 'The archive was cut off inside it, already when it was pushed.');
    }
    const pieces = this.#spans.pieces(span);
    try {
      const { entry, rest } = await readHeaders(pieces, source);
      const isOwn = source === member;
      const names = namesOf(member, isOwn ? entry : await this.#headersIfOdd(member));
      const contents = this.#counted(rest, pieces);
      await this.#writer.file(member, names, contents, source, isLinkTarget);
    } finally {
      await pieces.return(undefined);
    }
  }

  async *#counted(first: Uint8Array, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    if (first.byteLength > 0) yield first;
    this.#count(first.byteLength);
    for await (const bytes of pieces) {
      yield bytes;
      this.#count(bytes.byteLength);
    }
  }

  #count(bytes: number): void {
    this.#writtenBytes += bytes;
    this.#options.counters.writtenBytes += bytes;
  }

  async #restoreDevice(member: CatalogueMember): Promise<void> {
    if (this.#options.withDevices !== true) {
      throw new FallbackError('UNSAFE_PATH', 'It is a device node or pipe, which was not asked for.');
    }
    const entry = await this.#readEntry(member);
    this.#writer.device(member, namesOf(member, entry), entry);
  }

  /** A member's headers, when its names are not what the catalogue can hold. */
  async #headersIfOdd(member: CatalogueMember): Promise<TarEntry | undefined> {
    return isOdd(member.name) || isOdd(member.linkName) ? await this.#readEntry(member) : undefined;
  }

  async #readEntry(member: CatalogueMember): Promise<TarEntry> {
    const bytes = await this.#reader.read(member.headerOffset, member.headerOffset + member.headerBytes);
    return parseHeaders(bytes, member);
  }
}
