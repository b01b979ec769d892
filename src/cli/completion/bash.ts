// The completion script for bash: plain bash, no bash-completion package needed.

import type { Completion } from '../command-spec.ts';
import type { ShellCommand, ShellWord } from './shell-words.ts';

function offer(completion: Completion | undefined): string {
  if (completion === 'file') return 'compopt -o default; COMPREPLY=(); return';
  if (completion === 'folder') return 'compopt -o dirnames; COMPREPLY=(); return';
  if (completion === undefined || completion === 'none') return 'COMPREPLY=(); return';
  return `COMPREPLY=($(compgen -W '${completion.join(' ')}' -- "$cur")); return`;
}

const caseOf = (pattern: string, action: string): string => `    ${pattern}) ${action} ;;`;

function optionCases(commands: readonly ShellCommand[]): string[] {
  const seen = new Map<string, string>();
  for (const { path, options } of commands) {
    for (const { short, long, value } of options) {
      if (value === undefined) continue;
      for (const flag of [long, short]) if (flag !== undefined) seen.set(`${path}:${flag}`, offer(value));
    }
  }
  return [...seen].map(([key, action]) => caseOf(`'${key}'`, action));
}

/** Arguments of a command with a fixed list or with files; anything else is not completed. */
function argumentCases(commands: readonly ShellCommand[]): string[] {
  return commands.flatMap(({ path, arguments: all }) =>
    all.map((completion, index) =>
      caseOf(index === all.length - 1 ? `'${path}:'*` : `'${path}:${index}'`, offer(completion)),
    ),
  );
}

export function bashCompletion(commands: readonly ShellCommand[], words: readonly ShellWord[]): string {
  const families = words.filter(({ under }) => under.length > 0);
  const lines = [
    '# bash completion for fallback; made by `fallback completion bash`.',
    '_fallback() {',
    '  local cur prev word path="" count=0 index',
    `  cur="\${COMP_WORDS[COMP_CWORD]}"; prev="\${COMP_WORDS[COMP_CWORD-1]}"`,
    '  for ((index = 1; index < COMP_CWORD; index++)); do',
    `    word="\${COMP_WORDS[index]}"`,
    '    case "$path" in',
    `      '') [[ $word == -* ]] || path="$word" ;;`,
    ...families.map(
      ({ name, under }) =>
        `      ${name}) case "$word" in ${under.map((one) => one.name).join('|')}) path="${name} $word" ;; -*) ;; *) count=$((count+1)) ;; esac ;;`,
    ),
    '      *) [[ $word == -* ]] || count=$((count+1)) ;;',
    '    esac',
    '  done',
    '  case "$path:$prev" in',
    ...optionCases(commands),
    '  esac',
    '  if [[ $cur == -* ]]; then',
    '    case "$path" in',
    ...commands.map(
      ({ path, options }) =>
        `  ${caseOf(`'${path}'`, `COMPREPLY=($(compgen -W '${options.map(({ long }) => long).join(' ')}' -- "$cur")); return`)}`,
    ),
    `      '') COMPREPLY=($(compgen -W '--help --version' -- "$cur")); return ;;`,
    '    esac',
    '  fi',
    '  case "$path" in',
    `    ''|help) COMPREPLY=($(compgen -W '${words.map(({ name }) => name).join(' ')}' -- "$cur")); return ;;`,
    ...families.map(({ name, under }) =>
      caseOf(name, `COMPREPLY=($(compgen -W '${under.map((one) => one.name).join(' ')}' -- "$cur")); return`),
    ),
    '  esac',
    '  case "$path:$count" in',
    ...argumentCases(commands),
    '  esac',
    '}',
    'complete -F _fallback fallback',
  ];
  return `${lines.join('\n')}\n`;
}
