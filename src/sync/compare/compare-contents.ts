// Whether two byte ranges are equal, told from where their chunks lie: what lies at the same place of the same pack is the same.
// Only what lies elsewhere is fetched and compared.
import type { ArchiveReader } from '../read/archive-reader.ts';
import type { PackAddresses } from './pack-addresses.ts';

const fetchedBytesMax = 4 * 1024 * 1024;

/** A byte of an archive. */
interface Position {
  readonly reader: ArchiveReader;
  readonly byte: number;
}

/** How many bytes from two positions on lie in the same place of the same pack, or 0; and how far to look when they do not. */
async function sharedBytes(
  a: Position,
  b: Position,
  addresses: PackAddresses,
): Promise<{ same: boolean; bytes: number }> {
  const [runA, runB] = [a.reader.runs.find(a.byte), b.reader.runs.find(b.byte)];
  const [tableA, tableB] = [a.reader.runs, b.reader.runs];
  const bytes = Math.min(tableA.endAt(runA) - a.byte, tableB.endAt(runB) - b.byte);
  const pack = tableA.packAt(runA);
  if (pack !== tableB.packAt(runB)) return { same: false, bytes };
  const [skippedA, skippedB] = [a.byte - tableA.startAt(runA), b.byte - tableB.startAt(runB)];
  const [firstA, firstB] = [tableA.firstAt(runA), tableB.firstAt(runB)];
  if (firstA === firstB) return { same: skippedA === skippedB, bytes };
  // A change before this place moved the start of the run: the directory tells whether both mean the same bytes.
  const addressA = (await addresses.addressOf(pack, firstA)) + skippedA;
  const addressB = (await addresses.addressOf(pack, firstB)) + skippedB;
  return { same: addressA === addressB, bytes };
}

async function equalFetched(a: Position, b: Position, length: number): Promise<boolean> {
  for (let at = 0; at < length; at += fetchedBytesMax) {
    const size = Math.min(fetchedBytesMax, length - at);
    const bytesA = await a.reader.read(a.byte + at, a.byte + at + size);
    const bytesB = await b.reader.read(b.byte + at, b.byte + at + size);
    if (Buffer.compare(bytesA, bytesB) !== 0) return false;
  }
  return true;
}

/**
 * Whether `length` bytes from two positions on are equal. Exact: what cannot be told from places is fetched.
 * @throws DAMAGED, SEAL_BROKEN, FORMAT_INVALID, NOT_FOUND (a pack), network errors.
 */
export async function equalContents(
  a: Position,
  b: Position,
  length: number,
  addresses: PackAddresses,
): Promise<boolean> {
  // The last member of a tar that was cut off has fewer bytes than its headers say.
  const there = Math.min(length, a.reader.lengthBytes - a.byte);
  if (there !== Math.min(length, b.reader.lengthBytes - b.byte)) return false;
  for (let at = 0; at < there; ) {
    const [hereA, hereB] = [
      { reader: a.reader, byte: a.byte + at },
      { reader: b.reader, byte: b.byte + at },
    ];
    const shared = await sharedBytes(hereA, hereB, addresses);
    const bytes = Math.min(shared.bytes, there - at);
    if (!shared.same && !(await equalFetched(hereA, hereB, bytes))) return false;
    at += bytes;
  }
  return true;
}
