// Names of files as Python has them: UTF-8, every byte that is none as U+DC00 + byte (surrogateescape), sorted by code points.

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes of a file's name as text; any bytes come back as they were (src/tar/tar-writer.ts does the reverse). */
export function decodeName(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return decodeBroken(bytes);
  }
}

/** Valid sequences one by one, and single bytes escaped. */
function decodeBroken(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.byteLength; ) {
    const first = bytes[at] ?? 0;
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    let decoded: string | undefined;
    if (first < 0x80 || first >= 0xc2) {
      try {
        decoded = strict.decode(bytes.subarray(at, at + length));
      } catch {
        decoded = undefined;
      }
    }
    text += decoded ?? String.fromCharCode(0xdc00 + first);
    at += decoded === undefined ? 1 : length;
  }
  return text;
}

/** Order of Python's `sorted` over texts: by code point, where JavaScript's own is by UTF-16 unit. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const [one, other] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (one === other) continue;
    // A pair of surrogates stands for a code point above all single units; a lone one (an escaped byte) for itself.
    const [first, second] = [a.codePointAt(at) ?? one, b.codePointAt(at) ?? other];
    return first - second;
  }
  return a.length - b.length;
}
