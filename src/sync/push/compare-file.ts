// An archive that is byte for byte what the newest snapshot holds of it: told by the tags of its spans, in workers, as fast as a file
// can be read. Nothing of it is cut, hashed or described again.
import { spanTagBytes } from '../../crypto/span-tag.ts';
import type { CryptoRunner } from '../workers/worker-pool.ts';
import type { FileBytes } from './byte-source.ts';
import type { SpanFile } from './spans/span-file.ts';

export interface Comparing {
  readonly crypto: CryptoRunner;
  readonly signal: AbortSignal | undefined;
  readonly randomBytes: (count: number) => Uint8Array;
  /** So many bytes are one task: between two of them a push can be stopped, and its progress is told. */
  readonly taskBytes?: number;
  /** So many spans are tried before all are: what has changed is read twice only if it has changed in few places. */
  readonly samples?: number;
  /** Told of what was read, and taken back when the file turns out to be another. */
  onBytes(count: number): void;
}

/** `other`: told by its length or a few spans. `edited`: only while all of it was read. */
export type Comparison = 'same' | 'other' | 'edited';

/**
 * Compares a file with what these spans were taken of.
 * @throws the signal's reason, INTERNAL when a worker ended. A file that cannot be read is not what it was.
 */
export async function compareFile(
  { descriptor, sizeBytes }: FileBytes,
  spans: SpanFile,
  how: Comparing,
): Promise<Comparison> {
  const { lengths, tags } = spans;
  const { taskBytes = 32 * 1024 * 1024, samples = 16 } = how;
  const starts = new Float64Array(lengths.length);
  let end = 0;
  for (let span = 0; span < lengths.length; span++) {
    starts[span] = end;
    end += lengths[span] ?? 0;
  }
  if (end !== sizeBytes || lengths.length === 0) return 'other';
  const areSame = async (numbers: readonly number[]): Promise<boolean> => {
    how.signal?.throwIfAborted();
    return await how.crypto.run({
      kind: 'compare',
      descriptor,
      starts: Float64Array.from(numbers, (span) => starts[span] ?? 0),
      lengths: Uint32Array.from(numbers, (span) => lengths[span] ?? 0),
      tags: Buffer.concat(numbers.map((span) => tags.subarray(span * spanTagBytes, (span + 1) * spanTagBytes))),
    });
  };
  if (!(await areSame(chooseSamples(lengths.length, samples, how.randomBytes)))) return 'other';
  let readBytes = 0;
  for (let first = 0; first < lengths.length; ) {
    const numbers: number[] = [];
    let bytes = 0;
    for (; first < lengths.length && bytes < taskBytes; first++) {
      numbers.push(first);
      bytes += lengths[first] ?? 0;
    }
    if (!(await areSame(numbers))) {
      how.onBytes(-readBytes);
      return 'edited';
    }
    readBytes += bytes;
    how.onBytes(bytes);
  }
  return 'same';
}

/** The first and the last span, where archives say when they were made; others at random. */
function chooseSamples(count: number, samples: number, randomBytes: (count: number) => Uint8Array): number[] {
  const chosen = new Set([0, count - 1]);
  const random = Buffer.from(randomBytes(samples * 4));
  for (let at = 0; at < random.byteLength; at += 4) chosen.add(random.readUInt32BE(at) % count);
  return [...chosen];
}
