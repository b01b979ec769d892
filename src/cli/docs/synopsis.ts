// How a command line looks: `push [options] <archives...>`.
import type { CommandSpec } from '../command-spec.ts';

/** The command's words and arguments. */
export function synopsis(spec: CommandSpec, path: string): string {
  const words = [path];
  if ((spec.options ?? []).length > 0) words.push('[options]');
  for (const { syntax } of spec.arguments ?? []) words.push(syntax);
  return words.join(' ');
}
