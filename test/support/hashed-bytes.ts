// What workers are asked to hash.
import type { IdsTask } from '../../src/sync/workers/crypto-tasks.ts';

/** Contents of the chunks of a task whose ids are not known already, in bytes. */
export function hashedBytes({ ends, known }: IdsTask): number {
  let bytes = 0;
  for (const [index, end] of ends.entries()) if (known?.[index] !== 1) bytes += end - (ends[index - 1] ?? 0);
  return bytes;
}
