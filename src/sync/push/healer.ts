// Heals lost packs: chunks of them that go by in tonight's archives are set aside, and the packs are made again with the
// same chunks at the same positions, so that the old snapshots which name them are whole again. What cannot be done tonight is
// left for another night: healing never takes away what a pack still has, and never stops a push.
import { type FileHandle, open as openFile, unlink } from 'node:fs/promises';
import type { ErrorCode } from '../../errors/error-codes.ts';
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import type { LeaseId } from '../../format/ids.ts';
import type { PackRanges } from '../../format/pack-ranges.ts';
import { withFsErrors } from '../../fs/map-fs-error.ts';
import { writeWhole } from '../../fs/write-whole.ts';
import type { RepositoryStatus, RepositoryWriter } from '../../store/repository-store.ts';
import type { IndexCache } from '../index/index-cache.ts';
import type { KnownPack } from '../index/known-pack.ts';
import type { CryptoRunner } from '../workers/worker-pool.ts';
import type { PushCounters } from './push-counters.ts';

/** At most this many bytes are set aside in one push; what is over heals another night. */
const spoolBytesMax = 2 ** 30;

interface LostChunk {
  readonly pack: number;
  readonly position: number;
  readonly words: Uint32Array;
  readonly word: number;
  /** Where its contents lie in the spool; -1 until it goes by. */
  spoolByte: number;
}

/** A table of lost chunks by the first half of their ids; two chunks of one id are healed together. */
export class Healer {
  readonly #byKey = new Map<number, LostChunk[]>();
  readonly #packs: ReadonlyMap<number, KnownPack>;
  readonly #spoolPath: string;
  readonly #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #spooledBytes = 0;
  #spool: Promise<FileHandle> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #found = new Map<number, LostChunk[]>();

  /**
   * @param packs all that lack something, as far as they are known; a holed one maybe as it was in an earlier revision.
   * @param lost those of which nothing is left: all of their chunks are wanted, also when they had holes before.
   * @param spoolPath a file of its own, removed at the end.
   */
  constructor(packs: ReadonlyMap<number, KnownPack>, lost: PackRanges, spoolPath: string) {
    this.#packs = packs;
    this.#spoolPath = spoolPath;
    for (const [pack, { lengths, ids: words, holes }] of packs) {
      const wanted = holes.length > 0 && !lost.has(pack) ? holes : lengths.keys();
      for (const position of wanted) {
        const chunk: LostChunk = { pack, position, words, word: position * 8, spoolByte: -1 };
        const key = keyOf(words, chunk.word);
        const others = this.#byKey.get(key);
        if (others === undefined) this.#byKey.set(key, [chunk]);
        else others.push(chunk);
      }
    }
  }

  /**
   * Sets a chunk that goes by aside, if a lost pack had it. Tonight's snapshot does not name that pack all the same: other
   * chunks of it may be gone for good, and a pack with holes is none that a new snapshot may need.
   */
  offer(words: Uint32Array, word: number, contents: Uint8Array): void {
    const candidates = this.#byKey.get(keyOf(words, word));
    if (candidates === undefined) return;
    let spoolByte = -1;
    for (const chunk of candidates) {
      if (chunk.spoolByte >= 0 || !sameId(chunk, words, word)) continue;
      if (spoolByte < 0) {
        if (this.#spooledBytes + contents.byteLength > spoolBytesMax) return;
        spoolByte = this.#keep(contents);
      }
      chunk.spoolByte = spoolByte;
      const found = this.#found.get(chunk.pack);
      if (found === undefined) this.#found.set(chunk.pack, [chunk]);
      else found.push(chunk);
    }
  }

  #keep(contents: Uint8Array): number {
    const at = this.#spooledBytes;
    this.#pending.push(new Uint8Array(contents));
    this.#pendingBytes += contents.byteLength;
    this.#spooledBytes += contents.byteLength;
    if (this.#pendingBytes >= 4 * 1024 * 1024) this.#write();
    return at;
  }

  #write(): void {
    const bytes = Buffer.concat(this.#pending);
    const at = this.#spooledBytes - this.#pendingBytes;
    this.#pending.length = 0;
    this.#pendingBytes = 0;
    this.#spool ??= openFile(this.#spoolPath, 'w+', 0o600);
    const spool = this.#spool;
    this.#writing = this.#writing.then(async () => {
      await writeWhole(await spool, bytes, at);
    });
    // finish() awaits it; until then an error must not count as unhandled.
    this.#writing.catch(() => undefined);
  }

  /**
   * Makes every pack again of which a chunk went by, and sends it; one that cannot be made or stored stays as it is for another night.
   * @throws what ends the push too: network errors, LEASE_LOST, FENCED, INTERRUPTED.
   */
  async finish(target: HealTarget): Promise<void> {
    if (this.#pendingBytes > 0) this.#write();
    try {
      await this.#writing;
    } catch {
      // No room for the spool.
      return;
    }
    for (const pack of [...this.#found.keys()].sort((a, b) => a - b)) {
      try {
        await this.#heal(pack, target);
      } catch (error) {
        if (!isFallbackError(error) || !leavesUnhealed.has(error.code)) throw error;
        if (noMoreRoom.has(error.code)) return;
      }
    }
  }

  /** Removes the spool. */
  async close(): Promise<void> {
    if (this.#spool === undefined) return;
    await this.#writing.catch(() => undefined);
    const spool = await this.#spool.catch(() => undefined);
    await spool?.close();
    await unlink(this.#spoolPath).catch(() => undefined);
  }

  async #heal(pack: number, target: HealTarget): Promise<void> {
    const known = this.#packs.get(pack);
    if (known === undefined) return;
    const { lengths, ids } = known;
    // Of a holed pack the server has more than any directory that is kept here may say.
    const parts = target.status.holed.has(pack) ? await this.#readRest(known, target) : new Map<number, Uint8Array>();
    const found = (this.#found.get(pack) ?? []).filter(({ position }) => parts?.has(position) === false);
    if (parts === undefined || found.length === 0) return;
    for (const { position, spoolByte } of found) {
      parts.set(position, await this.#readSpool(spoolByte, lengths[position] ?? 0));
    }
    const holes: number[] = [];
    const contents: Uint8Array[] = [];
    for (let position = 0; position < lengths.length; position++) {
      const part = parts.get(position);
      if (part === undefined) holes.push(position);
      else contents.push(part);
    }
    const sealed = await target.crypto.run({
      kind: 'seal',
      number: pack,
      revision: target.status.healRevision,
      contents: Buffer.concat(contents),
      lengths,
      ids: new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength),
      holes,
      level: healedLevel,
    });
    await target.repository.putPack(target.leaseId, pack, sealed.parts, sealed.sha256);
    target.cache.append({ number: pack, fileBytes: sealed.bytes, lengths, ids, holes: Uint32Array.from(holes) });
    target.counters.healedPacks++;
    target.counters.healedChunks += found.length;
    target.counters.packBytesSent += sealed.bytes;
    target.counters.packsSent++;
  }

  /** The chunks that a holed pack still has; undefined when they cannot be had now, and must not be lost. */
  async #readRest({ number, ids }: KnownPack, target: HealTarget): Promise<Map<number, Uint8Array> | undefined> {
    const parts = new Map<number, Uint8Array>();
    try {
      const source = await target.repository.pack(number);
      const fileBytes = source.byteLength;
      const { contents, lengths, holes } = await target.crypto.run({
        kind: 'open',
        number,
        source,
        checkIds: true,
      });
      const missing = new Set(holes);
      let at = 0;
      for (const [position, length] of lengths.entries()) {
        if (missing.has(position)) continue;
        parts.set(position, contents.subarray(at, at + length));
        at += length;
      }
      // The next push knows which chunks it lacks.
      target.cache.append({ number, fileBytes, lengths, ids, holes: Uint32Array.from(holes) });
      return parts;
    } catch (error) {
      if (!isFallbackError(error)) throw error;
      return undefined;
    }
  }

  async #readSpool(at: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    const file = await this.#spool;
    await withFsErrors('read what was set aside for healing', async () => {
      for (let done = 0; done < length; ) {
        const { bytesRead } = (await file?.read(bytes, done, length - done, at + done)) ?? { bytesRead: 0 };
        if (bytesRead === 0) throw new FallbackError('IO', 'What was set aside for healing ends too soon.');
        done += bytesRead;
      }
    });
    return bytes;
  }
}

/** What stops the healing of one pack and not the push: tonight's snapshot does not need it. */
const leavesUnhealed: ReadonlySet<ErrorCode> = new Set([
  'CONFLICT',
  'DIGEST_MISMATCH',
  'DISK_FULL',
  'FORMAT_INVALID',
  'IO',
  'LIMIT_EXCEEDED',
  'NOT_FOUND',
  'QUOTA_EXCEEDED',
  'SERVER_FULL',
  'VERIFY_FAILED',
]);
const noMoreRoom: ReadonlySet<ErrorCode> = new Set(['QUOTA_EXCEEDED', 'SERVER_FULL']);

/** zstd's level for packs that are made again: seldom, and few. */
const healedLevel = 6;

/** What `finish` needs. */
export interface HealTarget {
  readonly repository: RepositoryWriter;
  readonly leaseId: LeaseId;
  readonly status: RepositoryStatus;
  readonly crypto: CryptoRunner;
  readonly cache: IndexCache;
  readonly counters: PushCounters;
}

/** 53 bits of an id: unlike enough for a table, and a number. */
function keyOf(words: Uint32Array, word: number): number {
  return (words[word] ?? 0) * 2 ** 21 + ((words[word + 1] ?? 0) & 0x1fffff);
}

function sameId(chunk: LostChunk, words: Uint32Array, word: number): boolean {
  for (let index = 0; index < 8; index++) {
    if (chunk.words[chunk.word + index] !== words[word + index]) return false;
  }
  return true;
}
