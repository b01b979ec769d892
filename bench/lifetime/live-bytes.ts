// What of a store is needed: which chunks each snapshot names, pack by pack. For the bench, which has the key.
import { openPackDirectory } from '../../src/crypto/sealed-pack.ts';
import { chunkIdBytes, decodePackHeader, packHeaderBytes } from '../../src/format/pack.ts';
import type { Recipe } from '../../src/format/recipe.ts';
import { loadRuns } from '../../src/sync/read/load-runs.ts';
import { PackReader } from '../../src/sync/read/pack-reader.ts';
import type { RepositorySession } from '../../src/sync/repository-session.ts';
import { openListedSnapshot } from '../../src/sync/snapshots.ts';

interface KnownPack {
  readonly fileBytes: number;
  /** Each chunk by its number among all distinct chunks, and its share of the file, in bytes. */
  readonly chunks: Uint32Array;
  readonly costs: Float64Array;
}

/** Of each pack the positions that are named. */
type Uses = ReadonlyMap<number, Uint8Array>;

/** Bytes of packs, as stored. */
export interface LiveBytes {
  /** Everything that the store holds of the repository: packs and snapshots. */
  readonly storedBytes: number;
  /** What the snapshots in it need: each distinct chunk once, at its share of the pack it lies in. */
  readonly liveBytes: number;
  /** Packs that the newest snapshot names: what a restore reads. */
  readonly namedBytes: number;
  readonly namedPacks: number;
  /** The share of them that it needs. */
  readonly usedBytes: number;
}

/** Watches one repository. */
export class LiveBytesCounter {
  readonly #session: RepositorySession;
  readonly #packs = new Map<number, KnownPack>();
  readonly #numbers = new Map<string, number>();
  readonly #snapshots = new Map<number, Uses>();
  #lastPack = 0;

  constructor(session: RepositorySession) {
    this.#session = session;
  }

  /** Learns the packs and the snapshot that a push has added, and what retention has taken away. */
  async learn(): Promise<void> {
    const { repository } = this.#session;
    for await (const record of repository.directories(this.#lastPack + 1)) this.#learnPack(record);
    const present = new Set<number>();
    for (const summary of await repository.snapshots()) {
      present.add(summary.number);
      if (this.#snapshots.has(summary.number)) continue;
      const { record } = await openListedSnapshot(this.#session, summary);
      const uses = new Map<number, Uint8Array>();
      const reader = new PackReader(this.#session);
      for (const { recipe, catalogue } of record.archives) {
        await this.#note(reader, recipe, uses);
        if (catalogue !== undefined) await this.#note(reader, catalogue, uses);
      }
      this.#snapshots.set(summary.number, uses);
    }
    for (const number of this.#snapshots.keys()) if (!present.has(number)) this.#snapshots.delete(number);
  }

  #learnPack(record: Uint8Array): void {
    const { number, directoryBytes, bodyBytes } = decodePackHeader(record);
    const { lengths, ids } = openPackDirectory(this.#session.keys, record, number).directory;
    const contentsBytes = lengths.reduce((sum, length) => sum + length, 0);
    const fileBytes = packHeaderBytes + directoryBytes + bodyBytes;
    const chunks = lengths.map((_, position) => {
      const id = Buffer.from(ids.subarray(position * chunkIdBytes, (position + 1) * chunkIdBytes)).toString('base64');
      const known = this.#numbers.get(id) ?? this.#numbers.size;
      this.#numbers.set(id, known);
      return known;
    });
    const costs = Float64Array.from(lengths, (length) => (fileBytes * length) / contentsBytes);
    this.#packs.set(number, { fileBytes, chunks, costs });
    this.#lastPack = number;
  }

  async #note(reader: PackReader, recipe: Recipe, uses: Map<number, Uint8Array>): Promise<void> {
    const mark = (pack: number, first: number, count: number): void => {
      const used = uses.get(pack) ?? new Uint8Array(this.#packs.get(pack)?.chunks.length ?? 0);
      uses.set(pack, used.fill(1, first, first + count));
    };
    for (const run of recipe.runs) mark(run.pack, run.first, run.count);
    if (!recipe.nested) return;
    const runs = await loadRuns(reader, recipe);
    for (let run = 0; run < runs.length; run++) mark(runs.packAt(run), runs.firstAt(run), runs.countAt(run));
  }

  /** Bytes of all positions that `uses` names and that `passes` lets through. */
  #bytesOf(uses: Uses, passes: (chunk: number) => boolean): number {
    let bytes = 0;
    for (const [pack, used] of uses) {
      const known = this.#packs.get(pack);
      for (let position = 0; position < used.length; position++) {
        if (used[position] === 1 && passes(known?.chunks[position] ?? 0)) bytes += known?.costs[position] ?? 0;
      }
    }
    return bytes;
  }

  /** How much of the store is needed now. */
  async count(): Promise<LiveBytes> {
    const { storedBytes } = await this.#session.repository.status();
    const seen = new Uint8Array(this.#numbers.size);
    const isNew = (chunk: number): boolean => {
      if (seen[chunk] === 1) return false;
      seen[chunk] = 1;
      return true;
    };
    let liveBytes = 0;
    for (const uses of this.#snapshots.values()) liveBytes += this.#bytesOf(uses, isNew);
    const newest: Uses = this.#snapshots.get(Math.max(...this.#snapshots.keys())) ?? new Map();
    let namedBytes = 0;
    for (const pack of newest.keys()) namedBytes += this.#packs.get(pack)?.fileBytes ?? 0;
    const usedBytes = this.#bytesOf(newest, () => true);
    return { storedBytes, liveBytes, namedBytes, namedPacks: newest.size, usedBytes };
  }
}
