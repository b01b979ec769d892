// The completion script for fish.
import type { Completion } from '../command-spec.ts';
import type { ShellCommand, ShellWord } from './shell-words.ts';

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

function offer(completion: Completion | undefined): string {
  if (completion === undefined) return '';
  if (completion === 'file') return ' -r -F';
  if (completion === 'folder') return " -x -a '(__fish_complete_directories)'";
  if (completion === 'none') return ' -x';
  return ` -x -a ${quote(completion.join(' '))}`;
}

function seen(path: string): string {
  const [first = '', second] = path.split(' ');
  const one = `__fish_seen_subcommand_from ${first}`;
  return second === undefined ? one : `${one}; and __fish_seen_subcommand_from ${second}`;
}

function argumentLines({ path, arguments: all }: ShellCommand): string[] {
  const condition = `-n ${quote(seen(path))}`;
  const lists = all.filter((completion) => typeof completion !== 'string').flat();
  const lines = lists.length === 0 ? [] : [`complete -c fallback ${condition} -a ${quote(lists.join(' '))}`];
  if (all.includes('file')) lines.push(`complete -c fallback ${condition} -F`);
  return lines;
}

export function fishCompletion(commands: readonly ShellCommand[], words: readonly ShellWord[]): string {
  const lines = [
    '# fish completion for fallback; made by `fallback completion fish`.',
    'complete -c fallback -f',
    `complete -c fallback -n __fish_use_subcommand -l version -s V -d 'print the version'`,
    ...words.flatMap(({ name, summary, under }) => [
      `complete -c fallback -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
      ...under.map(
        (one) =>
          `complete -c fallback -n ${quote(`__fish_seen_subcommand_from ${name}; and not __fish_seen_subcommand_from ${under.map((other) => other.name).join(' ')}`)} -a ${one.name} -d ${quote(one.summary)}`,
      ),
    ]),
    ...commands.flatMap((command) => [
      ...command.options.map(({ short, long, description, value }) => {
        const flags = `-l ${long.slice(2)}${short === undefined ? '' : ` -s ${short.slice(1)}`}`;
        return `complete -c fallback -n ${quote(seen(command.path))} ${flags}${offer(value)} -d ${quote(description)}`;
      }),
      ...argumentLines(command),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}
