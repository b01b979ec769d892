// The folder of remembered spans, beside the index: a file for each archive.
import { createHash } from 'node:crypto';
import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { RandomBytes } from '../../../crypto/seal.ts';
import { ArchiveSpans } from './archive-spans.ts';
import { SpanFile, SpanFileWriter, type SpanKeys } from './span-file.ts';

/** An archive's name may hold anything; a file's may not. */
const fileName = (archive: string): string => createHash('sha256').update(archive).digest('hex').slice(0, 32);

/** Remembers the spans of a main server's archives from one push to the next. A failure of the disk is no loss. */
export class SpanFolder {
  readonly #path: string;
  readonly #keys: SpanKeys;
  readonly #randomBytes: RandomBytes;

  constructor(path: string, keys: SpanKeys, randomBytes: RandomBytes) {
    this.#path = path;
    this.#keys = keys;
    this.#randomBytes = randomBytes;
  }

  /** What is known of an archive that is about to go by. */
  async open(archive: string): Promise<ArchiveSpans> {
    const path = join(this.#path, fileName(archive));
    await mkdir(this.#path, { mode: 0o700 }).catch(() => undefined);
    const known = await SpanFile.open(path, this.#keys);
    const writer = new SpanFileWriter(path, this.#keys, this.#randomBytes);
    return new ArchiveSpans(this.#keys, known, writer, this.#randomBytes(1)[0] ?? 0);
  }

  /** Forgets all archives but these. */
  async keepOnly(archives: Iterable<string>): Promise<void> {
    const kept = new Set([...archives].map(fileName));
    const names = await readdir(this.#path).catch(() => []);
    for (const name of names) if (!kept.has(name)) await unlink(join(this.#path, name)).catch(() => undefined);
  }
}
