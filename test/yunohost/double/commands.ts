// The table of commands: their words, their options, whether they take the lock (API verb GET: no), and what they run.

import { type Arguments, parseArguments } from './arguments.ts';
import type { Command } from './command.ts';
import { appCommands } from './commands-apps.ts';
import { backupCommands } from './commands-backup.ts';
import { domainCommands } from './commands-domains.ts';
import { systemCommands } from './commands-system.ts';
import { UsageError } from './errors.ts';

const commands: readonly Command[] = [...backupCommands, ...appCommands, ...domainCommands, ...systemCommands];

const beforePostInstall = [
  'tools postinstall',
  'tools versions',
  'tools shell',
  'backup list',
  'backup restore',
  'log display',
];

/** Whether a command may run before the post-install (section 1). */
export function isAllowedBare(words: readonly string[]): boolean {
  return beforePostInstall.includes(words.slice(0, 2).join(' '));
}

/** Finds the command of these words and reads its arguments. @throws UsageError as argparse complains. */
export function findCommand(words: readonly string[]): { command: Command; given: Arguments } {
  for (const length of [3, 2]) {
    const head = words.slice(0, length).join(' ');
    const command = commands.find((one) => one.words === head && one.words.split(' ').length === length);
    if (command !== undefined) return { command, given: parseArguments(words.slice(length), command) };
  }
  const known = [...new Set(commands.map((command) => command.words.split(' ')[0]))]
    .map((word) => `'${word}'`)
    .join(', ');
  throw new UsageError(`argument {category}: invalid choice: '${words.join(' ')}' (choose from ${known})`);
}
