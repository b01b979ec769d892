// Looks whether there is room before anything is fetched.
import { FallbackError } from '../../errors/fallback-error.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import type { RunTable } from '../read/run-table.ts';

/** Decimal, as the command shows all sizes. */
function inUnits(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

/** Refuses what does not fit on the disk of `folder`. @throws DISK_FULL (details: neededBytes, freeBytes). */
export async function checkFreeSpace(folder: string, neededBytes: number): Promise<void> {
  const freeBytes = await nodeFileSystem.freeBytes(folder);
  if (neededBytes <= freeBytes) return;
  throw new FallbackError(
    'DISK_FULL',
    `${folder} has ${inUnits(freeBytes)} free, and ${inUnits(neededBytes)} are needed. Nothing was fetched.`,
    { hint: 'Free some space or choose another folder, then run it again.', details: { neededBytes, freeBytes } },
  );
}

/** About how many bytes of disk an archive takes: runs that repeat the one before are zero regions, which are left sparse. */
export function denseBytes(runs: RunTable): number {
  let repeated = 0;
  for (let run = 1; run < runs.length; run++) {
    const isSame =
      runs.packAt(run) === runs.packAt(run - 1) &&
      runs.firstAt(run) === runs.firstAt(run - 1) &&
      runs.countAt(run) === runs.countAt(run - 1);
    if (isSame) repeated += runs.bytesAt(run);
  }
  return runs.lengthBytes - repeated;
}
