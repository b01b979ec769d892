// The start of a pack's file: its header and its sealed directory.
import { decodePackHeader, packHeaderBytes } from '../../format/pack.ts';
import type { RepositoryReader } from '../../store/repository-store.ts';

/** Header and sealed directory of a pack that is there. @throws NOT_FOUND, DAMAGED, FORMAT_INVALID, network errors. */
export async function readPackPrefix(repository: RepositoryReader, number: number): Promise<Uint8Array> {
  const { directoryBytes } = decodePackHeader(await repository.pack(number, { start: 0, end: packHeaderBytes }));
  return await repository.pack(number, { start: 0, end: packHeaderBytes + directoryBytes });
}
