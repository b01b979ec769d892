// Tells a gzip stream by its first bytes (RFC 1952, section 2.3).

/** Whether a stream that begins with `firstBytes` (3 or more) is gzip: its two magic bytes, and deflate as the method. */
export function isGzip(firstBytes: Uint8Array): boolean {
  return firstBytes[0] === 0x1f && firstBytes[1] === 0x8b && firstBytes[2] === 8;
}
