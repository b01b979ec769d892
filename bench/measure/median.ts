// Medians: one slow run on a busy machine must not decide.

/** The middle value; of two middle ones, their mean. NaN when there is none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

/** Runs `work` on `bytes` again and again for at least `timeMs`. @returns the median speed in MB/s. */
export function throughput(bytes: number, timeMs: number, work: () => void): number {
  work();
  const speeds: number[] = [];
  const end = performance.now() + timeMs;
  while (speeds.length < 3 || performance.now() < end) {
    const start = performance.now();
    work();
    speeds.push(bytes / 1000 / (performance.now() - start));
  }
  return median(speeds);
}
