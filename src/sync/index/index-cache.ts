// The client's copy of the directories: what the index is built from without asking the server. A cache: deleted, stale or
// corrupt, it is rebuilt, and since all of it is sealed, a damaged one is never believed.
//
//     0   "FBIX"   4 version=2   5 zeros (3)   8 repository id (16)   24 generation of the server's records (40)
//     64  blocks: u32 sealed length | records of packs (known-pack.ts), sealed together: a seal for each pack would be most of the loading
import { open as openFile, stat } from 'node:fs/promises';
import { ByteWriter } from '../../bytes/byte-writer.ts';
import { freeBytes } from '../../bytes/free-bytes.ts';
import type { RepositoryKeys } from '../../crypto/key-hierarchy.ts';
import { nonceBytes, open, type RandomBytes, sealParts, tagBytes } from '../../crypto/seal.ts';
import { limits } from '../../format/limits.ts';
import { writeWhole } from '../../fs/write-whole.ts';
import { cacheHead } from './cache-file.ts';
import { decodeKnownPacks, encodeKnownPacks, type KnownPack, recordBytesOf } from './known-pack.ts';

const headBytes = 64;
const lengthBytes = 4;
const flushBytes = 1024 * 1024;
/** Of one pack's record. */
const recordBytesMax = 4 * (limits.packChunksMax * 10 + 8);
const blockBytesMax = flushBytes + recordBytesMax + nonceBytes + tagBytes;
/** An id, its chunk's length, and a share of what is kept of the pack itself. */
const chunkBytesAbout = 37;

/** The keys that it takes. */
export type CacheKeys = Pick<RepositoryKeys, 'repositoryId' | 'memory'>;

function encodeHead(keys: CacheKeys, generation: string): Uint8Array {
  const writer = new ByteWriter(headBytes).bytes(cacheHead('FBIX', 2, keys.repositoryId));
  writer.bytes(Buffer.from(generation.padEnd(40).slice(0, 40), 'latin1'));
  return writer.finish();
}

/** A cache file opened for reading what it holds and appending to it. */
export class IndexCache {
  readonly #path: string;
  readonly #keys: CacheKeys;
  readonly #randomBytes: RandomBytes;
  readonly #head: Uint8Array;
  #pending: KnownPack[] = [];
  #pendingBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #endByte: number | undefined;

  /** @param generation of the server's records: a cache of another generation is void. */
  constructor(path: string, keys: CacheKeys, generation: string, randomBytes: RandomBytes) {
    this.#path = path;
    this.#keys = keys;
    this.#randomBytes = randomBytes;
    this.#head = encodeHead(keys, generation);
  }

  /** About how many chunks its records list; 0 when there is no cache. */
  async expectedChunks(): Promise<number> {
    const bytes = await stat(this.#path).then(
      ({ size }) => size,
      () => 0,
    );
    return Math.floor(bytes / chunkBytesAbout);
  }

  /**
   * All packs that it knows, each valid until the next is asked for; a later record of a pack replaces an earlier one. Ends without
   * error where the file stops making sense; what follows is overwritten by the next append. @throws SEAL_BROKEN.
   */
  async *packs(): AsyncGenerator<KnownPack> {
    this.#endByte = 0;
    const file = await openFile(this.#path, 'r').catch(() => undefined);
    if (file === undefined) return;
    const read = async (bytes: number, at: number): Promise<Uint8Array | undefined> => {
      const into = new Uint8Array(bytes);
      // What a disk cannot read is as good as gone.
      const bytesRead = await file.read(into, 0, bytes, at).then(
        (done) => done.bytesRead,
        () => 0,
      );
      return bytesRead === bytes ? into : undefined;
    };
    try {
      const head = await read(headBytes, 0);
      if (head === undefined || Buffer.compare(head, this.#head) !== 0) return;
      this.#endByte = headBytes;
      for (let at = headBytes; ; at = this.#endByte) {
        const length = await read(lengthBytes, at);
        if (length === undefined) return;
        const sealedBytes = new DataView(length.buffer).getUint32(0, true);
        if (sealedBytes > blockBytesMax || sealedBytes < nonceBytes + tagBytes) return;
        const sealed = await read(sealedBytes, at + lengthBytes);
        if (sealed === undefined) return;
        const records = open(this.#keys.memory, this.#head, sealed, 'cache of the index');
        freeBytes(sealed);
        yield* decodeKnownPacks(records);
        freeBytes(records);
        this.#endByte = at + lengthBytes + sealedBytes;
      }
    } finally {
      await file.close();
    }
  }

  /** Keeps a pack, and writes what has gathered now and then: only what the server has acknowledged. */
  append(pack: KnownPack): void {
    this.#pending.push(pack);
    this.#pendingBytes += recordBytesOf(pack);
    // A failed write is no loss; the next flush tells of it.
    if (this.#pendingBytes >= flushBytes) this.flush().catch(() => undefined);
  }

  /** Forgets everything: the next flush writes a new file. */
  reset(): void {
    this.#endByte = 0;
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  /** Writes what was appended behind the last whole block. A failure is no loss: the cache is rebuilt another time. */
  flush(): Promise<void> {
    const block = this.#takeBlock();
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#write(block));
    return this.#writing;
  }

  #takeBlock(): Uint8Array[] {
    if (this.#pending.length === 0) return [];
    const records = encodeKnownPacks(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    const parts = sealParts(this.#keys.memory, this.#head, [records], this.#randomBytes);
    freeBytes(records);
    const sealedBytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
    return [new ByteWriter(lengthBytes).u32(sealedBytes).finish(), ...parts];
  }

  async #write(block: readonly Uint8Array[]): Promise<void> {
    if (block.length === 0 && this.#endByte !== 0) return;
    const start = this.#endByte ?? 0;
    const file = await openFile(this.#path, start === 0 ? 'w' : 'r+', 0o600);
    try {
      await file.truncate(start);
      let at = start;
      for (const part of start === 0 ? [this.#head, ...block] : block) {
        await writeWhole(file, part, at);
        at += part.byteLength;
      }
      this.#endByte = at;
    } finally {
      await file.close();
      for (const part of block) freeBytes(part);
    }
  }
}
