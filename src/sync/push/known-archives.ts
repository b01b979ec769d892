// What the newest snapshot holds of each archive whose spans are remembered: an archive that is byte for byte the same needs no more
// than that. A cache beside the index, sealed: bound to that snapshot's hash, and each entry to one file of spans.
//
//     0   "FBKA"   4 version=1   5 zeros (3)   8 repository id (16)
//     24  sealed: SHA-256 of the snapshot (32) | varint archives | for each:
//           varint-sized name | name of its spans (24) | varint chunks | recipe | u8 has catalogue | its recipe
//           | varint packs | for each varint (number - number before), varint used bytes
import { rename, unlink, writeFile } from 'node:fs/promises';
import { ByteReader } from '../../bytes/byte-reader.ts';
import { ByteWriter } from '../../bytes/byte-writer.ts';
import { equalBytes } from '../../bytes/hex.ts';
import { open, type RandomBytes, seal } from '../../crypto/seal.ts';
import { isFallbackError } from '../../errors/fallback-error.ts';
import { idBytes } from '../../format/ids.ts';
import { limits } from '../../format/limits.ts';
import { type Recipe, readRecipe, writeRecipe } from '../../format/recipe.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { readWholeFile } from '../../fs/read-file.ts';
import { PackUsage } from './pack-usage.ts';
import { type SpanKeys, spanFileIdBytes } from './spans/span-file.ts';

const fileBytesMax = 64 * 1024 * 1024;
const headBytes = 24;
const what = 'record of known archives';

/** An archive as it was stored. */
export interface PushedArchive {
  readonly recipe: Recipe;
  readonly catalogue: Recipe | undefined;
  /** How many chunks its bytes were cut into. */
  readonly chunks: number;
  /** All packs that it needs, and how much of each. */
  readonly use: PackUsage;
}

interface KnownArchive {
  /** Of the file of spans that knows its bytes. */
  readonly spansId: Uint8Array;
  readonly pushed: PushedArchive;
}

const headOf = ({ repositoryId }: SpanKeys): Uint8Array =>
  new ByteWriter(headBytes).bytes(Buffer.from('FBKA')).u8(1).zeros(3).bytes(idBytes(repositoryId)).finish();

function writeArchive(writer: ByteWriter, name: string, { spansId, pushed }: KnownArchive): void {
  writer.sizedBytes(Buffer.from(name, 'utf8')).bytes(spansId).varint(pushed.chunks);
  writeRecipe(writer, pushed.recipe);
  writer.u8(pushed.catalogue === undefined ? 0 : 1);
  if (pushed.catalogue !== undefined) writeRecipe(writer, pushed.catalogue);
  const entries = pushed.use.entries();
  writer.varint(entries.length);
  let previous = 0;
  for (const [pack, bytes] of entries) {
    writer.varint(pack - previous).varint(bytes);
    previous = pack;
  }
}

function readUse(reader: ByteReader): PackUsage {
  const use = new PackUsage();
  let pack = 0;
  for (let count = reader.varint(limits.packNumberMax); count > 0; count--) {
    pack += reader.varint(limits.packNumberMax);
    use.add(pack, reader.varint());
  }
  return use;
}

function readArchive(reader: ByteReader): [name: string, archive: KnownArchive] {
  const name = Buffer.from(reader.sizedBytes(limits.snapshotFileBytesMax)).toString('utf8');
  const spansId = new Uint8Array(reader.bytes(spanFileIdBytes));
  const chunks = reader.varint();
  const recipe = readRecipe(reader);
  const catalogue = reader.u8() === 0 ? undefined : readRecipe(reader);
  return [name, { spansId, pushed: { recipe, catalogue, chunks, use: readUse(reader) } }];
}

/** The archives of the newest snapshot, and those of the one that is being pushed. */
export class KnownArchives {
  readonly #path: string;
  readonly #keys: SpanKeys;
  readonly #before: ReadonlyMap<string, KnownArchive>;
  readonly #now = new Map<string, KnownArchive>();

  private constructor(path: string, keys: SpanKeys, before: ReadonlyMap<string, KnownArchive>) {
    this.#path = path;
    this.#keys = keys;
    this.#before = before;
  }

  /** @param snapshotSha256 of the newest snapshot: what is known of another one is worth nothing. */
  static async load(path: string, keys: SpanKeys, snapshotSha256: Uint8Array | undefined): Promise<KnownArchives> {
    const before = new Map<string, KnownArchive>();
    try {
      const file = await readWholeFile(nodeFileSystem, path, fileBytesMax);
      const head = headOf(keys);
      if (snapshotSha256 !== undefined && equalBytes(file.subarray(0, headBytes), head)) {
        const reader = new ByteReader(open(keys.spanMemory, head, file.subarray(headBytes), what), what);
        if (equalBytes(reader.bytes(32), snapshotSha256)) {
          const count = reader.varint();
          for (let index = 0; index < count; index++) before.set(...readArchive(reader));
          reader.end();
        }
      }
    } catch (error) {
      if (!isFallbackError(error)) throw error;
      before.clear();
    }
    return new KnownArchives(path, keys, before);
  }

  /** How the newest snapshot holds the bytes that this file of spans knows. */
  find(name: string, spansId: Uint8Array): PushedArchive | undefined {
    const known = this.#before.get(name);
    return known !== undefined && equalBytes(known.spansId, spansId) ? known.pushed : undefined;
  }

  /** Takes note of an archive of the snapshot that is being pushed. */
  note(name: string, spansId: Uint8Array, pushed: PushedArchive): void {
    this.#now.set(name, { spansId, pushed });
  }

  /** Leaves it to the next push, once the snapshot is published. A failure is no loss. */
  async save(snapshotSha256: Uint8Array, randomBytes: RandomBytes): Promise<void> {
    const writer = new ByteWriter(4096).bytes(snapshotSha256).varint(this.#now.size);
    for (const [name, archive] of this.#now) writeArchive(writer, name, archive);
    const head = headOf(this.#keys);
    const sealed = seal(this.#keys.spanMemory, head, writer.finish(), randomBytes);
    const partial = `${this.#path}.partial`;
    try {
      await writeFile(partial, Buffer.concat([head, sealed]), { mode: 0o600 });
      await rename(partial, this.#path);
    } catch {
      await unlink(partial).catch(() => undefined);
    }
  }
}
