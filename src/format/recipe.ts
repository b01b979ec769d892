// Recipes: how a byte string is rebuilt from packs. FORMAT.md, Recipe.
import { ByteReader } from '../bytes/byte-reader.ts';
import { ByteWriter } from '../bytes/byte-writer.ts';
import { limits } from './limits.ts';
import { unzigzag, zigzag } from './zigzag.ts';

/** `count` chunks of one pack, from position `first`, `bytes` long together. */
export interface Run {
  readonly pack: number;
  readonly first: number;
  readonly count: number;
  readonly bytes: number;
}

/**
 * How one byte string is rebuilt. Short lists of runs stand in the recipe itself (`nested` false). Longer ones are
 * themselves stored as chunks, so that an unchanged archive's recipe is not sent again: then `runs` rebuild
 * the encoded list of runs (`nested` true).
 */
export interface Recipe {
  /** Length of the byte string. */
  readonly lengthBytes: number;
  /** SHA-256 of the byte string. */
  readonly sha256: Uint8Array;
  readonly nested: boolean;
  readonly runs: readonly Run[];
}

/**
 * Writes runs one after the other, each as varints: zigzag(pack - previous pack), first, count, bytes. A record depends
 * on the one before only through the pack number, so that unchanged stretches of a list stay the same bytes.
 * @param previousPack the pack of the run before, when a list is written in pieces.
 */
export function encodeRuns(runs: Iterable<Run>, previousPack = 0): Uint8Array {
  const writer = new ByteWriter();
  let previous = previousPack;
  for (const run of runs) {
    writer
      .varint(zigzag(run.pack - previous))
      .varint(run.first)
      .varint(run.count)
      .varint(run.bytes);
    previous = run.pack;
  }
  return writer.finish();
}

/** Reads runs up to the end of `bytes`, one by one: a long list costs no memory. @throws FORMAT_INVALID. */
export function* iterateRuns(bytes: Uint8Array): Generator<Run> {
  const reader = new ByteReader(bytes, 'list of runs');
  let pack = 0;
  while (reader.remaining > 0) {
    pack += unzigzag(reader.varint(limits.packNumberMax * 2));
    const first = reader.varint(limits.packChunksMax);
    const count = reader.varint(limits.packChunksMax);
    const length = reader.varint(limits.packContentsBytesMax);
    if (pack < 1 || pack > limits.packNumberMax) throw reader.invalid('a pack number is out of range');
    if (count === 0 || length < count || first + count > limits.packChunksMax)
      throw reader.invalid('a run is out of range');
    yield { pack, first, count, bytes: length };
  }
}

/** Reads runs up to the end of `bytes`. @throws FORMAT_INVALID. */
export function decodeRuns(bytes: Uint8Array): Run[] {
  return [...iterateRuns(bytes)];
}

/** Adds up the bytes of runs. */
export function runsBytes(runs: Iterable<Run>): number {
  let total = 0;
  for (const run of runs) total += run.bytes;
  return total;
}

/** Writes a recipe: varint length, SHA-256, u8 nested, varint-sized runs. */
export function writeRecipe(writer: ByteWriter, recipe: Recipe): void {
  writer
    .varint(recipe.lengthBytes)
    .bytes(recipe.sha256)
    .u8(recipe.nested ? 1 : 0)
    .sizedBytes(encodeRuns(recipe.runs));
}

/**
 * Reads a recipe.
 * @param lengthBytesMax of the byte string that it rebuilds.
 * @throws FORMAT_INVALID, also when its runs do not add up to its length.
 */
export function readRecipe(reader: ByteReader, lengthBytesMax: number = limits.archiveBytesMax): Recipe {
  const lengthBytes = reader.varint(lengthBytesMax);
  const sha256 = new Uint8Array(reader.bytes(32));
  const nested = reader.u8();
  if (nested > 1) throw reader.invalid('a recipe is neither plain nor nested');
  const runs = decodeRuns(reader.sizedBytes(limits.snapshotFileBytesMax));
  const total = runsBytes(runs);
  if (nested === 0 && total !== lengthBytes) throw reader.invalid('a recipe’s runs do not add up to its length');
  if (nested === 1 && (total === 0 || total > limits.recipeRunsBytesMax))
    throw reader.invalid('a recipe is beyond the limit');
  return { lengthBytes, sha256, nested: nested === 1, runs };
}
