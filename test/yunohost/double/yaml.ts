// The part of YAML that YunoHost’s own files use: block maps, block lists of scalars, scalars. Not a YAML library.
import { PythonCrash } from './errors.ts';

export type Yaml = string | number | boolean | null | Yaml[] | { [key: string]: Yaml };
export type YamlMap = { [key: string]: Yaml };

const plain = /^[A-Za-z0-9_./@+=~:$%!?,() -]*$/;
const looksOtherwise = /^(true|false|null|yes|no|on|off|~|[-+]?[0-9][0-9_.eE+-]*|0x[0-9a-f]+)$/i;

function scalarText(value: string | number | boolean | null): string {
  if (value === null) return 'null';
  if (typeof value !== 'string') return String(value);
  const isPlain =
    plain.test(value) && /^[A-Za-z0-9_./~]/.test(value) && !/: |:$|^\s|\s$/.test(value) && !looksOtherwise.test(value);
  return isPlain ? value : value.includes('\n') ? JSON.stringify(value) : `'${value.replaceAll("'", "''")}'`;
}

function lines(value: Yaml, indent: string): string[] {
  if (Array.isArray(value)) {
    return value.map((item) => `${indent}- ${typeof item === 'object' && item !== null ? '{}' : scalarText(item)}`);
  }
  if (typeof value !== 'object' || value === null) return [`${indent}${scalarText(value)}`];
  return Object.entries(value).flatMap(([key, item]) => {
    const name = `${indent}${scalarText(key)}:`;
    if (Array.isArray(item)) return item.length === 0 ? [`${name} []`] : [name, ...lines(item, indent)];
    if (typeof item !== 'object' || item === null) return [`${name} ${scalarText(item)}`];
    return Object.keys(item).length === 0 ? [`${name} {}`] : [name, ...lines(item, `${indent}  `)];
  });
}

/** Text of a map, as PyYAML’s `safe_dump` lays it out (without folding). */
export function formatYaml(value: YamlMap): string {
  const text = lines(value, '').join('\n');
  return text === '' ? '{}\n' : `${text}\n`;
}

function parseScalar(text: string): Yaml {
  if (text === '[]') return [];
  if (text === '{}') return {};
  if (text.startsWith("'")) return text.slice(1, -1).replaceAll("''", "'");
  if (text.startsWith('"')) return JSON.parse(text) as string;
  if (text === 'null' || text === '~' || text === '') return null;
  if (/^(true|yes|on)$/i.test(text)) return true;
  if (/^(false|no|off)$/i.test(text)) return false;
  return /^[-+]?\d+$/.test(text) ? Number(text) : text;
}

interface Line {
  readonly indent: number;
  readonly text: string;
}

function splitKey(text: string): [string, string] {
  const quoted = /^'((?:[^']|'')*)':(?: (.*))?$/.exec(text);
  if (quoted !== null) return [(quoted[1] ?? '').replaceAll("''", "'"), quoted[2] ?? ''];
  const at = text.endsWith(':') && !text.includes(': ') ? text.length - 1 : text.indexOf(': ');
  if (at < 0) throw new PythonCrash('yaml.scanner.ScannerError', `while scanning a simple key: ${text}`);
  return [text.slice(0, at), text.slice(at + 1).trim()];
}

function parseBlock(rest: Line[], indent: number): Yaml {
  const first = rest[0];
  if (first?.text.startsWith('- ') && first.indent === indent) {
    const list: Yaml[] = [];
    for (let line = rest[0]; line?.indent === indent && line.text.startsWith('- '); line = rest[0]) {
      list.push(parseScalar(line.text.slice(2).trim()));
      rest.shift();
    }
    return list;
  }
  const map: YamlMap = {};
  for (let line = rest[0]; line?.indent === indent && !line.text.startsWith('- '); line = rest[0]) {
    rest.shift();
    const [key, text] = splitKey(line.text);
    const next = rest[0];
    const isNested = next !== undefined && (next.indent > indent || (next.indent === indent && /^- /.test(next.text)));
    map[key] = text === '' && isNested ? parseBlock(rest, next.indent) : parseScalar(text);
  }
  return map;
}

/** Reads what formatYaml writes, and hand-written files in the same manner. */
export function parseYaml(text: string): YamlMap {
  const rest = text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trimStart().startsWith('#') && line.trim() !== '---')
    .map((line): Line => ({ indent: line.length - line.trimStart().length, text: line.trim() }));
  if (rest.length === 0 || rest[0]?.text === '{}') return {};
  const value = parseBlock(rest, 0);
  if (rest.length > 0 || Array.isArray(value) || typeof value !== 'object' || value === null) {
    throw new PythonCrash('yaml.scanner.ScannerError', 'mapping values are not allowed here');
  }
  return value;
}

/** The map under a key, or an empty one. */
export function mapAt(map: YamlMap, key: string): YamlMap {
  const value = map[key];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

/** The strings of a list under a key, or none. */
export function listAt(map: YamlMap, key: string): string[] {
  const value = map[key];
  return Array.isArray(value) ? value.map(String) : [];
}

/** The text under a key, or undefined. */
export function textAt(map: YamlMap, key: string): string | undefined {
  const value = map[key];
  return value === undefined || value === null || typeof value === 'object' ? undefined : String(value);
}
