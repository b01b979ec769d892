// Streams the members of an archive from its catalogue: every chunk against its id, the whole against its SHA-256.
import { createHash } from 'node:crypto';
import { equalBytes } from '../../bytes/hex.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { CatalogueMember } from '../../format/catalogue.ts';
import type { Recipe } from '../../format/recipe.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import { ArchiveReader } from './archive-reader.ts';
import { CatalogueDecoder } from './catalogue-decoder.ts';
import type { PackReader } from './pack-reader.ts';

/** A catalogue up to this long stays in memory after it was verified: it has about half a million members. */
const keptBytesMax = 24 * 1024 * 1024;

/** The members of one archive, as often as they are asked for. */
export class CatalogueReader {
  readonly #packs: PackReader;
  readonly #name: string;
  readonly #recipe: Recipe;
  readonly #archiveBytes: number;
  #reader: ArchiveReader | undefined;
  #kept: Uint8Array | undefined;

  /** @throws NOT_FOUND when the archive is no tar. */
  constructor(packs: PackReader, archive: SnapshotArchive) {
    if (archive.catalogue === undefined) {
      throw new FallbackError('NOT_FOUND', `${archive.name} is not a tar archive: it has no members.`, {
        hint: 'Restore it whole.',
      });
    }
    this.#packs = packs;
    this.#name = archive.name;
    this.#recipe = archive.catalogue;
    this.#archiveBytes = archive.recipe.lengthBytes;
  }

  /**
   * All members, in the archive's order, in bounded memory.
   * @throws DAMAGED (at the end, when the SHA-256 is wrong), SEAL_BROKEN, FORMAT_INVALID (also when a member lies outside the
   * archive), NOT_FOUND (a pack), network errors.
   */
  async *members(): AsyncGenerator<CatalogueMember> {
    const decoder = new CatalogueDecoder();
    let isPastEnd = false;
    for await (const bytes of this.#bytes()) {
      for (const member of decoder.push(bytes)) {
        // Only the last member of a tar that was cut off may go beyond its end, and its contents only.
        const contentStart = member.headerOffset + member.headerBytes;
        if (isPastEnd || contentStart > this.#archiveBytes) throw this.#disagrees();
        isPastEnd = contentStart + member.sizeBytes > this.#archiveBytes;
        yield member;
      }
    }
    decoder.finish();
  }

  #disagrees(): FallbackError {
    return new FallbackError('FORMAT_INVALID', `The catalogue of ${this.#name} lists members outside the archive.`);
  }

  async *#bytes(): AsyncGenerator<Uint8Array> {
    if (this.#kept !== undefined) {
      yield this.#kept;
      return;
    }
    this.#reader ??= await ArchiveReader.open(this.#packs, this.#recipe);
    const hash = createHash('sha256');
    const { lengthBytes } = this.#recipe;
    const keeping = lengthBytes <= keptBytesMax ? new Uint8Array(lengthBytes) : undefined;
    let at = 0;
    for await (const bytes of this.#reader.stream({ cacheBytesMax: keptBytesMax })) {
      hash.update(bytes);
      keeping?.set(bytes, at);
      at += bytes.byteLength;
      yield bytes;
    }
    if (!equalBytes(hash.digest(), this.#recipe.sha256)) {
      throw new FallbackError('DAMAGED', `The catalogue of ${this.#name} is not the one that was stored.`);
    }
    this.#kept = keeping;
  }
}
