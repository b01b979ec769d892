// Tells contents that compression does not shrink, and that are not edited in place, by their first bytes. A wrong
// guess costs some bytes or some index entries, never correctness.

/** How many of a member's first bytes are looked at. */
export const sniffBytes = 4096;

type Magic = readonly [atByte: number, text: string];

/** Images, sound, video, archives: byte strings (latin1) that must all be there. */
const magics: readonly (readonly Magic[])[] = [
  [[0, '\xff\xd8\xff']], // JPEG
  [[0, '\x89PNG']],
  [[0, 'GIF8']],
  [
    [0, 'RIFF'],
    [8, 'WEBP'],
  ],
  [
    [0, 'RIFF'],
    [8, 'AVI '],
  ],
  [[4, 'ftyp']], // MP4, QuickTime, HEIC, AVIF
  [[0, '\x1aE\xdf\xa3']], // Matroska, WebM
  [[0, '0&\xb2u\x8ef\xcf\x11']], // ASF: WMV, WMA
  [[0, 'OggS']],
  [[0, 'fLaC']],
  [[0, 'ID3']], // MP3
  [[0, '\xff\xfb']], // MP3 without a tag
  [[0, '\x1f\x8b\b']], // gzip
  [[0, '\xfd7zXZ\0']],
  [[0, '(\xb5/\xfd']], // zstd
  [[0, '\x04"M\x18']], // lz4
  [
    [0, 'BZh'],
    [4, '1AY&SY'],
  ],
  [[0, '7z\xbc\xaf\x27\x1c']],
  [[0, 'Rar!\x1a\x07']],
  [[0, 'PACK\0\0\0']], // git
  [[0, 'PK\x03\x04']],
];

/**
 * The first entry of the zip files that people edit: office documents and books. Most of their parts stay the same from
 * one version to the next, so they are cut finely.
 */
const editedZips = ['mimetype', '[Content_Types]', '_rels/', 'docProps/', 'word/', 'xl/', 'ppt/'];

/** Whether a member that begins with these bytes (at most 4 KiB are looked at) looks incompressible. */
export function looksIncompressible(bytes: Uint8Array): boolean {
  if (magics.some((parts) => parts.every(([at, text]) => hasText(bytes, at, text)))) {
    return !(bytes[0] === 0x50 && editedZips.some((name) => hasText(bytes, 30, name)));
  }
  return isEvenlySpread(bytes.subarray(1024, sniffBytes));
}

function hasText(bytes: Uint8Array, at: number, text: string): boolean {
  if (bytes[at] !== text.charCodeAt(0)) return false;
  for (let index = 1; index < text.length; index++) if (bytes[at + index] !== text.charCodeAt(index)) return false;
  return true;
}

/**
 * Whether byte values occur about equally often, as in encrypted or compressed data: the sum of the squared counts of
 * n random bytes is n²/256 + n, give or take 1 %; text, code, tables and base64 have more than three times as much.
 * Integers only, so that every machine judges alike. The first 1024 bytes are left out by the caller: headers.
 */
function isEvenlySpread(bytes: Uint8Array): boolean {
  const length = bytes.byteLength;
  if (length < 1024) return false;
  const counts = new Uint16Array(256);
  for (let index = 0; index < length; index++) counts[bytes[index]!]!++;
  let squares = 0;
  for (let value = 0; value < 256; value++) squares += counts[value]! * counts[value]!;
  return squares * 256 <= ((length * length * 5) >> 2) + length * 256;
}
