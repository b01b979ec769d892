// docs/man/fallback.1, made from the command specs: man(7) macros only.
import { errorCodes } from '../../errors/error-codes.ts';
import { type CommandFamily, type CommandSpec, isFamily, type OptionSpec } from '../command-spec.ts';
import { describeOption, groupTitles } from '../program.ts';
import { synopsis } from './synopsis.ts';

/** Text as roff takes it: no line begins with a control character, hyphens stay hyphens. */
const roff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('’', '\\(cq')
    .replaceAll('…', '...')
    .replace(/^([.'])/gm, '\\&$1');

const exitCodes = [
  ['0', 'done; what was acknowledged is durable'],
  ['1', 'failed'],
  ['2', 'wrong usage; nothing was changed'],
  ['3', 'finished, but incomplete'],
  ['4', 'damage found'],
  ['5', 'not trusted: keys, tokens, certificates, history'],
  ['10', 'busy, try later'],
] as const;

const tagged = (tag: string, text: string): string[] => ['.TP', `.B ${roff(tag)}`, roff(text)];

function commandLines(spec: CommandSpec, path: string): string[] {
  const lines = [`.SS fallback ${roff(synopsis(spec, path))}`, `${roff(spec.summary)}.`];
  for (const paragraph of spec.description) lines.push('.PP', roff(paragraph));
  for (const { syntax, description } of spec.arguments ?? []) lines.push(...tagged(syntax, description));
  for (const option of spec.options ?? []) lines.push(...tagged(option.flags, describeOption(option)));
  for (const [command, what] of spec.examples)
    lines.push('.PP', `${roff(what)}:`, '.PP', '.RS 4', '.nf', roff(command), '.fi', '.RE');
  return lines;
}

function variables(entries: readonly (CommandSpec | CommandFamily)[]): string[] {
  const specs = entries.flatMap((entry) => (isFamily(entry) ? entry.commands : [entry]));
  const found = new Map<string, OptionSpec<unknown>>();
  for (const option of specs.flatMap(({ options }) => options ?? [])) {
    if (option.variable !== undefined && !found.has(option.variable)) found.set(option.variable, option);
  }
  const lines = [...found].flatMap(([name, option]) =>
    tagged(name, `what ${option.flags.replace(/ .*/, '')} gives: ${option.description}`),
  );
  return [...lines, ...tagged('FALLBACK_DEBUG', '1 prints where an error came from')];
}

/** The whole page. */
export function makeManPage(entries: readonly (CommandSpec | CommandFamily)[], version: string): string {
  const lines = [
    '.\\" Made from the command specs: node src/cli/docs/write-docs.ts',
    `.TH FALLBACK 1 "" "fallback ${version}" "User Commands"`,
    '.SH NAME',
    'fallback \\- encrypted, deduplicating backup and take\\-over for self\\-hosted servers',
    '.SH SYNOPSIS',
    '.B fallback',
    '.I command',
    '[options] [arguments]',
    '.SH DESCRIPTION',
    roff(
      'Keeps a second server ready to take over: encrypted, deduplicated archives every night, restored with one command.',
    ),
  ];
  let group: string | undefined;
  for (const entry of entries) {
    if (entry.group !== group) lines.push(`.SH ${roff(groupTitles[entry.group].replace(/:$/, '').toUpperCase())}`);
    group = entry.group;
    if (!isFamily(entry)) lines.push(...commandLines(entry, entry.name));
    else for (const spec of entry.commands) lines.push(...commandLines(spec, `${entry.name} ${spec.name}`));
  }
  lines.push('.SH EXIT STATUS', ...exitCodes.flatMap(([code, text]) => tagged(code, text)));
  lines.push('.SH ERRORS', roff('Each error names a code; this is what to do about each.'));
  for (const [code, { exitCode, hint }] of Object.entries(errorCodes))
    lines.push(...tagged(`${code} (${exitCode})`, hint));
  lines.push('.SH ENVIRONMENT', ...variables(entries));
  lines.push(
    '.SH FILES',
    ...tagged('/var/lib/fallback', 'root’s own folder: address, certificate, keys, index, what was seen last'),
  );
  lines.push(...tagged('~/.local/state/fallback', 'the same for other users'));
  lines.push(...tagged('/var/cache/fallback, ~/.cache/fallback', 'compiled code; may be removed at any time'));
  return `${lines.join('\n')}\n`;
}
