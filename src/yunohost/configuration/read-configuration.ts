// Reads and checks config.toml: what is wrong is named with its line and the reason; nothing is guessed.
import { readFile } from 'node:fs/promises';
import { parse, TomlError } from 'smol-toml';
import { FallbackError } from '../../errors/fallback-error.ts';
import { withFsErrors } from '../../fs/map-fs-error.ts';
import { NearNames } from '../../sync/read/near-names.ts';
import { isObject } from '../command/shape.ts';
import { findLine } from './find-line.ts';
import { type Configuration, camelCase, schema } from './schema.ts';
import type { ValueKind } from './value-kinds.ts';

const fileBytesMax = 1024 * 1024;
const sections: Readonly<Record<string, Readonly<Record<string, ValueKind<unknown>>>>> = schema;

function invalid(file: string, line: number | undefined, what: string, hint?: string): FallbackError {
  const place = line === undefined ? file : `${file}, line ${line}`;
  return new FallbackError('CONFIG_INVALID', `${place}: ${what}`, {
    ...(hint === undefined || hint === '' ? {} : { hint: `${hint} Nothing was changed.` }),
    details: { file, line },
  });
}

/** `Did you mean: retention?` */
function nearest(name: string, known: Iterable<string>): string {
  const near = new NearNames(name);
  for (const one of known) near.see(one);
  return near.toHint().replace(/^The archive holds/, 'There are');
}

function parseToml(toml: string, file: string): Readonly<Record<string, unknown>> {
  try {
    return parse(toml);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [reason = ''] = error.message.replace(/^Invalid TOML document: /, '').split('\n');
    throw invalid(file, error.line, `this is no TOML: ${reason}.`, 'Texts stand in quotes, lists in [ ].');
  }
}

/** Values that depend on each other. */
function checkTogether(configuration: Configuration, toml: string, file: string): void {
  const { apps, dns, report, server } = configuration;
  const both = apps.include.find((app) => apps.exclude.includes(app));
  if (both !== undefined) {
    throw invalid(file, findLine(toml, 'apps', 'exclude'), `${both} is both included and excluded.`);
  }
  if (report.mailTo.length === 0 && report.mail !== 'never') {
    throw invalid(
      file,
      findLine(toml, 'report', 'mail_to'),
      'report.mail_to is empty: nobody would be told when something is wrong.',
      'Name somebody; who wants no mail says mail = "never".',
    );
  }
  if (dns.method === 'script' && dns.script === '') {
    throw invalid(file, findLine(toml, 'dns', 'method'), 'the method "script" needs dns.script.');
  }
  if (server.role === 'fallback' && configuration.store.folder === '') {
    throw invalid(file, findLine(toml, 'store', undefined), 'a fallback server needs store.folder.');
  }
}

/**
 * Checks the text of a config.toml and fills in the defaults.
 * @param file for messages. @throws CONFIG_INVALID with file, line and reason.
 */
export function parseConfiguration(toml: string, file: string): Configuration {
  const given = parseToml(toml, file);
  for (const name of Object.keys(given)) {
    if (name in sections) continue;
    const section = Object.entries(sections).find(([, keys]) => name in keys)?.[0];
    const hint = section === undefined ? nearest(name, Object.keys(sections)) : `It belongs into [${section}].`;
    throw invalid(
      file,
      findLine(toml, name, undefined) ?? findLine(toml, '', name),
      `there is no section or key called ${name}.`,
      hint,
    );
  }
  const read: Record<string, Record<string, unknown>> = {};
  for (const [section, keys] of Object.entries(sections)) {
    const table = given[section] ?? {};
    if (!isObject(table))
      throw invalid(file, findLine(toml, section, undefined), `${section} must be a section: [${section}]`);
    for (const key of Object.keys(table)) {
      if (key in keys) continue;
      throw invalid(
        file,
        findLine(toml, section, key),
        `[${section}] has no key called ${key}.`,
        nearest(key, Object.keys(keys)),
      );
    }
    const values: Record<string, unknown> = {};
    for (const [key, kind] of Object.entries(keys)) {
      const checked = key in table ? kind.read(table[key]) : { value: kind.defaultValue };
      if ('wrong' in checked) throw invalid(file, findLine(toml, section, key), `${section}.${key} ${checked.wrong}.`);
      values[camelCase(key)] = checked.value;
    }
    read[section] = values;
  }
  // Built from the schema just above, key by key.
  const configuration = read as unknown as Configuration;
  checkTogether(configuration, toml, file);
  return configuration;
}

/** Everything at its default: a main server that covers all. */
export const defaultConfiguration = (): Configuration => parseConfiguration('', 'the defaults');

/** Reads a configuration file. @throws NOT_FOUND, CONFIG_INVALID, IO. */
export async function readConfiguration(path: string): Promise<Configuration> {
  const bytes = await withFsErrors(`read ${path}`, () => readFile(path));
  if (bytes.byteLength > fileBytesMax) throw invalid(path, undefined, 'the file is too large for a configuration.');
  return parseConfiguration(bytes.toString('utf8'), path);
}
