// One archive on its way to its file: a partial file that is filled out of order, and named when its SHA-256 is right.
import { constants } from 'node:fs';
import { type FileHandle, open as openFile, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { equalBytes, toHex } from '../../bytes/hex.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { RunTable } from '../read/run-table.ts';
import type { RepositorySession } from '../repository-session.ts';
import { numbersOfRun, type PlaceTarget } from '../workers/place-pack.ts';
import { EarlySync } from './early-sync.ts';
import { FileDigest } from './file-digest.ts';
import { giveName, partialName } from './partial-file.ts';

/** @throws DAMAGED when a rebuilt archive is not what was stored. */
export function checkDigest(archive: SnapshotArchive, sha256: Uint8Array, rest: string): void {
  if (equalBytes(sha256, archive.recipe.sha256)) return;
  const [is, should] = [toHex(sha256), toHex(archive.recipe.sha256)];
  const text = `${archive.name} was rebuilt, but its SHA-256 is ${is} instead of ${should}. ${rest}`;
  throw new FallbackError('DAMAGED', text, { details: { archive: archive.name } });
}

/** The parts of a file that is being written. */
interface OpenParts {
  readonly file: FileHandle;
  readonly digest: FileDigest;
  readonly sync: EarlySync;
}

/** A file that an archive is restored to; threads write it. Errors of its methods may be the kernel's own. */
export class ArchiveFile {
  readonly archive: SnapshotArchive;
  readonly path: string;
  readonly runs: RunTable;
  /** Set by whoever gives it up: nothing more is written then. */
  failure: unknown;
  readonly #session: RepositorySession;
  readonly #overwrite: boolean;
  readonly #thread: number;
  readonly #partialPath: string;
  #opening: Promise<OpenParts> | undefined;
  #writtenBytes = 0;

  constructor(
    session: RepositorySession,
    archive: SnapshotArchive,
    path: string,
    runs: RunTable,
    options: { readonly overwrite: boolean /** The thread that hashes it. */; readonly thread: number },
  ) {
    this.#session = session;
    this.archive = archive;
    this.path = path;
    this.runs = runs;
    this.#thread = options.thread;
    this.#overwrite = options.overwrite;
    this.#partialPath = join(dirname(path), partialName(session.environment.randomBytes));
  }

  /** Whether all its bytes are written. */
  get isWritten(): boolean {
    return this.#writtenBytes === this.archive.recipe.lengthBytes;
  }

  #open(): Promise<OpenParts> {
    this.#opening ??= this.#create();
    return this.#opening;
  }

  async #create(): Promise<OpenParts> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const file = await openFile(this.#partialPath, flags, 0o600);
    const digest = new FileDigest(this.#session.crypto, this.#thread, file.fd, this.runs);
    await file.truncate(this.archive.recipe.lengthBytes);
    return { file, digest, sync: new EarlySync(file) };
  }

  /** What a thread needs to write some of its runs. @param runs their numbers, ascending. */
  async target(runs: Uint32Array): Promise<PlaceTarget> {
    const { file } = await this.#open();
    const numbers = new Float64Array(runs.length * numbersOfRun);
    let at = 0;
    for (const run of runs) {
      numbers[at++] = this.runs.firstAt(run);
      numbers[at++] = this.runs.countAt(run);
      numbers[at++] = this.runs.bytesAt(run);
      numbers[at++] = this.runs.startAt(run);
    }
    return { descriptor: file.fd, runs: numbers };
  }

  /** A thread has written some of its runs. @returns their bytes. */
  async written(runs: Uint32Array): Promise<number> {
    const { digest, sync } = await this.#open();
    let bytes = 0;
    for (const run of runs) bytes += this.runs.bytesAt(run);
    this.#writtenBytes += bytes;
    digest.written(runs);
    sync.written(bytes);
    return bytes;
  }

  /** Verifies the whole, makes it durable and gives it its name, which is not durable yet. @throws DAMAGED, ALREADY_EXISTS. */
  async finish(): Promise<void> {
    const { file, digest, sync } = await this.#open();
    const durable = sync.finish();
    // Its failure is met below, after that of the bytes themselves.
    durable.catch(() => undefined);
    checkDigest(this.archive, await digest.finish(), 'It was not given its name.');
    await durable;
    await file.close();
    giveName(this.#partialPath, this.path, this.#overwrite, this.path);
  }

  /** Removes the partial file, if there is one. Safe at any time when no thread writes it any more. */
  async discard(): Promise<void> {
    const parts = await this.#opening?.catch(() => undefined);
    await parts?.digest.stop();
    await parts?.sync.stop();
    await parts?.file.close().catch(() => undefined);
    if (this.#opening !== undefined) await unlink(this.#partialPath).catch(() => undefined);
  }
}
