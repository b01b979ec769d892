// What the newest snapshot holds of each archive whose spans are remembered: an archive that is byte for byte the same needs no more
// than that. A cache beside the index, sealed: bound to that snapshot's hash, and each entry to one file of spans.
//
//     0   "FBKA"   4 version=1   5 zeros (3)   8 repository id (16)
//     24  sealed: SHA-256 of the snapshot (32) | varint-sized version of the program | varint archives | for each:
//           varint-sized name | id of its file of spans (24) | u8 1: edited in place | varint chunks | recipe | u8 has catalogue | its recipe
//           | its packs, as writePackUsage has them
import { rename, unlink, writeFile } from 'node:fs/promises';
import { ByteReader } from '../../bytes/byte-reader.ts';
import { ByteWriter } from '../../bytes/byte-writer.ts';
import { equalBytes } from '../../bytes/hex.ts';
import { open, type RandomBytes, seal } from '../../crypto/seal.ts';
import { isFallbackError } from '../../errors/fallback-error.ts';
import { limits } from '../../format/limits.ts';
import { type Recipe, readRecipe, writeRecipe } from '../../format/recipe.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { readWholeFile } from '../../fs/read-file.ts';
import { cacheHead, cacheHeadBytes } from '../index/cache-file.ts';
import { type PackUsage, readPackUsage, writePackUsage } from './pack-usage.ts';
import { type SpanKeys, spanFileIdBytes } from './spans/span-file.ts';

const fileBytesMax = 64 * 1024 * 1024;
const what = 'record of known archives';

/** An archive as it was stored. */
export interface PushedArchive {
  readonly recipe: Recipe;
  readonly catalogue: Recipe | undefined;
  /** How many chunks its bytes were cut into. */
  readonly chunks: number;
  /** All packs that it needs, and how much of each it was the first to use: all archives of a push together are counted exactly. */
  readonly use: PackUsage;
}

/** What is known of an archive. */
export interface KnownArchive {
  /** Of the file of spans that knows its bytes. */
  readonly spansId: Uint8Array;
  /** It was as long as the time before, and other only in few places: comparing it as a whole is likely time lost. */
  readonly isEdited: boolean;
  readonly pushed: PushedArchive;
}

/** What it all is bound to. */
interface Origin {
  /** Of the newest snapshot: what is known of another one is worth nothing. */
  readonly snapshotSha256: Uint8Array;
  /** Another version may describe archives better. */
  readonly programVersion: string;
}

const headOf = ({ repositoryId }: SpanKeys): Uint8Array => cacheHead('FBKA', 1, repositoryId);

function writeArchive(writer: ByteWriter, name: string, { spansId, isEdited, pushed }: KnownArchive): void {
  writer.sizedBytes(Buffer.from(name, 'utf8')).bytes(spansId);
  writer.u8(isEdited ? 1 : 0).varint(pushed.chunks);
  writeRecipe(writer, pushed.recipe);
  writer.u8(pushed.catalogue === undefined ? 0 : 1);
  if (pushed.catalogue !== undefined) writeRecipe(writer, pushed.catalogue);
  writePackUsage(writer, pushed.use);
}

function readArchive(reader: ByteReader): [name: string, archive: KnownArchive] {
  const name = Buffer.from(reader.sizedBytes(limits.snapshotFileBytesMax)).toString('utf8');
  const spansId = new Uint8Array(reader.bytes(spanFileIdBytes));
  const isEdited = reader.u8() === 1;
  const chunks = reader.varint();
  const recipe = readRecipe(reader);
  const catalogue = reader.u8() === 0 ? undefined : readRecipe(reader);
  const use = readPackUsage(reader);
  for (const { pack } of [...recipe.runs, ...(catalogue?.runs ?? [])])
    if (!use.has(pack)) throw reader.invalid('a recipe names a pack that its archive does not use');
  return [name, { spansId, isEdited, pushed: { recipe, catalogue, chunks, use } }];
}

const pathOf = (indexPath: string): string => `${indexPath}.archives`;

/** Has the next push look at every archive as at one that has changed: after damage that may come from what is remembered. */
export async function forgetArchives(indexPath: string): Promise<void> {
  await unlink(pathOf(indexPath)).catch(() => undefined);
}

/** @throws SEAL_BROKEN, FORMAT_INVALID. */
function readAll(file: Uint8Array, keys: SpanKeys, origin: Origin, into: Map<string, KnownArchive>): void {
  const head = headOf(keys);
  if (!equalBytes(file.subarray(0, cacheHeadBytes), head)) return;
  const reader = new ByteReader(open(keys.memory, head, file.subarray(cacheHeadBytes), what), what);
  const isOfSnapshot = equalBytes(reader.bytes(32), origin.snapshotSha256);
  const version = Buffer.from(reader.sizedBytes(1024)).toString('utf8');
  if (!isOfSnapshot || version !== origin.programVersion) return;
  for (let count = reader.varint(); count > 0; count--) into.set(...readArchive(reader));
  reader.end();
}

/** The archives of the newest snapshot, and those of the one that is being pushed. */
export class KnownArchives {
  readonly #indexPath: string;
  readonly #keys: SpanKeys;
  readonly #before: ReadonlyMap<string, KnownArchive>;
  readonly #now = new Map<string, KnownArchive>();

  private constructor(indexPath: string, keys: SpanKeys, before: ReadonlyMap<string, KnownArchive>) {
    this.#indexPath = indexPath;
    this.#keys = keys;
    this.#before = before;
  }

  /** @param origin undefined when there is no snapshot. */
  static async load(indexPath: string, keys: SpanKeys, origin: Origin | undefined): Promise<KnownArchives> {
    const before = new Map<string, KnownArchive>();
    try {
      if (origin !== undefined)
        readAll(await readWholeFile(nodeFileSystem, pathOf(indexPath), fileBytesMax), keys, origin, before);
    } catch (error) {
      if (!isFallbackError(error)) throw error;
      before.clear();
    }
    return new KnownArchives(indexPath, keys, before);
  }

  /** How the newest snapshot holds the bytes that this file of spans knows. */
  find(name: string, spansId: Uint8Array): KnownArchive | undefined {
    const known = this.#before.get(name);
    return known !== undefined && equalBytes(known.spansId, spansId) ? known : undefined;
  }

  /** Takes note of an archive of the snapshot that is being pushed. */
  note(name: string, archive: KnownArchive): void {
    this.#now.set(name, archive);
  }

  /** Leaves it to the next push, once the snapshot is published. A failure is no loss. */
  async save({ snapshotSha256, programVersion }: Origin, randomBytes: RandomBytes): Promise<void> {
    const writer = new ByteWriter(4096).bytes(snapshotSha256).sizedBytes(Buffer.from(programVersion, 'utf8'));
    writer.varint(this.#now.size);
    for (const [name, archive] of this.#now) writeArchive(writer, name, archive);
    if (writer.length > fileBytesMax / 2) return await forgetArchives(this.#indexPath);
    const head = headOf(this.#keys);
    const sealed = seal(this.#keys.memory, head, writer.finish(), randomBytes);
    const path = pathOf(this.#indexPath);
    const partial = `${path}.partial`;
    try {
      await writeFile(partial, Buffer.concat([head, sealed]), { mode: 0o600 });
      await rename(partial, path);
    } catch {
      await unlink(partial).catch(() => undefined);
    }
  }
}
