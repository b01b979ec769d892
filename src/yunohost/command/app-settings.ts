// An app's settings as they lie in its settings.yml: plain values, asked of the file, since `app setting` takes a second each.
// Reads what PyYAML writes of texts and numbers, and no more of YAML: none of the values that are asked for is a list or a map.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode, withFsErrors } from '../../fs/map-fs-error.ts';
import type { HostPaths } from './host-paths.ts';

const escapes: Readonly<Record<string, string>> = {
  '0': '\0',
  a: '\x07',
  b: '\b',
  t: '\t',
  n: '\n',
  v: '\v',
  f: '\f',
  r: '\r',
  e: '\x1b',
  N: '\x85',
  _: '\xa0',
  L: '\u2028',
  P: '\u2029',
};

const withoutEscapes = (text: string): string =>
  text.replace(/\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|(.))/gs, (_, x, u, long, one) => {
    if (one !== undefined) return escapes[one] ?? one;
    const code = Number.parseInt(x ?? u ?? long, 16);
    return code > 0x10ffff ? '\ufffd' : String.fromCodePoint(code);
  });

/** A long text goes on in indented lines. */
const unfold = (text: string): string => text.replace(/[ \t]*\n[ \t]*/g, ' ');

/** Undefined for what is no value, and for what begins as YAML that is not read here. */
function readScalar(written: string): string | undefined {
  const double = /^"((?:[^"\\]|\\.)*)"[ \t]*(?:#.*)?$/s.exec(written)?.[1];
  if (double !== undefined) return withoutEscapes(unfold(double.replace(/\\\n[ \t]*/g, '')));
  const single = /^'((?:[^']|'')*)'[ \t]*(?:#.*)?$/s.exec(written)?.[1];
  if (single !== undefined) return unfold(single).replaceAll("''", "'");
  const plain = unfold(written.replace(/(?:^|[ \t])#.*$/gm, '').trim());
  return plain === '' || /^(?:~|null|Null|NULL)$/.test(plain) || /^["'[\]{}&*!|>%@`,]/.test(plain) ? undefined : plain;
}

/** A plain value of a settings.yml: `domain: main.test`. Undefined when it is not there, empty or null. */
export function settingIn(yaml: string, key: string): string | undefined {
  const written = new RegExp(`^${key}:(?:[ \\t]+(\\S.*(?:\\n[ \\t]+\\S.*)*))?$`, 'm').exec(
    yaml.replaceAll('\r\n', '\n'),
  );
  return readScalar(written?.[1] ?? '') || undefined;
}

/** The text of an installed app's settings.yml; empty when there is none. @throws IO. */
export async function readAppSettings(paths: HostPaths, app: string): Promise<string> {
  return await withFsErrors(`read the settings of ${app}`, async () => {
    try {
      return await readFile(join(paths.apps, app, 'settings.yml'), 'utf8');
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return '';
      throw error;
    }
  });
}
