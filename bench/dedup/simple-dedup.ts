// Two yardsticks without a chunker: whole files, and fixed blocks of 1 MiB. Compressed as packs are; no format around them.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { zstdCompressSync } from 'node:zlib';
import type { Night } from '../nights/prepare-nights.ts';
import type { NightCost } from './count-pushes.ts';

const MiB = 1024 * 1024;
const groupBytes = 4 * MiB;

function readPiece(file: number, into: Buffer): Buffer {
  let filled = 0;
  while (filled < into.length) {
    const read = readSync(file, into, filled, into.length - filled, null);
    if (read === 0) break;
    filled += read;
  }
  return into.subarray(0, filled);
}

function* pieces(path: string, pieceBytes: number): Generator<Buffer> {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(pieceBytes);
    for (;;) {
      const piece = readPiece(file, buffer);
      if (piece.length > 0) yield piece;
      if (piece.length < pieceBytes) return;
    }
  } finally {
    closeSync(file);
  }
}

/** Fixed blocks: an insertion moves every block behind it. */
export function countFixedBlocks(nights: readonly Night[]): NightCost[] {
  const known = new Set<string>();
  return nights.map((night) => {
    const cost = { readBytes: 0, newBytes: 0, sentBytes: 0, directoryBytes: 0, chunks: 0 };
    const group = Buffer.allocUnsafe(groupBytes);
    let filled = 0;
    const send = (): void => {
      if (filled > 0) cost.sentBytes += zstdCompressSync(group.subarray(0, filled)).byteLength;
      filled = 0;
    };
    for (const { path } of night.files) {
      for (const block of pieces(path, MiB)) {
        cost.chunks++;
        cost.readBytes += block.length;
        const id = createHash('sha256').update(block).digest('base64');
        if (known.has(id)) continue;
        known.add(id);
        cost.newBytes += block.length;
        block.copy(group, filled);
        filled += block.length;
        if (filled + MiB > groupBytes) send();
      }
    }
    send();
    return cost;
  });
}

/** Whole files: one that changed anywhere is sent again. */
export function countWholeFiles(nights: readonly Night[]): NightCost[] {
  const known = new Set<string>();
  return nights.map((night) => {
    const cost = { readBytes: 0, newBytes: 0, sentBytes: 0, directoryBytes: 0, chunks: 0 };
    for (const { path, sizeBytes } of night.files) {
      const hash = createHash('sha256');
      for (const piece of pieces(path, groupBytes)) hash.update(piece);
      const id = hash.digest('base64');
      cost.chunks++;
      cost.readBytes += sizeBytes;
      if (known.has(id)) continue;
      known.add(id);
      cost.newBytes += sizeBytes;
      for (const piece of pieces(path, groupBytes)) cost.sentBytes += zstdCompressSync(piece).byteLength;
    }
    return cost;
  });
}
