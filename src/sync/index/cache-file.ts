// Files that a client keeps beside its index: what their heads have in common, and how one is read that may as well be missing.
import { ByteReader } from '../../bytes/byte-reader.ts';
import { ByteWriter } from '../../bytes/byte-writer.ts';
import { equalBytes } from '../../bytes/hex.ts';
import { isFallbackError } from '../../errors/fallback-error.ts';
import { idBytes, type RepositoryId } from '../../format/ids.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { readWholeFile } from '../../fs/read-file.ts';

export const cacheHeadBytes = 24;

/** Magic (4 ASCII characters) | u8 version | three zeros | repository id (16): 24 bytes. */
export const cacheHead = (magic: string, version: number, repository: RepositoryId): Uint8Array =>
  new ByteWriter(cacheHeadBytes).bytes(Buffer.from(magic)).u8(version).zeros(3).bytes(idBytes(repository)).finish();

/** Reads what follows the head, to its end; undefined when the file is missing, damaged, or another repository's. */
export async function readCacheFile<Contents>(
  path: string,
  head: Uint8Array,
  { bytesMax, what }: { readonly bytesMax: number; readonly what: string },
  read: (reader: ByteReader) => Contents,
): Promise<Contents | undefined> {
  try {
    const file = await readWholeFile(nodeFileSystem, path, bytesMax);
    if (!equalBytes(file.subarray(0, cacheHeadBytes), head)) return undefined;
    const reader = new ByteReader(file.subarray(cacheHeadBytes), what);
    const contents = read(reader);
    reader.end();
    return contents;
  } catch (error) {
    if (isFallbackError(error)) return undefined;
    throw error;
  }
}
