// Packs that a check on this machine could not open, though the store gives them as whole: kept beside the index, so that no push
// builds on them. Their chunks are sent again; once the store knows that it has lost such a pack, it is healed.
import { rename, unlink, writeFile } from 'node:fs/promises';
import { ByteReader } from '../../bytes/byte-reader.ts';
import { ByteWriter } from '../../bytes/byte-writer.ts';
import { equalBytes } from '../../bytes/hex.ts';
import { isFallbackError } from '../../errors/fallback-error.ts';
import { idBytes, type RepositoryId } from '../../format/ids.ts';
import { PackRanges, readPackRanges, writePackRanges } from '../../format/pack-ranges.ts';
import { mapFsError } from '../../fs/map-fs-error.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { readWholeFile } from '../../fs/read-file.ts';

const fileBytesMax = 16 * 1024 * 1024;
const headBytes = 24;

const pathOf = (indexPath: string): string => `${indexPath}.damaged`;

/** The file: "FBDP", version 1, three zeros, repository id (16), pack ranges. */
const headOf = (repository: RepositoryId): Uint8Array =>
  new ByteWriter(headBytes).bytes(Buffer.from('FBDP')).u8(1).zeros(3).bytes(idBytes(repository)).finish();

/** The packs that checks found damaged; none when that is not known. */
export async function readDamagedPacks(indexPath: string, repository: RepositoryId): Promise<PackRanges> {
  try {
    const file = await readWholeFile(nodeFileSystem, pathOf(indexPath), fileBytesMax);
    if (!equalBytes(file.subarray(0, headBytes), headOf(repository))) return PackRanges.empty;
    const reader = new ByteReader(file.subarray(headBytes), 'list of damaged packs');
    const packs = readPackRanges(reader);
    reader.end();
    return packs;
  } catch (error) {
    if (isFallbackError(error)) return PackRanges.empty;
    throw error;
  }
}

/** Leaves them to the pushes to come. @throws DISK_FULL, IO. */
export async function writeDamagedPacks(indexPath: string, repository: RepositoryId, packs: PackRanges): Promise<void> {
  const path = pathOf(indexPath);
  const partial = `${path}.partial`;
  try {
    if (packs.isEmpty) return await unlink(path);
    const writer = new ByteWriter(1024).bytes(headOf(repository));
    writePackRanges(writer, packs);
    await writeFile(partial, writer.finish(), { mode: 0o600 });
    await rename(partial, path);
  } catch (error) {
    if (packs.isEmpty && (error as NodeJS.ErrnoException).code === 'ENOENT') return;
    await unlink(partial).catch(() => undefined);
    throw mapFsError(error, 'keep the list of damaged packs');
  }
}
