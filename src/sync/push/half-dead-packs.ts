// Half-dead packs: of which the last snapshot uses little. What of them goes by tonight is sent again, so that no new snapshot
// needs them, and they die when retention drops the old ones. DESIGN.md 5: no repacking, nothing to download.
import type { IndexedPack } from '../index/load-index.ts';
import type { KeptUsage } from './pack-usage.ts';
import type { PackKind } from './pack-writer.ts';
import type { PushCounters } from './push-counters.ts';
import { noResentBudget, ResentAccount, type ResentBudget } from './resent-budget.ts';

/** A pack is half dead when the last snapshot uses less than this share of its contents. */
export const halfDeadShareMax = 1 / 3;
interface Candidate {
  readonly number: number;
  readonly usedShare: number;
  /** About what sending the used part again costs. */
  readonly costBytes: number;
}

/** Looks for half-dead packs while the index is built. */
export class HalfDeadSearch {
  readonly #kept: KeptUsage | undefined;
  readonly #candidates = new Map<number, Candidate>();

  /** @param kept what the push of the newest snapshot left; without it no pack is half dead. */
  constructor(kept: KeptUsage | undefined) {
    this.#kept = kept;
  }

  get #nightBytes(): number {
    const { averageEarnedBytes, freeBytes } = this.#kept?.budget ?? noResentBudget;
    return averageEarnedBytes + freeBytes;
  }

  see({ number, chunks, contentsBytes, fileBytes }: IndexedPack): void {
    const used = this.#kept?.usage.of(number) ?? 0;
    // A pack that the last snapshot did not use at all costs nothing while it stays so, and helps if it is needed again.
    if (used === 0) return;
    const usedShare = used / contentsBytes;
    // Chunks that one night cannot pay for would only stand in the way of others.
    if (usedShare >= halfDeadShareMax || fileBytes / chunks > this.#nightBytes) return;
    this.#candidates.set(number, { number, usedShare, costBytes: fileBytes * usedShare });
  }

  /** The emptiest ones, about as many as two nights can pay for: nothing is won by a pack before all of it is sent again. */
  choose(counters: PushCounters): HalfDeadPacks {
    const sorted = [...this.#candidates.values()].sort((a, b) => a.usedShare - b.usedShare || a.number - b.number);
    const chosen = new Set<number>();
    let costBytes = 0;
    for (const candidate of sorted) {
      if (costBytes > 2 * this.#nightBytes) break;
      chosen.add(candidate.number);
      costBytes += candidate.costBytes;
    }
    return new HalfDeadPacks(chosen, this.#kept?.budget ?? noResentBudget, counters);
  }
}

/** The half-dead packs of a push, and the account that pays for what is sent again of them. */
export class HalfDeadPacks {
  readonly account: ResentAccount;
  readonly #packs: ReadonlySet<number>;
  readonly #counters: PushCounters;

  constructor(packs: ReadonlySet<number>, budget: ResentBudget, counters: PushCounters) {
    this.account = new ResentAccount(budget);
    this.#packs = packs;
    this.#counters = counters;
  }

  /** Whether something is to be sent again of any of these packs. */
  hasAny(packs: Iterable<number>): boolean {
    if (this.#packs.size > 0) for (const pack of packs) if (this.#packs.has(pack)) return true;
    return false;
  }

  /** Whether a chunk that lies in this pack is to be sent again. */
  wants(pack: number, kind: PackKind, bytes: number): boolean {
    return this.#packs.size > 0 && this.#packs.has(pack) && this.account.canPay(kind, bytes);
  }

  /** A chunk was sent that the store did not have. */
  noteNew(kind: PackKind, bytes: number): void {
    this.account.earn(kind, bytes);
  }

  /** A chunk was sent again. */
  noteResent(kind: PackKind, bytes: number): void {
    this.account.spend(kind, bytes);
    this.#counters.resentBytes += bytes;
    this.#counters.resentChunks++;
  }
}
