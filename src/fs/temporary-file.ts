// Temporary files: their names say which process made them, so that leftovers of dead ones are known without guessing by age.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FileSystem } from './file-system.ts';
import { systemErrorCode } from './map-fs-error.ts';

const pattern = /^([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]+\.tmp$/;

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** When a process began, in clock ticks since boot: with its id and the boot's, it names a process for ever. */
function startTicks(processId: number): string | undefined {
  // proc(5): the command's name stands in brackets and may hold anything; field 22 is the 20th after it.
  const text = readText(`/proc/${processId}/stat`);
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

const bootOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);
const bootId = bootOf(readText('/proc/sys/kernel/random/boot_id'));
/** The boot of a process that may not see which one it is. */
const unknownBoot = bootOf('');
/** Whether others' processes can be seen: process 1 is always there, and hidden together with them. */
const seesOthers = startTicks(1) !== undefined;
const own = `${bootId}-${process.pid}-${startTicks(process.pid) ?? '0'}`;

/** A new temporary name: boot, process and `random` (hexadecimal). */
export function temporaryName(random: string): string {
  return `${own}-${random}.tmp`;
}

/**
 * Whether a file by this name may be removed: it is temporary, and the process that made it is known to be gone. Where /proc does not
 * show that, it stays: a leftover takes some room, a wrong guess takes what a living process writes.
 */
export function isLeftover(name: string): boolean {
  const match = pattern.exec(name);
  if (match === null) return false;
  const [, boot, processId, ticks] = match;
  if (boot === unknownBoot || bootId === unknownBoot) return false;
  if (boot !== bootId) return true;
  const now = startTicks(Number(processId));
  return now === undefined ? seesOthers : now !== ticks;
}

/** Removes what dead processes left in `folder`; returns how many files that were. */
export async function removeLeftovers(fs: FileSystem, folder: string): Promise<number> {
  let removed = 0;
  for (const { name } of await fs.list(folder)) {
    if (!isLeftover(name)) continue;
    try {
      await fs.unlink(join(folder, name));
      removed++;
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
  }
  return removed;
}
