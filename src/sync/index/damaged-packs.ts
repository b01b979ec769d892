// Packs that a check on this machine could not open, though the store gives them as whole: kept beside the index, so that no push
// builds on them. Their chunks are sent again; once the store knows that it has lost such a pack, it is healed.
import { dirname } from 'node:path';
import { ByteWriter } from '../../bytes/byte-writer.ts';
import { toHex } from '../../bytes/hex.ts';
import type { RandomBytes } from '../../crypto/seal.ts';
import type { RepositoryId } from '../../format/ids.ts';
import { PackRanges, readPackRanges, writePackRanges } from '../../format/pack-ranges.ts';
import { nodeFileSystem } from '../../fs/node-file-system.ts';
import { removeFile } from '../../fs/remove-file.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { cacheHead, readCacheFile } from './cache-file.ts';

const listFile = { bytesMax: 16 * 1024 * 1024, what: 'list of damaged packs' };

const pathOf = (indexPath: string): string => `${indexPath}.damaged`;

/** The file: "FBDP" and the rest of a cache's head, pack ranges. */
const headOf = (repository: RepositoryId): Uint8Array => cacheHead('FBDP', 1, repository);

/** The packs that checks found damaged; none when that is not known. */
export async function readDamagedPacks(indexPath: string, repository: RepositoryId): Promise<PackRanges> {
  const packs = await readCacheFile(pathOf(indexPath), headOf(repository), listFile, readPackRanges);
  return packs ?? PackRanges.empty;
}

/** Leaves them to the pushes to come. @throws DISK_FULL, IO. */
export async function writeDamagedPacks(
  indexPath: string,
  repository: RepositoryId,
  packs: PackRanges,
  randomBytes: RandomBytes,
): Promise<void> {
  const path = pathOf(indexPath);
  if (packs.isEmpty) {
    await removeFile(nodeFileSystem, path);
    return;
  }
  const writer = new ByteWriter(1024).bytes(headOf(repository));
  writePackRanges(writer, packs);
  await replaceFile(nodeFileSystem, path, writer.finish(), dirname(path), toHex(randomBytes(8)));
}
