// Completion scripts, made from the command specs.
import type { CommandFamily, CommandSpec } from '../command-spec.ts';
import { bashCompletion } from './bash.ts';
import { fishCompletion } from './fish.ts';
import { shellCommands, shellWords } from './shell-words.ts';
import { zshCompletion } from './zsh.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

/** The script for one shell. */
export function makeCompletion(shell: Shell, entries: readonly (CommandSpec | CommandFamily)[]): string {
  const make = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }[shell];
  return make(shellCommands(entries), shellWords(entries));
}
