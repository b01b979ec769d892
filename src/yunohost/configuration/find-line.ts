// The line of a TOML text on which a key or a section stands: the parser gives values without places.

const headerPattern = /^\s*\[\s*([^\]]*?)\s*\]\s*(#.*)?$/;
const keyPattern = /^\s*("[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*("[^"]*"|'[^']*'|[\w-]+))?\s*=/;
const plain = (text: string): string => text.replace(/^(["'])(.*)\1$/, '$2');

/** The line, from 1, of `[section]` or of `key` in it (also as `section.key = …`); undefined when it is not found. */
export function findLine(toml: string, section: string, key: string | undefined): number | undefined {
  let current = '';
  let sectionLine: number | undefined;
  for (const [index, line] of toml.split('\n').entries()) {
    const header = headerPattern.exec(line);
    if (header !== null) {
      current = plain(header[1] ?? '');
      if (current === section) sectionLine ??= index + 1;
      continue;
    }
    const [, first, second] = keyPattern.exec(line) ?? [];
    if (first === undefined) continue;
    const names = second === undefined ? [plain(first)] : [plain(first), plain(second)];
    const full = current === '' ? names : [current, ...names];
    if (key !== undefined && full[0] === section && full[1] === key) return index + 1;
    if (key === undefined && full[0] === section) sectionLine ??= index + 1;
  }
  return sectionLine;
}
