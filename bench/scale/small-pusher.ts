// The least push there is, by the protocol alone: what it costs is the server's and the network's.
import { leaseIdFromBytes, parseEpoch } from '../../src/format/ids.ts';
import { PackRanges } from '../../src/format/pack-ranges.ts';
import { decodeSnapshotFile } from '../../src/format/snapshot.ts';
import { sha256Of } from '../../src/store/stored-object.ts';
import type { SeededRandom } from '../nights/random.ts';
import { type BenchClient, freshBytes } from './open-client.ts';
import { sealSmallPack, sealSmallSnapshot } from './seal-objects.ts';

export interface SmallPushTimes {
  /** Of the one request. */
  readonly commitMs: number;
  /** From the lease until it is given back, without what the client computes. */
  readonly wholeMs: number;
}

/** Pushes one new pack, and a snapshot that needs it and all that the newest snapshot needs. */
export class SmallPusher {
  readonly #client: BenchClient;
  readonly #random: SeededRandom;
  #packs: PackRanges | undefined;

  constructor(client: BenchClient, random: SeededRandom) {
    this.#client = client;
    this.#random = random;
  }

  async #newest(): Promise<PackRanges> {
    const { repository } = this.#client;
    const { head } = await repository.status();
    if (head === undefined) return PackRanges.empty;
    return decodeSnapshotFile(await repository.snapshot(head.number)).head.packs;
  }

  async push(): Promise<SmallPushTimes> {
    const { repository, keys } = this.#client;
    this.#packs ??= await this.#newest();
    const leaseId = leaseIdFromBytes(freshBytes(16));
    let wholeMs = 0;
    let lastMs = 0;
    const timed = async <Result>(work: () => Promise<Result>): Promise<Result> => {
      const start = performance.now();
      const result = await work();
      lastMs = performance.now() - start;
      wholeMs += lastMs;
      return result;
    };
    const lease = await timed(() => repository.acquireLease({ leaseId, epoch: parseEpoch(1), holder: 'bench' }));
    const parts = sealSmallPack(keys, lease.firstPack, 1, this.#random);
    await timed(() => repository.putPack(leaseId, lease.firstPack, parts, sha256Of(...parts)));
    const packs = this.#packs.union(PackRanges.fromNumbers([lease.firstPack]));
    const { file } = sealSmallSnapshot(keys, lease.status.head, packs, Date.now());
    await timed(() => repository.commitSnapshot(leaseId, file));
    const commitMs = lastMs;
    await timed(() => repository.releaseLease(leaseId));
    this.#packs = packs;
    return { commitMs, wholeMs };
  }
}
