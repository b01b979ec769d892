// The file of one archive's spans, beside the index. A cache: deleted, cut short or damaged, everything is cut and hashed anew, and since
// all of it is sealed, a damaged one is never believed.
//
//     0   "FBSP"   4 version=2   5 zeros (3)   8 repository id (16)
//     24  blocks of 32 spans, each sealed
//     ... the table, sealed: varint spans | for each block varint sealed length | the spans' tags (16 each) | varint length of each
//     -8  u32 sealed length of the table | u32 spans
import { readSync } from 'node:fs';
import { type FileHandle, open as openFile, rename, unlink } from 'node:fs/promises';
import { ByteReader } from '../../../bytes/byte-reader.ts';
import { ByteWriter } from '../../../bytes/byte-writer.ts';
import { equalBytes } from '../../../bytes/hex.ts';
import type { RepositoryKeys } from '../../../crypto/key-hierarchy.ts';
import { open, type RandomBytes, seal } from '../../../crypto/seal.ts';
import { spanTagBytes } from '../../../crypto/span-tag.ts';
import { cacheHead, cacheHeadBytes } from '../../index/cache-file.ts';
import { blockSpans, decodeBlock, encodeSpan, type SeenSpan, type TaggedSpan } from './span-block.ts';

/** So many spans of one archive are remembered, about 64 GiB; what follows is hashed every night. Their table takes 12 MiB. */
const spansMax = 2 ** 19;
const endBytes = 8;
const sealedBlockBytesMax = 4 * 1024 * 1024;
const flushBytes = 256 * 1024;

/** What tells one file of spans from all others: the nonce of its table's seal. */
export const spanFileIdBytes = 24;

/** The keys that it takes. */
export type SpanKeys = Pick<RepositoryKeys, 'repositoryId' | 'spanTag' | 'memory'>;

const headOf = ({ repositoryId }: SpanKeys): Uint8Array => cacheHead('FBSP', 2, repositoryId);

/** What a sealed part is bound to: the head, and its number; the table has that behind the last block's. */
const partOf = (keys: SpanKeys, number: number): Uint8Array =>
  new ByteWriter(cacheHeadBytes + 4).bytes(headOf(keys)).u32(number).finish();

/** An archive's spans as the last push left them. */
export class SpanFile {
  readonly #file: FileHandle;
  readonly #keys: SpanKeys;
  readonly id: Uint8Array;
  /** Of all spans, 16 bytes each. */
  readonly tags: Uint8Array;
  /** Of all spans, in bytes. */
  readonly lengths: Uint32Array;
  /** Where each block begins, and the last one ends. */
  readonly #blockStarts: Float64Array;
  /** Open addressing by a tag's first bytes: entry + 1, or 0. */
  readonly #slots: Int32Array;
  #block = -1;
  #spans: readonly TaggedSpan[] = [];

  private constructor(file: FileHandle, keys: SpanKeys, { id, tags, lengths, blockStarts }: Table) {
    this.#file = file;
    this.#keys = keys;
    this.id = id;
    this.tags = tags;
    this.lengths = lengths;
    this.#blockStarts = blockStarts;
    const count = tags.byteLength / spanTagBytes;
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(count * 2 + 2)));
    for (let entry = 0; entry < count; entry++) {
      const tag = tags.subarray(entry * spanTagBytes, (entry + 1) * spanTagBytes);
      const slot = this.#slotOf(tag);
      // Of equal spans the first is found.
      if (this.#slots[slot] === 0) this.#slots[slot] = entry + 1;
    }
  }

  /** Opens it; undefined when there is none, or none that can be believed. */
  static async open(path: string, keys: SpanKeys): Promise<SpanFile | undefined> {
    const file = await openFile(path, 'r').catch(() => undefined);
    if (file === undefined) return undefined;
    try {
      const { size } = await file.stat();
      return new SpanFile(file, keys, await readTable(file, size, keys));
    } catch {
      await file.close();
      return undefined;
    }
  }

  get count(): number {
    return this.lengths.length;
  }

  /** The slot of a tag, or the free one where it belongs. */
  #slotOf(tag: Uint8Array): number {
    const mask = this.#slots.length - 1;
    const view = new DataView(tag.buffer, tag.byteOffset, spanTagBytes);
    for (let slot = view.getUint32(0) & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot] ?? 0;
      if (entry === 0 || equalBytes(this.tags.subarray((entry - 1) * spanTagBytes, entry * spanTagBytes), tag)) {
        return slot;
      }
    }
  }

  /** Which span has this tag. */
  find(tag: Uint8Array): number | undefined {
    const entry = this.#slots[this.#slotOf(tag)] ?? 0;
    return entry === 0 ? undefined : entry - 1;
  }

  /** The span of this number, from 0; undefined behind the last, and when its block cannot be read. */
  span(number: number): TaggedSpan | undefined {
    if (number >= this.count) return undefined;
    const block = Math.floor(number / blockSpans);
    if (block !== this.#block) {
      this.#block = block;
      this.#spans = this.#read(block);
    }
    return this.#spans[number % blockSpans];
  }

  #read(block: number): readonly TaggedSpan[] {
    const start = this.#blockStarts[block] ?? 0;
    const sealed = new Uint8Array((this.#blockStarts[block + 1] ?? 0) - start);
    try {
      readSync(this.#file.fd, sealed, 0, sealed.byteLength, start);
      return decodeBlock(open(this.#keys.memory, partOf(this.#keys, block), sealed, 'block of remembered spans'));
    } catch {
      return [];
    }
  }

  async close(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }
}

interface Table {
  readonly id: Uint8Array;
  readonly tags: Uint8Array;
  readonly lengths: Uint32Array;
  readonly blockStarts: Float64Array;
}

async function readTable(file: FileHandle, sizeBytes: number, keys: SpanKeys): Promise<Table> {
  const head = await readAt(file, 0, cacheHeadBytes);
  const end = new ByteReader(await readAt(file, sizeBytes - endBytes, endBytes), 'file of remembered spans');
  const tableBytes = end.u32();
  const count = end.u32();
  if (!equalBytes(head, headOf(keys))) throw end.invalid('it is another repository’s');
  if (count > spansMax || tableBytes > spansMax * 32) throw end.invalid('it is larger than allowed');
  const blocks = Math.ceil(count / blockSpans);
  const sealed = await readAt(file, sizeBytes - endBytes - tableBytes, tableBytes);
  const reader = new ByteReader(open(keys.memory, partOf(keys, blocks), sealed, 'table of spans'), 'table of spans');
  if (reader.varint() !== count) throw reader.invalid('its number of spans is another');
  const blockStarts = new Float64Array(blocks + 1);
  blockStarts[0] = cacheHeadBytes;
  for (let block = 0; block < blocks; block++) {
    blockStarts[block + 1] = (blockStarts[block] ?? 0) + reader.varint(sealedBlockBytesMax);
  }
  const tags = new Uint8Array(reader.bytes(count * spanTagBytes));
  const lengths = new Uint32Array(count);
  for (let span = 0; span < count; span++) lengths[span] = reader.varint(2 ** 32 - 1);
  reader.end();
  return { id: sealed.slice(0, spanFileIdBytes), tags, lengths, blockStarts };
}

async function readAt(file: FileHandle, at: number, bytes: number): Promise<Uint8Array> {
  const into = new Uint8Array(bytes);
  const { bytesRead } = await file.read(into, 0, bytes, at);
  return into.subarray(0, bytesRead);
}

/** Writes an archive's spans as they go by: to a file beside the old one, which takes its place at the end. */
export class SpanFileWriter {
  readonly #path: string;
  readonly #keys: SpanKeys;
  readonly #randomBytes: RandomBytes;
  readonly #tags = new ByteWriter(1024);
  readonly #lengths = new ByteWriter(256);
  readonly #blockBytes: number[] = [];
  #count = 0;
  #block = new ByteWriter(32 * 1024);
  #pending: Uint8Array[];
  #pendingBytes = 0;
  #file: FileHandle | undefined;
  /** Nothing is lost when it cannot be written: the next push hashes what it would have known. */
  #hasFailed = false;

  constructor(path: string, keys: SpanKeys, randomBytes: RandomBytes) {
    this.#path = path;
    this.#keys = keys;
    this.#randomBytes = randomBytes;
    this.#pending = [headOf(keys)];
  }

  get #partial(): string {
    return `${this.#path}.partial`;
  }

  /** Appends a span; `flush` is to be awaited now and then. */
  add(span: SeenSpan): void {
    if (this.#hasFailed || this.#count === spansMax) return;
    encodeSpan(this.#block, span);
    this.#tags.bytes(span.tag);
    this.#lengths.varint(span.lengths.reduce((sum, length) => sum + length, 0));
    this.#count++;
    if (this.#count % blockSpans === 0) this.#endBlock();
  }

  #endBlock(): void {
    const part = partOf(this.#keys, this.#blockBytes.length);
    const sealed = seal(this.#keys.memory, part, this.#block.finish(), this.#randomBytes);
    this.#blockBytes.push(sealed.byteLength);
    this.#pending.push(sealed);
    this.#pendingBytes += sealed.byteLength;
    this.#block = new ByteWriter(32 * 1024);
  }

  /** Writes what has gathered, once it is worth a call. */
  async flush(isEnd = false): Promise<void> {
    if (this.#hasFailed || (this.#pendingBytes < flushBytes && !isEnd)) return;
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    try {
      this.#file ??= await openFile(this.#partial, 'w', 0o600);
      for (let at = 0; at < bytes.byteLength; ) at += (await this.#file.write(bytes, at)).bytesWritten;
    } catch {
      this.#hasFailed = true;
    }
  }

  /** Ends the file and gives it its name. @returns its id, unless it could not be written. */
  async publish(): Promise<Uint8Array | undefined> {
    if (this.#count % blockSpans !== 0) this.#endBlock();
    const table = new ByteWriter(64 + this.#tags.length).varint(this.#count);
    for (const bytes of this.#blockBytes) table.varint(bytes);
    table.bytes(this.#tags.finish()).bytes(this.#lengths.finish());
    const part = partOf(this.#keys, this.#blockBytes.length);
    const sealed = seal(this.#keys.memory, part, table.finish(), this.#randomBytes);
    this.#pending.push(sealed, new ByteWriter(endBytes).u32(sealed.byteLength).u32(this.#count).finish());
    await this.flush(true);
    await this.#close();
    if (!this.#hasFailed) {
      await rename(this.#partial, this.#path).catch(() => {
        this.#hasFailed = true;
      });
    }
    if (!this.#hasFailed) return sealed.slice(0, spanFileIdBytes);
    await this.discard();
    return undefined;
  }

  /** Forgets it; what was remembered before stays. */
  async discard(): Promise<void> {
    this.#hasFailed = true;
    await this.#close();
    await unlink(this.#partial).catch(() => undefined);
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => {
      this.#hasFailed = true;
    });
  }
}
