// A member's own headers, from the archive: what its catalogue cannot say of it.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { CatalogueMember } from '../../format/catalogue.ts';
import { type TarEntry, TarReader } from '../../tar/tar-reader.ts';

/** Takes a member's headers off the start of its pieces. */
export async function readHeaders(
  pieces: AsyncGenerator<Uint8Array>,
  member: CatalogueMember,
): Promise<{ entry: TarEntry; rest: Uint8Array }> {
  const headers = new Uint8Array(member.headerBytes);
  let at = 0;
  for (;;) {
    const { value, done } = await pieces.next();
    if (done === true) throw new FallbackError('DAMAGED', 'The archive ends inside its headers.');
    const taken = Math.min(value.byteLength, headers.byteLength - at);
    headers.set(value.subarray(0, taken), at);
    at += taken;
    if (at < headers.byteLength) continue;
    const entry = parseHeaders(headers, member);
    if (entry.isSparse) {
      throw new FallbackError('FORMAT_UNSUPPORTED', 'The member is stored as a sparse file’s map and pieces.', {
        hint: 'Restore the archive whole, and take it out with tar.',
      });
    }
    return { entry, rest: value.subarray(taken) };
  }
}

/** @throws DAMAGED when a member's headers are not what the catalogue says. */
export function parseHeaders(bytes: Uint8Array, member: CatalogueMember): TarEntry {
  const entries: TarEntry[] = [];
  new TarReader({ onEntry: (entry) => entries.push(entry) }).push(bytes);
  const entry = entries[0];
  if (entry === undefined || entry.headerBytes !== member.headerBytes || entry.sizeBytes !== member.sizeBytes) {
    throw new FallbackError('DAMAGED', 'Its headers are not what the catalogue says.');
  }
  return entry;
}
