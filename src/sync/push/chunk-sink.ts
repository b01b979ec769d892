// Where every chunk of a push goes: found in the index, handed to the healer, or added to a pack.
import type { KeyObject } from 'node:crypto';
import { chunkId } from '../../crypto/chunk-id.ts';
import { type ChunkIndex, type ChunkPlace, idWords } from '../index/chunk-index.ts';
import type { HalfDeadPacks } from './half-dead-packs.ts';
import type { Healer } from './healer.ts';
import type { PackUsage } from './pack-usage.ts';
import { metadataKind, type PackKind, type PackWriter } from './pack-writer.ts';

export interface ChunkSinkParts {
  readonly index: ChunkIndex;
  readonly packs: PackWriter;
  readonly healer: Healer | undefined;
  readonly halfDead: HalfDeadPacks;
  readonly chunkIdKey: KeyObject;
}

/** Finds or stores chunks. */
export class ChunkSink {
  readonly #index: ChunkIndex;
  readonly #packs: PackWriter;
  readonly #healer: Healer | undefined;
  readonly #halfDead: HalfDeadPacks;
  readonly #chunkIdKey: KeyObject;

  constructor({ index, packs, healer, halfDead, chunkIdKey }: ChunkSinkParts) {
    this.#index = index;
    this.#packs = packs;
    this.#healer = healer;
    this.#halfDead = halfDead;
    this.#chunkIdKey = chunkIdKey;
  }

  /**
   * Finds a chunk's place or adds it, if that needs no waiting.
   * @param use of the archive that it belongs to: a chunk that another one of this push used before is not counted again.
   * @param words 32-byte ids as 32-bit words; this chunk's begins at `word`. @param bytes hold its contents from `start` to `end`.
   * @returns false when `makeRoom` must be awaited first.
   */
  tryPlace(
    use: PackUsage,
    kind: PackKind,
    words: Uint32Array,
    word: number,
    bytes: Buffer,
    start: number,
    end: number,
    place: ChunkPlace,
  ): boolean {
    this.#healer?.offer(words, word, bytes.subarray(start, end));
    const isKnown = this.#index.find(words, word, place);
    const isResent = isKnown && this.#halfDead.wants(place.pack, kind, end - start);
    if (!isKnown || isResent) {
      if (!this.#packs.tryAdd(kind, words, word, bytes, start, end, place)) return false;
      if (isResent) this.#halfDead.noteResent(kind, end - start);
      else this.#halfDead.noteNew(kind, end - start);
    }
    if (this.#index.markUsed() || isResent) use.add(place.pack, end - start);
    return true;
  }

  /** Waits for room in the open pack of a kind. */
  async makeRoom(kind: PackKind): Promise<void> {
    await this.#packs.makeRoom(kind);
  }

  /** Stores one chunk of metadata. */
  async placeMetadata(use: PackUsage, contents: Uint8Array): Promise<ChunkPlace> {
    const words = idWords(new Uint8Array(chunkId(this.#chunkIdKey, contents)));
    const bytes = Buffer.from(contents.buffer, contents.byteOffset, contents.byteLength);
    const place: ChunkPlace = { pack: 0, position: 0 };
    while (!this.tryPlace(use, metadataKind, words, 0, bytes, 0, bytes.byteLength, place)) {
      await this.makeRoom(metadataKind);
    }
    return place;
  }
}
