// What the directories say of every needed pack: 4 bytes a chunk, so that ten million chunks take 40 MB.
import { openPackDirectory } from '../../crypto/sealed-pack.ts';
import type { FallbackError } from '../../errors/fallback-error.ts';
import { decodePackHeader, type PackDirectory } from '../../format/pack.ts';
import type { PackRanges } from '../../format/pack-ranges.ts';
import type { RepositoryStatus } from '../../store/repository-store.ts';
import { readPackPrefix } from '../read/pack-prefix.ts';
import type { RunTable } from '../read/run-table.ts';
import type { RepositorySession } from '../repository-session.ts';
import type { CheckCounters } from './check-report.ts';
import { attempt } from './check-snapshots.ts';
import type { Findings } from './findings.ts';

interface PackFacts {
  /** Where each chunk begins, as if there were no holes, and one more entry: their end. */
  readonly starts: Uint32Array;
  /** Ascending. */
  readonly holes: readonly number[];
}

/** The directories of packs. */
export class PackFactsTable {
  readonly #facts = new Map<number, PackFacts>();
  /** All packs whose directories came, needed or not. */
  readonly listed: number[] = [];

  get size(): number {
    return this.#facts.size;
  }

  has(pack: number): boolean {
    return this.#facts.has(pack);
  }

  add(pack: number, { lengths, holes }: PackDirectory): void {
    const starts = new Uint32Array(lengths.length + 1);
    let at = 0;
    for (let position = 0; position < lengths.length; position++) {
      at += lengths[position] ?? 0;
      starts[position + 1] = at;
    }
    this.#facts.set(pack, { starts, holes });
  }

  /** Why a run cannot be read, as far as directories tell; undefined when it can. */
  faultOf(runs: RunTable, run: number): string | undefined {
    const pack = runs.packAt(run);
    const facts = this.#facts.get(pack);
    if (facts === undefined) return `Pack ${pack} is not there.`;
    const first = runs.firstAt(run);
    const end = first + runs.countAt(run);
    if (end >= facts.starts.length) return `Pack ${pack} has no chunk ${end - 1}.`;
    if (facts.holes.some((hole) => hole >= first && hole < end)) {
      return `Pack ${pack} was healed in part: it still lacks chunks that are needed.`;
    }
    const bytes = (facts.starts[end] ?? 0) - (facts.starts[first] ?? 0);
    return bytes === runs.bytesAt(run) ? undefined : `Pack ${pack} does not hold what a recipe says.`;
  }
}

/**
 * Opens the directories of all needed packs, streamed once. One that is not in the stream is asked for by itself: absence
 * in a listing proves nothing.
 * @throws network errors.
 */
export async function readPackFacts(
  session: RepositorySession,
  status: RepositoryStatus,
  needed: PackRanges,
  findings: Findings,
  counters: CheckCounters,
): Promise<PackFactsTable> {
  const { repository, keys } = session;
  const table = new PackFactsTable();
  Object.assign(counters, { step: 'directories', done: 0, total: needed.size });
  const take = (record: Uint8Array): void => {
    const { number } = decodePackHeader(record);
    const { directory } = openPackDirectory(keys, record, number);
    // Only what the key has sealed counts, and the listing ascends: a store cannot make it endless.
    table.listed.push(number);
    if (!needed.has(number) || table.has(number)) return;
    table.add(number, directory);
    counters.done++;
  };
  const ignore = (): void => undefined;
  // A damaged record is met again below, where its pack is known.
  await attempt(async () => {
    for await (const record of repository.directories(needed.ranges[0]?.first ?? 1))
      await attempt(async () => take(record), ignore);
  }, ignore);
  for (const number of needed.numbers()) {
    if (table.has(number)) continue;
    const note = (error: FallbackError): void => findings.onDamage(number, error);
    if (status.lost.has(number)) findings.addPack(number, 'DAMAGED', `Pack ${number} is lost.`, false);
    else await attempt(async () => table.add(number, await readDirectory(session, number)), note);
    counters.done++;
  }
  return table;
}

async function readDirectory({ repository, keys }: RepositorySession, number: number): Promise<PackDirectory> {
  return openPackDirectory(keys, await readPackPrefix(repository, number), number).directory;
}
