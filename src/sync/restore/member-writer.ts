// Puts single members in their places. Calls are synchronous: a small file takes eight of them, 5 µs each, where a round through
// the thread pool would take 50.
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  ftruncateSync,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import type { CatalogueMember } from '../../format/catalogue.ts';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import type { TarEntry } from '../../tar/tar-reader.ts';
import { SparseWriter } from '../workers/sparse-writer.ts';
import { applyLinkMetadata, applyMetadata, type MetadataOptions, modeOf } from './member-metadata.ts';
import { giveName, isWithoutLinks } from './partial-file.ts';
import { type Place, splitMemberName, type TargetTree } from './target-tree.ts';

export interface MemberWriterOptions extends MetadataOptions {
  /** Whether existing files are replaced, and existing folders get the archive's mode, owner and time. */
  readonly overwrite?: boolean;
}

/** Names as bytes: from the member's own headers where they are known, as a catalogue holds valid UTF-8 only. */
export interface MemberNames {
  readonly name: Uint8Array;
  readonly linkName: Uint8Array;
}

/** The names of a member. @param entry its headers, when they were read. */
export function namesOf(member: CatalogueMember, entry: TarEntry | undefined): MemberNames {
  const rawName = entry?.name === member.name ? entry.rawName : undefined;
  const rawLinkName = entry?.linkName === member.linkName ? entry.rawLinkName : undefined;
  return { name: rawName ?? Buffer.from(member.name), linkName: rawLinkName ?? Buffer.from(member.linkName) };
}

const stagedName = (source: CatalogueMember): string => `link-${source.headerOffset}`;

interface WrittenFolder {
  readonly parts: readonly Buffer[];
  readonly member: CatalogueMember;
}

/** Writes members below a target folder. Methods throw UNSAFE_PATH, ALREADY_EXISTS, what the pieces throw, and the kernel's own errors. */
export class MemberWriter {
  readonly #tree: TargetTree;
  readonly #options: MemberWriterOptions;
  readonly #folders: WrittenFolder[] = [];

  constructor(tree: TargetTree, options: MemberWriterOptions) {
    this.#tree = tree;
    this.#options = options;
  }

  /** The place of a member; undefined for the archive's own root. */
  #placeOf(names: MemberNames, member: CatalogueMember): Place | undefined {
    const parts = splitMemberName(names.name);
    if (parts.length === 0) return undefined;
    const place = this.#tree.enter(parts);
    if (this.#options.overwrite !== true && lstatSync(place.path, { throwIfNoEntry: false }) !== undefined) {
      throw new FallbackError('ALREADY_EXISTS', `${member.name} exists already; it was not touched.`);
    }
    return place;
  }

  /** A folder; its mode, owner and time follow in `finishFolders`. */
  folder(member: CatalogueMember, names: MemberNames): void {
    const parts = splitMemberName(names.name);
    if (parts.length === 0) return;
    this.#tree.makeFolder(parts);
    this.#folders.push({ parts, member });
  }

  /**
   * A file with contents: named when it is whole.
   * @param source whose contents, mode, owner and time it gets: its own, or those of the file that a hard link means.
   * @param isKept whether later hard links may mean it.
   */
  async file(
    member: CatalogueMember,
    names: MemberNames,
    contents: AsyncIterable<Uint8Array>,
    source: CatalogueMember,
    isKept: boolean,
  ): Promise<void> {
    const place = this.#placeOf(names, member);
    if (place === undefined) throw new FallbackError('UNSAFE_PATH', 'It has no name.');
    const partial = place.newPartialPath();
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const file = openSync(partial, flags, 0o600);
    try {
      try {
        let at = 0;
        const writer = new SparseWriter(file);
        for await (const bytes of contents) {
          writer.write(bytes, at);
          // What comes next may need the memory.
          writer.flush();
          at += bytes.byteLength;
        }
        ftruncateSync(file, at);
        applyMetadata(file, source, this.#options);
      } finally {
        closeSync(file);
      }
      if (isKept) this.#keepForLinks(partial, source);
      giveName(partial, place.path, this.#options.overwrite === true, member.name);
    } catch (error) {
      rmSync(partial, { force: true });
      throw error;
    }
  }

  /** Where that cannot be done, the links to it are problems of their own; the file is there. */
  #keepForLinks(partial: Buffer, source: CatalogueMember): void {
    try {
      linkSync(partial, this.#tree.stagingPath(stagedName(source)));
    } catch (error) {
      if (!isWithoutLinks(error)) throw error;
    }
  }

  /** A hard link to a file that this run restored: found by its source, never by its path. */
  link(member: CatalogueMember, names: MemberNames, source: CatalogueMember): void {
    const place = this.#placeOf(names, member);
    const staged = this.#tree.stagingPath(stagedName(source));
    if (place === undefined || lstatSync(staged, { throwIfNoEntry: false }) === undefined) {
      throw new FallbackError('NOT_FOUND', `The file that it is linked to (${member.linkName}) could not be restored.`);
    }
    this.#replaceable(place, (path) => linkSync(staged, path));
  }

  /** A symbolic link, verbatim. */
  symlink(member: CatalogueMember, names: MemberNames): void {
    if (names.linkName.includes(0)) throw new FallbackError('UNSAFE_PATH', 'It points to a name with a zero byte.');
    const place = this.#placeOf(names, member);
    if (place === undefined) return;
    this.#replaceable(place, (path) => symlinkSync(Buffer.from(names.linkName), path));
    applyLinkMetadata(place.path, member, this.#options);
  }

  /** A device node or pipe. */
  device(member: CatalogueMember, names: MemberNames, entry: TarEntry): void {
    const place = this.#placeOf(names, member);
    if (place === undefined) return;
    const kind =
      member.type === 'fifo'
        ? ['p']
        : [member.type === 'block' ? 'b' : 'c', `${entry.deviceMajor}`, `${entry.deviceMinor}`];
    const mode = modeOf(member, this.#options).toString(8);
    const partial = place.newPartialPath();
    // The descriptor in the path is ours: another process finds it under our number.
    const foreign = partial.toString().replace('/proc/self/', `/proc/${process.pid}/`);
    try {
      execFileSync('mknod', ['-m', mode, '--', foreign, ...kind], { stdio: 'ignore' });
      giveName(partial, place.path, this.#options.overwrite === true, member.name);
    } catch (error) {
      rmSync(partial, { force: true });
      if (systemErrorCode(error) !== undefined || isFallbackError(error)) throw error;
      throw new FallbackError('IO', 'The device node could not be made: only root can, and not in every container.');
    }
    applyLinkMetadata(place.path, member, this.#options);
  }

  /** Makes something that appears at once, in place of what is there when that was asked. */
  #replaceable(place: Place, make: (path: Buffer) => void): void {
    if (this.#options.overwrite !== true) {
      make(place.path);
      return;
    }
    const partial = place.newPartialPath();
    try {
      make(partial);
      renameSync(partial, place.path);
    } finally {
      // A rename between two names of one file does nothing and leaves both.
      rmSync(partial, { force: true });
    }
  }

  /** Sets mode, owner and time of all folders, the deepest first. @param onError is told of folders where that failed. */
  finishFolders(onError: (member: CatalogueMember, error: unknown) => void): void {
    this.#folders.sort((a, b) => b.parts.length - a.parts.length);
    for (const { parts, member } of this.#folders) {
      try {
        this.#tree.withFolder(parts, (descriptor) => {
          if (this.#options.overwrite === true || this.#tree.isMade(descriptor)) {
            applyMetadata(descriptor, member, this.#options);
          }
        });
      } catch (error) {
        onError(member, error);
      }
    }
  }
}
