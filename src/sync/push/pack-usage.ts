// How many bytes of each pack a snapshot uses: counted while it is pushed, kept in a file beside the index for the next
// push, which learns from it which packs are half dead. A cache: without it, or with that of another snapshot, nothing is.
import { writeFile } from 'node:fs/promises';
import { ByteReader } from '../../bytes/byte-reader.ts';
import { ByteWriter } from '../../bytes/byte-writer.ts';
import { equalBytes } from '../../bytes/hex.ts';
import { isFallbackError } from '../../errors/fallback-error.ts';
import { limits } from '../../format/limits.ts';
import { readMagic } from '../../format/read-magic.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { readWholeFile } from '../../fs/read-file.ts';
import type { ResentBudget } from './resent-budget.ts';

const fileBytesMax = 64 * 1024 * 1024;
/** More than any pack has: an archive that was kept from an earlier night needs the pack, whatever tonight's chunks do. */
const pinnedBytes = limits.packContentsBytesMax + 1;

/** Contents of each pack that a snapshot uses, in bytes before compression; a chunk that is used twice counts once. */
export class PackUsage {
  readonly #bytes = new Map<number, number>();

  add(pack: number, bytes: number): void {
    this.#bytes.set(pack, (this.#bytes.get(pack) ?? 0) + bytes);
  }

  /** Counts a pack as used to the last byte. */
  pin(pack: number): void {
    this.#bytes.set(pack, pinnedBytes);
  }

  /** Whether a pack is known here, be it that nothing of it was counted. */
  has(pack: number): boolean {
    return this.#bytes.has(pack);
  }

  /** How much of a pack is used; 0 when nothing is. */
  of(pack: number): number {
    return this.#bytes.get(pack) ?? 0;
  }

  /** Packs and their used bytes, ascending by pack. */
  entries(): [pack: number, bytes: number][] {
    return [...this.#bytes].sort(([a], [b]) => a - b);
  }
}

/** Appends packs and their used bytes: varint count, then for each varint (number - number before), varint used bytes. */
export function writePackUsage(writer: ByteWriter, usage: PackUsage): void {
  const entries = usage.entries();
  writer.varint(entries.length);
  let previous = 0;
  for (const [pack, bytes] of entries) {
    writer.varint(pack - previous).varint(Math.min(bytes, pinnedBytes));
    previous = pack;
  }
}

/** Reads what writePackUsage wrote. @throws FORMAT_INVALID. */
export function readPackUsage(reader: ByteReader): PackUsage {
  const usage = new PackUsage();
  let pack = 0;
  for (let count = reader.varint(limits.packNumberMax); count > 0; count--) {
    const gap = reader.varint(limits.packNumberMax);
    if (gap === 0) throw reader.invalid('its packs do not ascend');
    pack += gap;
    usage.add(pack, reader.varint(pinnedBytes));
  }
  return usage;
}

/** What one push leaves to the next. */
export interface KeptUsage {
  /** Of the snapshot that was pushed. */
  readonly snapshotSha256: Uint8Array;
  readonly usage: PackUsage;
  readonly budget: ResentBudget;
}

/**
 * The file:
 *
 *     0  "FBUS"   4 version=1   5 zeros (3)   8 SHA-256 of the snapshot (32)
 *     40 varint average earned, varint free, varint debt   packs as writePackUsage has them
 */
export function encodeUsage(kept: KeptUsage): Uint8Array {
  const writer = new ByteWriter().bytes(Buffer.from('FBUS')).u8(1).zeros(3);
  const { averageEarnedBytes, freeBytes, debtBytes } = kept.budget;
  writer.bytes(kept.snapshotSha256);
  for (const bytes of [averageEarnedBytes, freeBytes, debtBytes]) writer.varint(Math.round(bytes));
  writePackUsage(writer, kept.usage);
  return writer.finish();
}

/** Reads what encodeUsage wrote. @throws FORMAT_INVALID, FORMAT_UNSUPPORTED. */
export function decodeUsage(bytes: Uint8Array): KeptUsage {
  const reader = new ByteReader(bytes, 'record of used packs');
  readMagic(reader, 'FBUS', 'record of used packs');
  for (let index = 0; index < 3; index++) if (reader.u8() !== 0) throw reader.invalid('its head is not zero');
  const snapshotSha256 = new Uint8Array(reader.bytes(32));
  const budget = { averageEarnedBytes: reader.varint(), freeBytes: reader.varint(), debtBytes: reader.varint() };
  const usage = readPackUsage(reader);
  reader.end();
  return { snapshotSha256, usage, budget };
}

/** What the push of this snapshot left, or undefined when it was another machine's, or cannot be read. */
export async function readUsage(path: string, snapshotSha256: Uint8Array): Promise<KeptUsage | undefined> {
  try {
    const kept = decodeUsage(await readWholeFile(nodeFileSystem, path, fileBytesMax));
    return equalBytes(kept.snapshotSha256, snapshotSha256) ? kept : undefined;
  } catch (error) {
    if (isFallbackError(error)) return undefined;
    throw error;
  }
}

/** Leaves it for the next push. A failure is no loss. */
export async function writeUsage(path: string, kept: KeptUsage): Promise<void> {
  await writeFile(path, encodeUsage(kept), { mode: 0o600 }).catch(() => undefined);
}
