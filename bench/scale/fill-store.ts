// Gives a paired repository a long history without pushing it: the files and records that pushes would have left, each a real
// sealed object in its place. Only the waiting for the disk is left out. The server must not run meanwhile.
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import { sha256FromBytes } from '../../src/format/ids.ts';
import { decodePackHeader } from '../../src/format/pack.ts';
import { decodeSnapshotFile } from '../../src/format/snapshot.ts';
import type { MetadataWrite } from '../../src/store/metadata-store.ts';
import { packKey, snapshotKey } from '../../src/store/object-keys.ts';
import { openStore } from '../../src/store/open-store.ts';
import { packRecordOf, snapshotRecordOf } from '../../src/store/record-objects.ts';
import type { RepositoryContext } from '../../src/store/repository-context.ts';
import type { SnapshotPointer } from '../../src/store/repository-store.ts';
import { encodeTrailer, type ObjectKind, sha256Of } from '../../src/store/stored-object.ts';
import { SeededRandom } from '../nights/random.ts';
import { freshBytes } from './open-client.ts';
import { sealSmallPack, sealSmallSnapshot } from './seal-objects.ts';
import type { SyntheticHistory } from './synthetic-history.ts';

const packsPerChange = 50_000;
const dayMs = 24 * 3_600_000;

export interface Filling {
  readonly storeFolder: string;
  readonly keys: RepositoryKeys;
  readonly history: SyntheticHistory;
  readonly chunksPerPack: number;
  /** Told now and then. */
  readonly onPacks: (packs: number) => void;
}

class Filler {
  readonly #filling: Filling;
  readonly #context: RepositoryContext;
  readonly #folders = new Set<string>();
  readonly #nowMs = Date.now();

  constructor(filling: Filling, context: RepositoryContext) {
    this.#filling = filling;
    this.#context = context;
  }

  /** The last night was an hour ago, the one before a day earlier. */
  #receivedAtMs(night: number): number {
    return this.#nowMs - 3_600_000 - (this.#filling.history.nights - night) * dayMs;
  }

  #writeObject(key: string, kind: ObjectKind, parts: readonly Uint8Array[], receivedAtMs: number) {
    const path = join(this.#filling.storeFolder, key);
    const folder = dirname(path);
    if (!this.#folders.has(folder)) mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folders.add(folder);
    const trailer = { kind, receivedAtMs, sha256: sha256Of(...parts) };
    const file = openSync(path, 'wx', 0o600);
    writeSync(file, Buffer.concat([...parts, encodeTrailer(trailer)]));
    closeSync(file);
    return trailer;
  }

  async packs(change: MetadataWrite, from: number, to: number, random: SeededRandom): Promise<void> {
    const { keys, history, chunksPerPack } = this.#filling;
    const { id } = this.#context;
    for (let number = from; number <= to; number++) {
      const parts = sealSmallPack(keys, number, chunksPerPack, random);
      const receivedAtMs = this.#receivedAtMs(history.nightOf(number));
      const trailer = this.#writeObject(packKey(id, number, 0), 'pack', parts, receivedAtMs);
      const fileBytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
      const header = decodePackHeader(parts[0] ?? new Uint8Array(0));
      await change.putPack(id, packRecordOf(header, trailer, fileBytes));
    }
  }

  async snapshots(change: MetadataWrite): Promise<void> {
    const { keys, history } = this.#filling;
    const context = this.#context;
    let head: SnapshotPointer | undefined;
    for (const packs of history.needed()) {
      const receivedAtMs = this.#receivedAtMs((head?.number ?? 0) + 1);
      const sealed = sealSmallSnapshot(keys, head, packs, receivedAtMs);
      const key = snapshotKey(context.id, sealed.number);
      const trailer = this.#writeObject(key, 'snapshot', [sealed.file], receivedAtMs);
      const record = snapshotRecordOf(decodeSnapshotFile(sealed.file).head, trailer, sealed.file.byteLength);
      await change.putSnapshot(context.id, record);
      head = sealed;
    }
    if (head === undefined) return;
    const { number, sha256 } = head;
    const patch = { head: { number, sha256: sha256FromBytes(sha256) }, reservedPacks: history.packs };
    const document = await context.changeDocument(change, patch);
    await change.putRepository({ document, lastPack: history.packs, settledPack: history.packs });
  }
}

/** Fills the store's only repository, which must be empty. */
export async function fillStore(filling: Filling): Promise<void> {
  const environment = { nowMs: () => Date.now(), randomBytes: freshBytes };
  const store = await openStore({ folder: filling.storeFolder, environment });
  try {
    const { context } = await store.repository(filling.keys.repositoryId);
    const filler = new Filler(filling, context);
    const random = new SeededRandom('chunks');
    const { packs } = filling.history;
    for (let from = 1; from <= packs; from += packsPerChange) {
      const to = Math.min(packs, from + packsPerChange - 1);
      await context.write((change) => filler.packs(change, from, to, random));
      filling.onPacks(to);
    }
    await context.write((change) => filler.snapshots(change));
  } finally {
    await store.close();
  }
}
