// The completion script for zsh.
import type { Completion } from '../command-spec.ts';
import type { ShellCommand, ShellOption, ShellWord } from './shell-words.ts';

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const plain = (text: string): string => text.replaceAll('[', '(').replaceAll(']', ')').replaceAll(':', '\\:');

function action(completion: Completion): string {
  if (completion === 'file') return '_files';
  if (completion === 'folder') return '_files -/';
  if (completion === 'none') return ' ';
  return `(${completion.join(' ')})`;
}

function optionSpecs({ short, long, description, value }: ShellOption): string[] {
  return [short, long].flatMap((flag) => {
    if (flag === undefined) return [];
    const tail = value === undefined ? '' : `:value:${action(value)}`;
    return [quote(`${flag}[${plain(description)}]${tail}`)];
  });
}

function argumentsOf({ options, arguments: all }: ShellCommand): string {
  const positional = all.map((completion, index) =>
    quote(`${index === all.length - 1 ? '*' : index + 1}:argument:${action(completion)}`),
  );
  return ['_arguments', ...options.flatMap(optionSpecs), ...positional].join(' ');
}

const described = (words: readonly ShellWord[]): string =>
  words.map(({ name, summary }) => quote(`${name}:${plain(summary)}`)).join(' ');

export function zshCompletion(commands: readonly ShellCommand[], words: readonly ShellWord[]): string {
  const families = words.filter(({ under }) => under.length > 0);
  const lines = [
    '#compdef fallback',
    '# zsh completion for fallback; made by `fallback completion zsh`.',
    '_fallback() {',
    '  local -a words_here',
    '  if (( CURRENT == 2 )); then',
    `    words_here=(${described(words)})`,
    "    _describe 'command' words_here",
    '    return',
    '  fi',
    `  local name="\${words[2]}"`,
    ...families.flatMap(({ name, under }) => [
      `  if [[ $name == ${name} && CURRENT -eq 3 && \${words[3]} != -* ]]; then`,
      `    words_here=(${described(under)})`,
      "    _describe 'command' words_here",
      '    return',
      '  fi',
      `  if [[ $name == ${name} ]]; then`,
      `    case "\${words[3]}" in ${under.map((one) => one.name).join('|')}) name="${name} \${words[3]}"; words=("\${words[1]}" "\${(@)words[4,-1]}"); (( CURRENT -= 2 )) ;; *) words=("\${words[1]}" "\${(@)words[3,-1]}"); (( CURRENT -= 1 )) ;; esac`,
      '  fi',
    ]),
    `  case "$name" in ${families.map(({ name }) => `"${name}"*`).join('|')}) ;; *) words=("\${words[1]}" "\${(@)words[3,-1]}"); (( CURRENT -= 1 )) ;; esac`,
    '  case "$name" in',
    ...commands.map((command) => `    ${quote(command.path)}) ${argumentsOf(command)} ;;`),
    '  esac',
    '}',
    '_fallback "$@"',
  ];
  return `${lines.join('\n')}\n`;
}
