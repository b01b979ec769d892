// Proves that packs can be read: fetches them whole and opens every chunk; at 100 % also rebuilds the newest snapshot's archives.
import { createHash } from 'node:crypto';
import { equalBytes } from '../../bytes/hex.ts';
import type { PackRanges } from '../../format/pack-ranges.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import { loadRuns } from '../read/load-runs.ts';
import { PackReader } from '../read/pack-reader.ts';
import { RunTable } from '../read/run-table.ts';
import { SpanReader } from '../read/span-reader.ts';
import type { RepositorySession } from '../repository-session.ts';
import type { CheckCounters } from './check-report.ts';
import { attempt, type CheckedSnapshot } from './check-snapshots.ts';
import type { Findings } from './findings.ts';

/** Less than a restore has: the peak is 30 MB lower, for 3 % more packs fetched of a server with a week of nights. */
const memory = { cacheBytesMax: 48 * 1024 * 1024, packsAhead: 3 };

/** Archives that were rebuilt. */
export interface Rebuilt {
  readonly archives: number;
  readonly bytes: number;
}

/**
 * Rebuilds the archives of a snapshot without writing them, each against its SHA-256.
 * @throws network errors, the signal's reason.
 */
export async function rebuildArchives(
  packs: PackReader,
  snapshot: CheckedSnapshot,
  findings: Findings,
  counters: CheckCounters,
  signal: AbortSignal | undefined,
): Promise<Rebuilt> {
  const loaded: { archive: SnapshotArchive; runs: RunTable }[] = [];
  for (const { archive } of snapshot.archives) {
    await attempt(
      async () => loaded.push({ archive, runs: await loadRuns(packs, archive.recipe) }),
      (error) => findings.addError(error, { snapshot: snapshot.number, archive: archive.name }),
    );
  }
  // As one byte string: a pack that several archives need is fetched once.
  const reader = new SpanReader(packs, RunTable.join(loaded.map(({ runs }) => runs)), {
    isPassing: true,
    ...memory,
    signal,
  });
  const spans: number[] = [];
  let start = 0;
  for (const { runs } of loaded) {
    spans.push(reader.add(start, start + runs.lengthBytes));
    start += runs.lengthBytes;
  }
  let archives = 0;
  let bytes = 0;
  for (const [index, { archive }] of loaded.entries()) {
    const place = { snapshot: snapshot.number, archive: archive.name };
    await attempt(
      async () => {
        const hash = createHash('sha256');
        for await (const piece of reader.pieces(spans[index] ?? 0)) {
          hash.update(piece);
          counters.done = findings.packsRead.size;
        }
        if (!equalBytes(hash.digest(), archive.recipe.sha256)) {
          const message = `${archive.name} of snapshot ${snapshot.number} was rebuilt, but its SHA-256 is wrong.`;
          findings.add('DAMAGED', message, place);
          return;
        }
        archives++;
        bytes += archive.recipe.lengthBytes;
      },
      (error) => findings.addError(error, place),
    );
  }
  return { archives, bytes };
}

/** Chooses `percent` of the packs at random, at least one; ascending. */
export function samplePacks(
  packs: PackRanges,
  percent: number,
  randomBytes: (count: number) => Uint8Array,
): Float64Array {
  const numbers = Float64Array.from(packs.numbers());
  if (percent >= 100) return numbers;
  const count = Math.min(numbers.length, Math.max(1, Math.round((numbers.length * percent) / 100)));
  for (let index = 0; index < count; index++) {
    const random = Buffer.from(randomBytes(6)).readUIntBE(0, 6) % (numbers.length - index);
    const chosen = numbers[index + random] ?? 0;
    numbers[index + random] = numbers[index] ?? 0;
    numbers[index] = chosen;
  }
  return numbers.slice(0, count).sort();
}

/** Fetches and opens packs, several at a time. @throws network errors, the signal's reason. */
export async function readPacks(
  session: RepositorySession,
  numbers: Float64Array,
  findings: Findings,
  counters: CheckCounters,
  signal: AbortSignal | undefined,
): Promise<void> {
  const packs = new PackReader(session, 0, findings);
  let next = 0;
  let isStopped = false;
  const lane = async (): Promise<void> => {
    while (next < numbers.length && !isStopped) {
      signal?.throwIfAborted();
      const number = numbers[next++] ?? 0;
      if (!findings.packsRead.has(number) && !findings.isPackDamaged(number)) {
        await attempt(
          async () => (await packs.fetch(number)).free(),
          () => undefined,
        );
      }
      counters.done = next;
    }
  };
  const lanes = Array.from({ length: session.environment.threads + 2 }, () =>
    lane().catch((error: unknown) => {
      isStopped = true;
      throw error;
    }),
  );
  const results = await Promise.allSettled(lanes);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
