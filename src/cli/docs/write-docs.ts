// Writes docs/man/fallback.1 and the reference part of docs/COMMANDS.md: node src/cli/docs/write-docs.ts
import { readFileSync, writeFileSync } from 'node:fs';
import type { CommandFamily, CommandSpec } from '../command-spec.ts';
import { loadCommands } from '../commands.ts';
import { programVersion } from '../version.ts';
import { makeCommandReference } from './make-command-reference.ts';
import { makeManPage } from './make-man-page.ts';

/** What stands above it is written by hand. */
export const referenceMark = '<!-- From here on made by src/cli/docs/write-docs.ts -->\n';

export const manPagePath: URL = new URL('../../../docs/man/fallback.1', import.meta.url);
export const referencePath: URL = new URL('../../../docs/COMMANDS.md', import.meta.url);

/** What both files should hold. @param commandsPage docs/COMMANDS.md as it is. */
export function makeDocs(
  commands: readonly (CommandSpec | CommandFamily)[],
  commandsPage: string,
): { readonly manPage: string; readonly commandsPage: string } {
  const [byHand = ''] = commandsPage.split(referenceMark);
  return {
    manPage: makeManPage(commands, programVersion),
    commandsPage: `${byHand.trimEnd()}\n\n${referenceMark}\n${makeCommandReference(commands)}`,
  };
}

if (import.meta.main) {
  const made = makeDocs(await loadCommands(), readFileSync(referencePath, 'utf8'));
  writeFileSync(manPagePath, made.manPage);
  writeFileSync(referencePath, made.commandsPage);
}
