// Fixed secrets, repeatable "random" bytes and small packs for the tests of seals.
import { createHash } from 'node:crypto';
import { chunkId } from '../../src/crypto/chunk-id.ts';
import { deriveRepositoryKeys, type RepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import type { RandomBytes } from '../../src/crypto/seal.ts';
import { type PackContents, sealPack } from '../../src/crypto/sealed-pack.ts';
import { parsePackNumber, parseRepositoryId } from '../../src/format/ids.ts';

export const repositoryId = parseRepositoryId('00112233445566778899aabbccddeeff');
export const otherRepositoryId = parseRepositoryId('ff112233445566778899aabbccddeeff');
export const secret = new Uint8Array(32).map((_, index) => index);
export const keys = deriveRepositoryKeys(secret, repositoryId);

/** Bytes that look random and are the same in every run. */
export function repeatableRandom(seed = 'seed'): RandomBytes {
  let drawn = 0;
  return (count) => {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count; at += 32) {
      const block = createHash('sha256').update(`${seed} ${drawn++}`).digest();
      bytes.set(block.subarray(0, Math.min(32, count - at)), at);
    }
    return bytes;
  };
}

export const random = repeatableRandom('samples');

/** What a pack of these chunks holds. */
export function packOf(
  chunks: readonly Uint8Array[],
  fields: Partial<Omit<PackContents, 'number'>> & { readonly number?: number } = {},
  under: RepositoryKeys = keys,
): PackContents {
  const holes = new Set(fields.holes ?? []);
  return {
    revision: 0,
    level: 3,
    holes: [],
    ...fields,
    number: parsePackNumber(fields.number ?? 7),
    contents: new Uint8Array(Buffer.concat(chunks.filter((_, position) => !holes.has(position)))),
    lengths: Uint32Array.from(chunks, (chunk) => chunk.byteLength),
    ids: new Uint8Array(Buffer.concat(chunks.map((chunk) => chunkId(under.chunkId, chunk)))),
  };
}

/** The pack's file in one piece. */
export function sealedFile(pack: PackContents, under: RepositoryKeys = keys, randomBytes = random): Uint8Array {
  return new Uint8Array(Buffer.concat(sealPack(under, pack, randomBytes)));
}

/** A chunk of words: zstd shrinks it. */
export const textChunk = (word: string, length: number): Uint8Array =>
  new Uint8Array(Buffer.from(word.repeat(Math.ceil(length / word.length)).slice(0, length)));

/** A chunk that nothing shrinks. */
export const noiseChunk = (length: number, seed: string): Uint8Array => repeatableRandom(seed)(length);
