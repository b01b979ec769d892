// The first five bytes of every object: four letters and a version.
import type { ByteReader } from '../bytes/byte-reader.ts';
import { FallbackError } from '../errors/fallback-error.ts';

/**
 * Reads the letters and the version, 1 to `newest`, and returns it.
 * @throws FORMAT_INVALID for other letters, FORMAT_UNSUPPORTED for another version.
 */
export function readMagic(reader: ByteReader, magic: string, what: string, newest = 1): number {
  const letters = Buffer.from(reader.bytes(4)).toString('latin1');
  if (letters !== magic) throw reader.invalid(`it does not begin with ${magic}`);
  const version = reader.u8();
  if (version >= 1 && version <= newest) return version;
  throw new FallbackError(
    'FORMAT_UNSUPPORTED',
    `This ${what} has format version ${version}; this program knows ${newest === 1 ? 'version 1' : `versions 1 to ${newest}`}.`,
  );
}
