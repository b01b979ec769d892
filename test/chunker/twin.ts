// The cut rule, slow and readable: what kernel/cut.ts must equal. FastCDC 2020, docs/FORMAT.md, Chunker.
import { hkdfSync } from 'node:crypto';
import type { CutSizes } from '../../src/chunker/chunker.ts';

/** The gear table from a seed, by OpenSSL's HKDF. */
export function twinTable(seed: Uint8Array): bigint[] {
  const bytes = Buffer.from(hkdfSync('sha256', seed, '', 'fallback gear table 1', 2048));
  return Array.from({ length: 256 }, (_, index) => bytes.readBigUInt64LE(index * 8));
}

function mask(bits: number): bigint {
  return ((1n << BigInt(bits)) - 1n) << BigInt(63 - bits);
}

/** Where chunks end; without `isEnd`, only those that more bytes could not move. */
export function twinCuts(bytes: Uint8Array, table: readonly bigint[], sizes: CutSizes, isEnd: boolean): number[] {
  const bits = Math.log2(sizes.averageBytes);
  const ends: number[] = [];
  let start = 0;
  while (start < bytes.length) {
    let hash = 0n;
    let length = sizes.minimumBytes;
    let isCut = false;
    while (!isCut && length < sizes.maximumBytes && start + length < bytes.length) {
      hash = BigInt.asUintN(64, (hash << 1n) + (table[bytes[start + length] ?? 0] ?? 0n));
      length++;
      isCut = (hash & mask(length <= sizes.averageBytes ? bits + 2 : bits - 2)) === 0n;
    }
    if (!isCut && length < sizes.maximumBytes) {
      if (isEnd) ends.push(bytes.length);
      return ends;
    }
    start += length;
    ends.push(start);
  }
  return ends;
}
