// The commands as a shell sees them: words, options, what values may be.
import { type CommandFamily, type CommandSpec, type Completion, isFamily } from '../command-spec.ts';

/** An option as a shell sees it. */
export interface ShellOption {
  readonly short: string | undefined;
  readonly long: string;
  readonly description: string;
  /** Undefined: it takes no value. */
  readonly value: Completion | undefined;
}

/** A command as a shell sees it. */
export interface ShellCommand {
  /** `key passphrase`. */
  readonly path: string;
  readonly summary: string;
  readonly options: readonly ShellOption[];
  /** What its arguments may be, the last for all further ones. */
  readonly arguments: readonly Completion[];
}

export interface ShellWord {
  readonly name: string;
  readonly summary: string;
  /** The words under it; empty for a command. */
  readonly under: readonly ShellWord[];
}

const helpOption: ShellOption = { short: '-h', long: '--help', description: 'show help', value: undefined };

function shellCommand(spec: CommandSpec, path: string): ShellCommand {
  const options = (spec.options ?? []).map(({ flags, description, completion, parse }): ShellOption => {
    const long = /--[a-z-]+/.exec(flags)?.[0] ?? flags;
    return {
      short: /^-[a-zA-Z]/.exec(flags)?.[0],
      long,
      description,
      value: parse === undefined ? undefined : (completion ?? 'none'),
    };
  });
  return {
    path,
    summary: spec.summary,
    options: [...options, helpOption],
    arguments: (spec.arguments ?? []).map(({ completion }) => completion ?? 'none'),
  };
}

/** Every command with its whole path; a family's default also under the family's own name. */
export function shellCommands(entries: readonly (CommandSpec | CommandFamily)[]): ShellCommand[] {
  return entries.flatMap((entry) => {
    if (!isFamily(entry)) return [shellCommand(entry, entry.name)];
    const own = entry.commands.find(({ name }) => name === entry.default);
    const under = entry.commands.map((spec) => shellCommand(spec, `${entry.name} ${spec.name}`));
    return own === undefined ? under : [{ ...shellCommand(own, entry.name), arguments: [] }, ...under];
  });
}

/** The tree of words. */
export const shellWords = (entries: readonly (CommandSpec | CommandFamily)[]): ShellWord[] => [
  ...entries.map((entry) => ({
    name: entry.name,
    summary: entry.summary,
    under: isFamily(entry) ? entry.commands.map(({ name, summary }) => ({ name, summary, under: [] })) : [],
  })),
  { name: 'help', summary: 'show help for a command', under: [] },
];
