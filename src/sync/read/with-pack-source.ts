// Hands a pack to a worker in the cheapest way that its store has: as an open file, or else as bytes.
import type { RepositoryReader } from '../../store/repository-store.ts';
import type { PackSource } from '../workers/pack-source.ts';

/**
 * Runs `work` on a pack, whose file stays open meanwhile; bytes are given away with it.
 * @throws NOT_FOUND, DAMAGED, IO, network errors, and what `work` throws.
 */
export async function withPackSource<Result>(
  repository: RepositoryReader,
  number: number,
  work: (source: PackSource) => Promise<Result>,
): Promise<Result> {
  const file = await repository.packFile(number);
  if (file === undefined) return await work(await repository.pack(number));
  try {
    const { descriptor, sizeBytes } = file;
    return await work({ descriptor, sizeBytes });
  } finally {
    await file.close();
  }
}
