// Texts of tar headers, decoded where they stand: an archive has tens of thousands, nearly all ASCII and short.

/** A name as a tar holds it. */
export interface TarText {
  /** UTF-8 text, invalid bytes replaced. */
  readonly text: string;
  /** Its bytes, as a copy, where they are not UTF-8: what a file system wants then. */
  readonly raw: Uint8Array | undefined;
}

/** The text that is not there. */
export const noTarText: TarText = { text: '', raw: undefined };

/** The text of `[start, end)`. */
export function decodeTarText(bytes: Buffer, start: number, end: number): TarText {
  if (start >= end) return noTarText;
  const text = decodeTarString(bytes, start, end);
  // What is replaced becomes U+FFFD; where that stands by itself, a copy too many does no harm.
  return { text, raw: text.includes('\ufffd') ? new Uint8Array(bytes.subarray(start, end)) : undefined };
}

/** The same without its bytes. */
export function decodeTarString(bytes: Buffer, start: number, end: number): string {
  let index = start;
  while (index < end && (bytes[index] as number) < 0x80) index++;
  return bytes.toString(index < end ? 'utf8' : 'latin1', start, end);
}

/** Where a text field of at most `length` bytes ends: at its first NUL. */
export function endOfTarText(bytes: Uint8Array, at: number, length: number): number {
  let end = at;
  while (end < at + length && bytes[end] !== 0) end++;
  return end;
}

/** A name behind a folder's, with a slash between. */
export function joinTarTexts(folder: TarText, name: TarText): TarText {
  const raw =
    folder.raw === undefined && name.raw === undefined
      ? undefined
      : new Uint8Array(Buffer.concat([bytesOf(folder), Buffer.from('/'), bytesOf(name)]));
  return { text: `${folder.text}/${name.text}`, raw };
}

/** The same without the slashes at its end; one that is nothing else keeps one. */
export function withoutFinalSlashes(name: TarText): TarText {
  const { text, raw } = name;
  let end = text.length;
  while (end > 1 && text.charCodeAt(end - 1) === 0x2f) end--;
  if (end === text.length) return name;
  return { text: text.slice(0, end), raw: raw?.subarray(0, raw.byteLength - (text.length - end)) };
}

const bytesOf = ({ text, raw }: TarText): Uint8Array => raw ?? Buffer.from(text);
