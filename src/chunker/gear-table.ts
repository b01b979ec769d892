// The secret table of the rolling hash, from the repository's chunker seed. docs/FORMAT.md, Chunker.
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';

const info = 'fallback gear table 1';

/** Length of a chunker seed, in bytes. */
export const chunkerSeedBytes = 32;

/** 256 numbers of 64 bits, little-endian: HKDF-SHA-256 of the 32-byte `seed`, empty salt, info `fallback gear table 1`. */
export function deriveGearTable(seed: Uint8Array): BigUint64Array {
  const bytes = hkdf(sha256, seed, undefined, Buffer.from(info), 256 * 8);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return BigUint64Array.from({ length: 256 }, (_, index) => view.getBigUint64(index * 8, true));
}
