// An archive that is byte for byte what the newest snapshot holds of it: told by the tags of its spans, in workers, as fast as a file
// can be read. Nothing of it is cut, hashed or described again.
import { spanTagBytes } from '../../crypto/span-tag.ts';
import type { CryptoRunner } from '../workers/worker-pool.ts';
import type { FileBytes } from './byte-source.ts';
import type { SpanFile } from './spans/span-file.ts';

/** So many bytes are one task: between two of them a push can be stopped, and its progress is told. */
const taskBytes = 32 * 1024 * 1024;
/** So many spans are tried before all are: an archive that has changed in a few places is read twice as seldom as can be. */
const samples = 16;

export interface Recognising {
  readonly crypto: CryptoRunner;
  readonly signal: AbortSignal | undefined;
  readonly randomBytes: (count: number) => Uint8Array;
  /** Told of what was read, and taken back when the file turns out to be another. */
  onBytes(count: number): void;
}

/**
 * Whether all of a file is what these spans were taken of.
 * @throws the signal's reason, INTERNAL when a worker ended. A file that cannot be read is not what it was.
 */
export async function isSameFile(
  { descriptor, sizeBytes }: FileBytes,
  spans: SpanFile,
  how: Recognising,
): Promise<boolean> {
  const { lengths, tags } = spans;
  const starts = new Float64Array(lengths.length);
  let end = 0;
  for (let span = 0; span < lengths.length; span++) {
    starts[span] = end;
    end += lengths[span] ?? 0;
  }
  if (end !== sizeBytes || lengths.length === 0) return false;
  const areSame = async (numbers: readonly number[]): Promise<boolean> => {
    how.signal?.throwIfAborted();
    return await how.crypto.run({
      kind: 'recognise',
      descriptor,
      starts: Float64Array.from(numbers, (span) => starts[span] ?? 0),
      lengths: Uint32Array.from(numbers, (span) => lengths[span] ?? 0),
      tags: Buffer.concat(numbers.map((span) => tags.subarray(span * spanTagBytes, (span + 1) * spanTagBytes))),
    });
  };
  if (!(await areSame(chooseSamples(lengths.length, how.randomBytes)))) return false;
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
      return false;
    }
    readBytes += bytes;
    how.onBytes(bytes);
  }
  return true;
}

/** The first and the last span, where archives say when they were made; others at random. */
function chooseSamples(count: number, randomBytes: (count: number) => Uint8Array): number[] {
  const chosen = new Set([0, count - 1]);
  const random = Buffer.from(randomBytes(samples * 4));
  for (let at = 0; at < random.byteLength; at += 4) chosen.add(random.readUInt32BE(at) % count);
  return [...chosen];
}
