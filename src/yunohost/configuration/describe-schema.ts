// The schema as text: the tables of docs/CONFIGURATION.md, and a config.toml with every key in comments.
import { schema } from './schema.ts';
import type { ValueKind } from './value-kinds.ts';

const sections: Readonly<Record<string, Readonly<Record<string, ValueKind<unknown>>>>> = schema;

/** One row of the documentation's tables. */
export interface DocumentedKey {
  readonly section: string;
  readonly key: string;
  readonly shape: string;
  readonly defaultText: string;
  readonly about: string;
}

export function documentedKeys(): DocumentedKey[] {
  return Object.entries(sections).flatMap(([section, keys]) =>
    Object.entries(keys).map(([key, { shape, defaultText, about }]) => ({ section, key, shape, defaultText, about })),
  );
}

/** The Markdown tables of docs/CONFIGURATION.md, one for each section. */
export function documentationTables(): string {
  return Object.keys(sections)
    .map((section) => {
      const rows = documentedKeys()
        .filter((row) => row.section === section)
        .map(({ key, shape, defaultText, about }) => `| \`${key}\` | \`${defaultText}\` | ${shape} | ${about} |`);
      return `### [${section}]\n\n| key | default | value | what for |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`;
    })
    .join('\n');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/**
 * A whole config.toml: chosen values stand as they are, all others in comments with their defaults.
 * @param chosen TOML texts by `section.key`.
 */
export function exampleConfiguration(chosen: ReadonlyMap<string, string> = new Map()): string {
  const parts = Object.entries(sections).map(([section, keys]) => {
    const lines = Object.entries(keys).flatMap(([key, { defaultText, about }]) => {
      const value = chosen.get(`${section}.${key}`);
      const setting = value === undefined ? `#${key} = ${defaultText}` : `${key} = ${value}`;
      return [...wrap(about, 100).map((text) => `# ${text}`), setting, ''];
    });
    return [`[${section}]`, ...lines].join('\n');
  });
  return `# Configuration of fallback. Every key is explained in docs/CONFIGURATION.md; what stands behind # is the default.\n\n${parts.join('\n')}`;
}

/** Those of `section.key` names that the schema does not have. */
export function unknownKeys(names: Iterable<string>): string[] {
  const known = new Set(documentedKeys().map(({ section, key }) => `${section}.${key}`));
  return [...names].filter((name) => !known.has(name));
}
