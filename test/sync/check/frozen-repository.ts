// A repository whose server has not noticed yet that its files were damaged: its records say what they said before.
import { decodePackHeader, packHeaderBytes } from '../../../src/format/pack.ts';
import type { ByteSpan, RepositoryReader } from '../../../src/store/repository-store.ts';
import type { MemoryRepository } from '../../support/memory-repository.ts';

/** Files come from `repository` as they are now; status and lists as they were when this was called. */
export async function freeze(repository: MemoryRepository): Promise<RepositoryReader> {
  const status = await repository.status();
  const summaries = await repository.snapshots();
  const directoryEnds = new Map(
    [...repository.packs].map(([number, file]) => [number, packHeaderBytes + decodePackHeader(file).directoryBytes]),
  );
  return {
    repositoryId: repository.repositoryId,
    status: async () => status,
    configuration: async () => repository.configurationFile,
    keyDocumentNumbers: () => repository.keyDocumentNumbers(),
    keyDocument: (number) => repository.keyDocument(number),
    snapshots: async () => summaries,
    snapshot: async (number) => {
      const file = repository.files[summaries.findIndex((summary) => summary.number === number)];
      if (file === undefined) throw new Error('no such snapshot');
      return file;
    },
    pack: (number: number, span?: ByteSpan) => repository.pack(number, span),
    packFile: async () => undefined,
    async *directories(fromPack: number) {
      for (const [number, end] of directoryEnds) {
        const file = repository.packs.get(number);
        if (number >= fromPack && file !== undefined) yield file.subarray(0, end);
      }
    },
    lostDirectory: async () => undefined,
    close: async () => undefined,
  };
}
