// The runs of a recipe: as they stand in it, or, for a nested one, rebuilt from packs first.
import { FallbackError } from '../../errors/fallback-error.ts';
import { limits } from '../../format/limits.ts';
import type { Recipe } from '../../format/recipe.ts';
import type { PackReader } from './pack-reader.ts';
import { RunTable } from './run-table.ts';
import { SpanReader } from './span-reader.ts';

/** Rebuilds a byte string of metadata, in memory. @param bytesMax a longer one is refused. */
async function readMetadata(packs: PackReader, runs: RunTable, bytesMax: number): Promise<Uint8Array> {
  const total = runs.lengthBytes;
  if (total > bytesMax) throw new FallbackError('LIMIT_EXCEEDED', 'A recipe is larger than the format allows.');
  const reader = new SpanReader(packs, runs);
  const span = reader.add(0, total);
  const bytes = new Uint8Array(total);
  let at = 0;
  for await (const piece of reader.pieces(span)) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}

/** The runs that rebuild a recipe's byte string. @throws DAMAGED, SEAL_BROKEN, FORMAT_INVALID, LIMIT_EXCEEDED, NOT_FOUND. */
export async function loadRuns(packs: PackReader, recipe: Recipe): Promise<RunTable> {
  const own = new RunTable(recipe.runs, recipe.runs.length);
  if (!recipe.nested) return own;
  const runs = RunTable.decode(await readMetadata(packs, own, limits.recipeRunsBytesMax));
  if (runs.lengthBytes !== recipe.lengthBytes) {
    throw new FallbackError('FORMAT_INVALID', 'A recipe’s runs do not add up to its length.');
  }
  return runs;
}
