// What worker threads do with bytes: ids, archive digests, seals; opening packs and placing what is in them. Also callable in
// place, for small runs.
import { createHash, createSecretKey, type Hash, randomFillSync } from 'node:crypto';
import { chunkHasher } from '../../crypto/chunk-id.ts';
import type { RepositoryKeys } from '../../crypto/key-hierarchy.ts';
import { openPack, sealPack, verifySealedPack } from '../../crypto/sealed-pack.ts';
import { parsePackNumber, type RepositoryId } from '../../format/ids.ts';
import { type OpenedPackContents, ReadPack } from '../read/read-pack.ts';
import { type CompareTask, SpanComparer } from './compare-spans.ts';
import { FileDigests, type FileDigestTask } from './file-digests.ts';
import { type PackSource, PackSourceReader } from './pack-source.ts';
import { type PlaceDamage, type PlaceTask, placeRuns } from './place-pack.ts';

/** Keys as a worker gets them: raw bytes. */
export interface WorkerKeys {
  readonly repositoryId: RepositoryId;
  readonly pack: Uint8Array;
  readonly chunkId: Uint8Array;
  readonly spanTag: Uint8Array;
}

/** A repository's keys for workers. */
export const workerKeys = ({ repositoryId, pack, chunkId, spanTag }: RepositoryKeys): WorkerKeys => ({
  repositoryId,
  pack,
  chunkId: new Uint8Array(chunkId.export()),
  spanTag: new Uint8Array(spanTag.export()),
});

/** Ids of the chunks of one window, written to `ids` (32 bytes each). */
export interface IdsTask {
  readonly kind: 'ids';
  readonly window: Uint8Array;
  /** Ends of the chunks, relative to the window. */
  readonly ends: Uint32Array;
  /** 1 for each chunk whose id stands there already. */
  readonly known: Uint8Array | undefined;
  readonly ids: Uint8Array;
}

/** Goes on with an archive's SHA-256. The tasks of one archive go to one worker, in order. */
export interface DigestTask {
  readonly kind: 'digest';
  readonly archive: number;
  readonly bytes: Uint8Array;
  readonly isEnd: boolean;
}

/** Compresses, seals and verifies a pack. */
export interface SealTask {
  readonly kind: 'seal';
  readonly number: number;
  readonly revision: number;
  readonly contents: Uint8Array;
  readonly lengths: Uint32Array;
  readonly ids: Uint8Array;
  readonly holes: readonly number[];
  readonly level: number;
}

export interface SealedPackFile {
  /** Together the file; the first is the header and the sealed directory. */
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
  readonly sha256: Uint8Array;
}

/** Opens and verifies a pack. */
export interface OpenTask {
  readonly kind: 'open';
  readonly number: number;
  readonly source: PackSource;
  /** Whether every chunk is checked against its id; not needed where a whole archive's SHA-256 is. */
  readonly checkIds: boolean;
}

export type CryptoTask = IdsTask | DigestTask | SealTask | OpenTask | PlaceTask | FileDigestTask | CompareTask;
export type CryptoResult<Task extends CryptoTask> = Task extends IdsTask
  ? undefined
  : Task extends DigestTask | FileDigestTask
    ? Uint8Array | undefined
    : Task extends SealTask
      ? SealedPackFile
      : Task extends PlaceTask
        ? PlaceDamage[]
        : Task extends CompareTask
          ? boolean
          : OpenedPackContents;

/** Runs tasks with one repository's keys. */
export class CryptoTasks {
  readonly #keys: Pick<RepositoryKeys, 'repositoryId' | 'pack' | 'chunkId'>;
  readonly #digests = new Map<number, Hash>();
  readonly #sources = new PackSourceReader();
  readonly #fileDigests = new FileDigests();
  readonly #comparer: SpanComparer;

  constructor(keys: WorkerKeys) {
    this.#keys = { repositoryId: keys.repositoryId, pack: keys.pack, chunkId: createSecretKey(keys.chunkId) };
    this.#comparer = new SpanComparer({ spanTag: createSecretKey(keys.spanTag) });
  }

  run<Task extends CryptoTask>(task: Task): CryptoResult<Task>;
  run(task: CryptoTask): CryptoResult<CryptoTask> {
    switch (task.kind) {
      case 'ids':
        return this.#ids(task);
      case 'digest':
        return this.#digest(task);
      case 'seal':
        return this.#seal(task);
      case 'open':
        return this.#open(task.number, task.source, task.checkIds);
      case 'place':
        return this.#place(task);
      case 'file-digest':
        return this.#fileDigests.run(task);
      case 'compare':
        return this.#comparer.run(task);
    }
  }

  #ids(task: IdsTask): undefined {
    chunkHasher(this.#keys.chunkId).write(task.window, task.ends, task.ids, task.known);
  }

  #digest(task: DigestTask): Uint8Array | undefined {
    const hash = this.#digests.get(task.archive) ?? createHash('sha256');
    this.#digests.set(task.archive, hash);
    hash.update(task.bytes);
    if (!task.isEnd) return undefined;
    this.#digests.delete(task.archive);
    return new Uint8Array(hash.digest());
  }

  #seal(task: SealTask): SealedPackFile {
    const pack = { ...task, number: parsePackNumber(task.number) };
    const parts = sealPack(this.#keys, pack, (count) => randomFillSync(new Uint8Array(count)));
    verifySealedPack(this.#keys, parts, pack);
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
    return { parts, bytes, sha256: new Uint8Array(hash.digest()) };
  }

  #open(number: number, source: PackSource, checkIds: boolean): OpenedPackContents {
    return this.#sources.use(number, source, (file) => {
      const { contents, directory } = openPack(this.#keys, file, number, checkIds);
      return { contents, lengths: new Uint32Array(directory.lengths), holes: directory.holes };
    });
  }

  #place({ number, source, targets }: PlaceTask): PlaceDamage[] {
    const pack = new ReadPack(number, this.#open(number, source, false));
    try {
      return placeRuns(pack, targets);
    } finally {
      pack.free();
    }
  }
}
