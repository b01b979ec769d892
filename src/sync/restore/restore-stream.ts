// Archives and single members to a stream, in order: nothing is passed on that was not checked against its chunk id.
import { createHash } from 'node:crypto';
import type { Writable } from 'node:stream';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import { mapFsError } from '../../fs/map-fs-error.ts';
import { ArchiveReader } from '../read/archive-reader.ts';
import { CatalogueReader } from '../read/catalogue-reader.ts';
import { PackReader } from '../read/pack-reader.ts';
import type { RepositorySession } from '../repository-session.ts';
import { checkDigest } from './archive-file.ts';
import { findFileMember } from './find-file-member.ts';
import { readHeaders } from './member-headers.ts';
import type { RestoreCounters } from './restore-archive.ts';

export interface StreamOptions {
  readonly session: RepositorySession;
  readonly archive: SnapshotArchive;
  /** Gets all bytes; it is not ended. */
  readonly stream: Writable;
  readonly counters: RestoreCounters;
  readonly signal?: AbortSignal | undefined;
}

/** Writes pieces to a stream, waiting for each, and closing nothing. */
class StreamWriter {
  readonly #options: StreamOptions;
  #failure: unknown;
  readonly #onError = (error: unknown): void => {
    this.#failure ??= error;
  };

  constructor(options: StreamOptions) {
    this.#options = options;
    options.stream.on('error', this.#onError);
  }

  async writeAll(pieces: AsyncIterable<Uint8Array>, onPiece: (bytes: Uint8Array) => void): Promise<void> {
    const { stream, counters, archive } = this.#options;
    try {
      for await (const bytes of pieces) {
        onPiece(bytes);
        if (this.#failure !== undefined) throw this.#failure;
        if (stream.destroyed) throw new FallbackError('IO', 'The output was closed before all of it was written.');
        await new Promise<void>((resolve, reject) => {
          stream.write(bytes, (error) => (error ? reject(error) : resolve()));
        });
        counters.writtenBytes += bytes.byteLength;
      }
    } catch (error) {
      throw mapFsError(error, `write ${archive.name}`);
    } finally {
      stream.off('error', this.#onError);
    }
  }
}

/**
 * Writes an archive to a stream, in order; packs that are needed again are kept as long as there is room, and the one that is
 * needed last is given up first. The whole is checked against its SHA-256 at the end.
 * @throws DAMAGED (after the stream got all bytes, if only the SHA-256 is wrong), SEAL_BROKEN, FORMAT_INVALID, NOT_FOUND (a pack),
 * IO (the stream broke), network errors, the signal's reason.
 */
export async function restoreArchiveToStream(options: StreamOptions): Promise<void> {
  const { archive, counters, signal } = options;
  const reader = await ArchiveReader.open(new PackReader(options.session), archive.recipe);
  counters.totalBytes += archive.recipe.lengthBytes;
  const hash = createHash('sha256');
  await new StreamWriter(options).writeAll(reader.stream({ signal }), (bytes) => hash.update(bytes));
  checkDigest(archive, hash.digest(), 'What was written must not be used.');
}

/**
 * Writes the contents of one file member to a stream; a hard link gives the file that it means.
 * @param path of the member, as `ls` shows it.
 * @throws NOT_FOUND (with near names), USAGE (not a file), FORMAT_UNSUPPORTED (stored as a sparse file's pieces), and what
 * restoreArchiveToStream throws.
 */
export async function extractToStream(options: StreamOptions & { readonly path: string }): Promise<void> {
  const packs = new PackReader(options.session);
  const { archive, path, counters, signal } = options;
  const member = await findFileMember(new CatalogueReader(packs, archive), path);
  const reader = await ArchiveReader.open(packs, archive.recipe);
  const end = member.headerOffset + member.headerBytes + member.sizeBytes;
  if (end > archive.recipe.lengthBytes) {
    throw new FallbackError('ARCHIVE_UNREADABLE', `The archive ${archive.name} was cut off inside ${member.name}.`, {
      hint: 'It was so when it was pushed. Restore the member from another snapshot.',
    });
  }
  counters.totalBytes += member.sizeBytes;
  const spans = reader.spans({ signal });
  const pieces = spans.pieces(spans.add(member.headerOffset, end));
  try {
    const { rest } = await readHeaders(pieces, member);
    await new StreamWriter(options).writeAll(startingWith(rest, pieces), () => undefined);
  } finally {
    await pieces.return(undefined);
  }
}

async function* startingWith(first: Uint8Array, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (first.byteLength > 0) yield first;
  yield* pieces;
}
