// Fills the tables of docs/PERFORMANCE.md from the results, so that the page never says what was not measured.
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Machine, machineLine } from './machine.ts';
import type { Goal } from './report.ts';
import { type Cell, formatNumber } from './table.ts';

interface Results {
  readonly measuredAt: string;
  readonly machine: Machine;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly goals: readonly Goal[];
  readonly notes: readonly string[];
  readonly tables: readonly {
    readonly title: string;
    readonly head: readonly string[];
    readonly rows: readonly (readonly Cell[])[];
  }[];
}

// JSON has no NaN: what was not measured comes back as null.
const show = (cell: Cell | null): string =>
  cell === null ? '-' : typeof cell === 'number' ? formatNumber(cell) : cell;

function markdownTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
  const line = (cells: readonly Cell[]): string => `| ${cells.map((cell) => show(cell)).join(' | ')} |`;
  return [line(head), `|${head.map((_, column) => (column === 0 ? ' --- |' : ' ---: |')).join('')}`, ...rows.map(line)];
}

function describe(results: Results): string {
  const { measuredAt, machine, parameters } = results;
  const asked = Object.entries(parameters).map(
    ([name, value]) => `${name} ${Array.isArray(value) ? value.join(', ') : value}`,
  );
  return `*${measuredAt.slice(0, 10)}; ${machineLine(machine)}; ${asked.join('; ')}.*`;
}

function blockOf(results: Results): string {
  const lines = [describe(results), ''];
  for (const { title, head, rows } of results.tables) lines.push(`**${title}**`, '', ...markdownTable(head, rows), '');
  for (const note of results.notes) lines.push(note, '');
  if (results.goals.length > 0) {
    const rows = results.goals.map(({ what, value, atMost, unit, isMet }) => [
      what,
      `${formatNumber(value)} ${unit}`.trim(),
      `${formatNumber(atMost)} ${unit}`.trim(),
      isMet ? 'met' : '**not met**',
    ]);
    lines.push('**Goals**', '', ...markdownTable(['goal', 'measured', 'at most', ''], rows), '');
  }
  return lines.join('\n');
}

/** Replaces every `<!-- bench:MODE -->…<!-- /bench -->` of the page by that mode's results, where there are some. */
export async function fillPage(page: string, resultsFolder: string): Promise<string[]> {
  let text = await readFile(page, 'utf8');
  const filled: string[] = [];
  for (const [, mode = ''] of [...text.matchAll(/<!-- bench:([a-z0-9-]+) -->/g)]) {
    const path = join(resultsFolder, `${mode}.json`);
    if (!existsSync(path)) continue;
    const block = blockOf(JSON.parse(await readFile(path, 'utf8')) as Results);
    const place = new RegExp(`(<!-- bench:${mode} -->\\n)[\\s\\S]*?(<!-- /bench -->)`);
    text = text.replace(place, (_, before: string, after: string) => `${before}\n${block}\n${after}`);
    filled.push(mode);
  }
  await writeFile(page, text);
  return filled;
}
