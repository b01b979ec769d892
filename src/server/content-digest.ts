// The Content-Digest header (RFC 9530), of which only sha-256 is used.

/** `sha-256=:…:` for a SHA-256 of 32 bytes. */
export function formatContentDigest(sha256: Uint8Array): string {
  return `sha-256=:${Buffer.from(sha256).toString('base64')}:`;
}

/** The 32 bytes of the header's sha-256 member, or undefined when there is none that is well-formed. */
export function parseContentDigest(header: string | undefined): Uint8Array | undefined {
  for (const member of header?.split(',') ?? []) {
    const encoded = /^\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*$/.exec(member)?.[1];
    if (encoded !== undefined) return new Uint8Array(Buffer.from(encoded, 'base64'));
  }
  return undefined;
}
