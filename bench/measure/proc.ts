// What the kernel tells of processes: CPU time and peak memory, from /proc.
import { readFileSync, writeFileSync } from 'node:fs';

/** Linux counts in hundredths of a second for every program, whatever the kernel's own tick. */
const tickMs = 10;

function statFields(id: number | 'self'): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${id}/stat`, 'latin1');
    // The name in parentheses may hold spaces.
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

const field = (fields: readonly string[], number: number): number => Number(fields[number - 3] ?? 0);

/** CPU time of this process's children that ended, with their own ended children, in ms. */
export function childrenCpuMs(): number {
  const fields = statFields('self') ?? [];
  return (field(fields, 16) + field(fields, 17)) * tickMs;
}

/** A process and its living descendants. */
export function processTree(id: number): number[] {
  const ids = [id];
  for (let at = 0; at < ids.length; at++) {
    const parent = ids[at];
    try {
      const text = readFileSync(`/proc/${parent}/task/${parent}/children`, 'latin1');
      for (const child of text.split(' ')) if (child !== '') ids.push(Number(child));
    } catch {
      // It ended meanwhile.
    }
  }
  return ids;
}

/** CPU time of a running process, its living descendants, and all that ended and were waited for, in ms. */
export function treeCpuMs(id: number): number {
  let ticks = 0;
  for (const one of processTree(id)) {
    const fields = statFields(one);
    if (fields === undefined) continue;
    for (const number of [14, 15, 16, 17]) ticks += field(fields, number);
  }
  return ticks * tickMs;
}

function peakOf(id: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${id}/status`, 'latin1'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** The peak resident memory (VmHWM) of a process and its living descendants together, in bytes. */
export function treePeakBytes(id: number): number {
  return processTree(id).reduce((sum, one) => sum + peakOf(one), 0);
}

/** Starts a running process's peak anew. */
export function resetPeak(id: number): void {
  for (const one of processTree(id)) {
    try {
      writeFileSync(`/proc/${one}/clear_refs`, '5');
    } catch {
      // Not ours to reset: its peak then includes what was before.
    }
  }
}
