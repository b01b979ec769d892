// An archive that is implausibly smaller than the last one is pushed, flagged and told: an emptied data folder, a dump cut
// short, a disk that was not mounted. It is measured against the last archive that was not flagged, for a week; after that
// the smaller size counts as the app's own.
import type { SnapshotArchive } from '../../format/snapshot.ts';

const differenceBytesMin = 1024 * 1024;
const nightsMax = 7;

/** Kept in an archive's attributes while it is flagged. */
export interface SizeReference {
  readonly referenceBytes: number;
  /** How many nights in a row it was flagged, this one counted. */
  readonly nights: number;
}

/** What the next one is measured against, and for how many nights it was flagged already. */
function referenceOf(previous: SnapshotArchive): SizeReference {
  const kept = Number(previous.attributes['referenceBytes']);
  const nights = Number(previous.attributes['suspiciousNights']);
  if (kept > 0 && nights > 0 && nights < nightsMax) return { referenceBytes: kept, nights };
  return { referenceBytes: previous.recipe.lengthBytes, nights: 0 };
}

/**
 * @param percent smaller than this share of the last one is suspicious; 0 never.
 * @returns what it was measured against when it is suspicious, else undefined.
 */
export function judgeSize(
  lengthBytes: number,
  previous: SnapshotArchive | undefined,
  percent: number,
): SizeReference | undefined {
  if (previous === undefined || percent === 0) return undefined;
  const { referenceBytes, nights } = referenceOf(previous);
  const isSmall = lengthBytes * 100 < referenceBytes * percent && referenceBytes - lengthBytes >= differenceBytesMin;
  return isSmall ? { referenceBytes, nights: nights + 1 } : undefined;
}
