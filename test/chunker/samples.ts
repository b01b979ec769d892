// Bytes to cut, and the caller's half of the contract: what presents windows and collects cuts.
import { createCipheriv } from 'node:crypto';
import type { Chunker, ChunkerParameters, SpanMemory, TarMemberSeen } from '../../src/chunker/chunker.ts';
import { buildTar, type TarFormat, type TarMember } from '../../src/tar/tar-writer.ts';
import { plainMember } from '../tar/tar-samples.ts';

export const testSeed = Uint8Array.from({ length: 32 }, (_, index) => index);

/** Small sizes, so that small inputs see every rule. */
export const smallParameters: ChunkerParameters = {
  engine: 'fallback',
  fine: { minimumBytes: 64, averageBytes: 256, maximumBytes: 1024 },
  edited: { minimumBytes: 128, averageBytes: 512, maximumBytes: 1024 },
  coarse: { minimumBytes: 2048, averageBytes: 4096, maximumBytes: 8192 },
  largeMemberBytesMin: 2048,
  coarseMemberBytesMin: 3000,
};

/** The same random bytes for the same number, on every machine: AES-128-CTR. */
export function randomBytesOf(number: number, lengthBytes: number): Uint8Array {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(number);
  return new Uint8Array(createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(lengthBytes)));
}

/** Text-like bytes (16 values), as little compressible by content as a dump. */
export function textBytesOf(number: number, lengthBytes: number): Uint8Array {
  return randomBytesOf(number, lengthBytes).map((byte) => 0x61 + (byte & 15));
}

/** Random bytes that begin as a JPEG does. */
export function photoBytesOf(number: number, lengthBytes: number): Uint8Array {
  const bytes = randomBytesOf(number, lengthBytes);
  bytes.set([0xff, 0xd8, 0xff, 0xe0].slice(0, lengthBytes));
  return bytes;
}

/** Text-like bytes that begin as mysqldump's output does. */
export function dumpBytesOf(number: number, lengthBytes: number): Uint8Array {
  const bytes = textBytesOf(number, lengthBytes);
  bytes.set(Buffer.from('-- MySQL dump 10.13\n').subarray(0, lengthBytes));
  return bytes;
}

export function file(name: string, content: Uint8Array): { member: TarMember; content: Uint8Array } {
  return { member: { ...plainMember(name), sizeBytes: content.byteLength }, content };
}

export function tarOf(files: readonly { member: TarMember; content: Uint8Array }[], format: TarFormat = 'pax') {
  return buildTar(files, format);
}

/** A tar with small and large members of both kinds, for the small parameters. */
export function mixedTar(): Uint8Array {
  return tarOf([
    file('small', textBytesOf(1, 300)),
    file('dump', textBytesOf(2, 9000)),
    file('photo', photoBytesOf(3, 5000)),
    file('short', textBytesOf(4, 2100)),
    file('video', photoBytesOf(5, 30_000)),
    file('empty', new Uint8Array(0)),
    file('dump', textBytesOf(6, 2048)),
    file('cipher', randomBytesOf(8, 12_000)),
    file('last', photoBytesOf(7, 3000)),
  ]);
}

export interface Cuts {
  readonly ends: number[];
  readonly kinds: number[];
  readonly members: TarMemberSeen[];
  /** With a memory of spans: of each chunk the id that it knew, and of each span how many chunks lie before its end, and its tag. */
  readonly ids: (Buffer | undefined)[];
  readonly spans: { readonly chunks: number; readonly tag: Uint8Array }[];
}

/**
 * Cuts all of `bytes`. Each window shows what was left and up to `next()` more bytes, at changing places of the pool;
 * asserts the contract on the way.
 */
export function cutAll(chunker: Chunker, bytes: Uint8Array, next: () => number, room = 1e6, memory?: SpanMemory): Cuts {
  const { pool } = chunker;
  const members: TarMemberSeen[] = [];
  const archive = chunker.startArchive((member) => members.push(member), memory);
  const ids: Cuts['ids'] = [];
  const spans: Cuts['spans'] = [];
  const ends: number[] = [];
  const kinds: number[] = [];
  let at = 0;
  let shown = 0;
  for (let turn = 0; at < bytes.byteLength || turn === 0; turn++) {
    shown = Math.min(bytes.byteLength, Math.min(Math.max(shown, at) + next(), at + pool.byteLength));
    const window = bytes.subarray(at, shown);
    const startByte = turn % 2 === 0 ? 0 : pool.byteLength - window.byteLength;
    pool.fill(0xaa);
    pool.set(window, startByte);
    const countMax = Math.min(room, chunker.cutsMax(window.byteLength));
    const known = new Uint8Array(countMax).fill(9);
    const list = { ids: Buffer.alloc(countMax * 32), known, knownCount: 9, ends: [] };
    const cuts = { ends: new Uint32Array(countMax), kinds: new Uint8Array(countMax), count: 0, spans: list };
    const isEnd = shown === bytes.byteLength;
    const covered = archive.cut(startByte, window.byteLength, isEnd, cuts);
    if (covered !== (cuts.ends[cuts.count - 1] ?? 0)) throw new Error('the cuts do not cover what they should');
    if (isEnd && room === 1e6 && covered !== window.byteLength) throw new Error('the end was left uncut');
    if (covered === 0 && window.byteLength >= chunker.windowBytesMin) throw new Error('no progress');
    for (const { cuts: before, tag } of cuts.spans.ends) spans.push({ chunks: ends.length + before, tag });
    for (let index = 0; index < cuts.count; index++) {
      ids.push(known[index] === 1 ? list.ids.subarray(index * 32, index * 32 + 32) : undefined);
      ends.push(at + (cuts.ends[index] ?? 0));
      kinds.push(cuts.kinds[index] ?? 9);
    }
    at += covered;
    if (turn > 10 * bytes.byteLength + 100) throw new Error('it does not come to an end');
  }
  return { ends, kinds, members, ids, spans };
}

/** The chunks' bytes as text, to compare sets of them. */
export function chunksOf(bytes: Uint8Array, ends: readonly number[]): string[] {
  return ends.map((end, index) => Buffer.from(bytes.subarray(ends[index - 1] ?? 0, end)).toString('latin1'));
}

/** Whether ends ascend strictly up to the input's length. */
export function coversExactly(bytes: Uint8Array, ends: readonly number[]): boolean {
  return (ends.at(-1) ?? 0) === bytes.byteLength && ends.every((end, index) => end > (ends[index - 1] ?? 0));
}
