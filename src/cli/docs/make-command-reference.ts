// The reference part of docs/COMMANDS.md, made from the command specs.
import { type CommandFamily, type CommandSpec, isFamily } from '../command-spec.ts';
import { describeOption, groupTitles } from '../program.ts';
import { synopsis } from './synopsis.ts';

const inMarkdown = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

function section(spec: CommandSpec, path: string, level: string): string[] {
  const lines = [`${level} fallback ${path}`, '', '```', `fallback ${synopsis(spec, path)}`, '```', ''];
  for (const paragraph of spec.description) lines.push(inMarkdown(paragraph), '');
  const rows = [
    ...(spec.arguments ?? []).map(({ syntax, description }) => `| \`${syntax}\` | ${inMarkdown(description)} |`),
    ...(spec.options ?? []).map((option) => `| \`${option.flags}\` | ${inMarkdown(describeOption(option))} |`),
  ];
  if (rows.length > 0) lines.push('| argument or option | |', '| --- | --- |', ...rows, '');
  for (const [command, what] of spec.examples) lines.push(`- \`${command}\` — ${inMarkdown(what)}`);
  lines.push('');
  if (spec.json !== undefined) lines.push('With `--json`:', '', ...spec.json.map((line) => `- ${line}`), '');
  return lines;
}

/** Markdown: a section for each command, in the order of the help. */
export function makeCommandReference(entries: readonly (CommandSpec | CommandFamily)[]): string {
  const lines: string[] = [];
  let group: string | undefined;
  for (const entry of entries) {
    if (entry.group !== group) lines.push(`## ${groupTitles[entry.group].replace(/:$/, '')}`, '');
    group = entry.group;
    if (!isFamily(entry)) {
      lines.push(...section(entry, entry.name, '###'));
      continue;
    }
    lines.push(`### fallback ${entry.name}`, '', ...entry.description.flatMap((text) => [inMarkdown(text), '']));
    for (const spec of entry.commands) lines.push(...section(spec, `${entry.name} ${spec.name}`, '####'));
  }
  return `${lines.join('\n').trimEnd()}\n`;
}
