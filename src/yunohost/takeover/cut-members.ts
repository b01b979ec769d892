// Takes members out of an archive that lies ready for a restore, in its place: YunoHost restores a part of the system as a whole.
// Killed meanwhile it leaves no tar; whoever laid the archive there lays it anew.
import { type FileHandle, open } from 'node:fs/promises';
import { FallbackError } from '../../errors/fallback-error.ts';
import { withFsErrors } from '../../fs/map-fs-error.ts';
import { writeWhole } from '../../fs/write-whole.ts';
import { TarReader } from '../../tar/tar-reader.ts';

const pieceBytes = 4 * 1024 * 1024;

/** Of a tar, in bytes: where a piece begins, and where the next one does. */
type Span = readonly [begin: number, end: number];

async function readSpans(
  file: FileHandle,
  isCut: (name: string) => boolean,
  signal: AbortSignal | undefined,
): Promise<{ readonly cuts: readonly Span[]; readonly lengthBytes: number }> {
  const cuts: Span[] = [];
  const reader = new TarReader({
    onEntry: ({ name, type, linkName, headerOffset, headerBytes, sizeBytes }) => {
      // A hard link to what is gone would stop the restore of all the rest.
      if (!isCut(name) && !(type === 'hardlink' && isCut(linkName))) return;
      cuts.push([headerOffset, headerOffset + headerBytes + Math.ceil(sizeBytes / 512) * 512]);
    },
  });
  for await (const bytes of file.createReadStream({ start: 0, autoClose: false, highWaterMark: pieceBytes })) {
    signal?.throwIfAborted();
    reader.push(bytes);
  }
  if (reader.state !== 'ended') throw new FallbackError('ARCHIVE_UNREADABLE', 'An archive is no tar to its end.');
  return { cuts, lengthBytes: reader.offset };
}

/**
 * @param isCut told the name of a member, without `./`.
 * @returns how many members are gone. @throws ARCHIVE_UNREADABLE, IO, the signal's reason.
 */
export async function cutMembers(
  path: string,
  isCut: (name: string) => boolean,
  signal?: AbortSignal | undefined,
): Promise<number> {
  return await withFsErrors(`take members out of ${path}`, async () => {
    const file = await open(path, 'r+');
    try {
      const isMeant = (name: string): boolean => isCut(name.replace(/^\.\//, ''));
      const { cuts, lengthBytes } = await readSpans(file, isMeant, signal);
      const [first] = cuts;
      if (first === undefined) return 0;
      const buffer = Buffer.allocUnsafe(pieceBytes);
      let written = first[0];
      for (const [index, [, end]] of cuts.entries()) {
        const until = cuts[index + 1]?.[0] ?? lengthBytes;
        for (let at = end; at < until; ) {
          signal?.throwIfAborted();
          const { bytesRead } = await file.read(buffer, 0, Math.min(pieceBytes, until - at), at);
          if (bytesRead === 0) throw new FallbackError('ARCHIVE_UNREADABLE', 'An archive became shorter.');
          await writeWhole(file, buffer.subarray(0, bytesRead), written);
          at += bytesRead;
          written += bytesRead;
        }
      }
      await file.truncate(written);
      return cuts.length;
    } finally {
      await file.close();
    }
  });
}
