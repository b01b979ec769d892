// What a command is: data from which the program, its help, the man page, the reference and the completions are made.
import type { Output } from './output.ts';
import type { World } from './world.ts';

/** What the shell may offer for a value. */
export type Completion = 'file' | 'folder' | 'none' | readonly string[];

/** An option of one command or of several; also the key to its value. */
export interface OptionSpec<Value> {
  /** `--to <folder>`, `-q, --quiet`, `--read-data [percent]`. */
  readonly flags: string;
  readonly description: string;
  /** Undefined for an option without a value. @throws USAGE. */
  readonly parse: ((text: string) => Value) | undefined;
  /** For people: what holds when it is left out. */
  readonly absent?: string;
  readonly completion?: Completion;
  /** An environment variable that gives it too. */
  readonly variable?: string;
}

/** An option that takes a text as it is. */
export const textOption = (
  flags: string,
  description: string,
  more: Partial<OptionSpec<string>> = {},
): OptionSpec<string> => ({ flags, description, parse: (text) => text, ...more });

/** An option that is there or not. */
export const flagOption = (flags: string, description: string): OptionSpec<true> => ({
  flags,
  description,
  parse: undefined,
});

/** An option with a value of its own kind. */
export const valueOption = <Value>(
  flags: string,
  description: string,
  parse: (text: string) => Value,
  more: Partial<OptionSpec<Value>> = {},
): OptionSpec<Value> => ({ flags, description, parse, ...more });

export interface ArgumentSpec {
  /** `<snapshot>`, `[archive]`, `[path...]`. */
  readonly syntax: string;
  readonly description: string;
  readonly completion?: Completion;
}

/** One run of a command. */
export interface Invocation {
  readonly world: World;
  readonly output: Output;
  /** The arguments in order, as typed. */
  readonly args: readonly string[];
  /** Loads all commands there are. */
  commands(): Promise<readonly (CommandSpec | CommandFamily)[]>;
  /** Aborts on the first Ctrl-C, SIGTERM or SIGHUP; its reason is an INTERRUPTED error. */
  readonly signal: AbortSignal;
  /** An option's value; `true` for an option whose value was left out. */
  get<Value>(option: OptionSpec<Value>): Value | undefined;
  /** Whether an option with an optional value stands there without one. */
  isBare(option: OptionSpec<unknown>): boolean;
}

/** Where a command is listed in the help. */
export type CommandGroup = 'main' | 'fallback' | 'both' | 'program';

/** A command as a list of commands shows it. */
export interface CommandHead {
  readonly name: string;
  readonly group: CommandGroup;
  /** One line, without a full stop. */
  readonly summary: string;
}

/** What stands behind a command's name. */
export interface CommandBody {
  /** Paragraphs. */
  readonly description: readonly string[];
  readonly arguments?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec<unknown>[];
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** What --json prints: a list of lines for docs/COMMANDS.md. */
  readonly json?: readonly string[];
  /** It listens for signals itself. */
  readonly ownSignals?: true;
  /** The command's exit code, when it is not 0. */
  run(invocation: Invocation): Promise<number | undefined>;
}

export interface CommandSpec extends CommandHead, CommandBody {}

/** Commands under one word; `default` runs when none of them is named. */
export interface FamilyBody {
  readonly description: readonly string[];
  readonly commands: readonly CommandSpec[];
  readonly default?: string;
}

export interface CommandFamily extends CommandHead, FamilyBody {}

/** A word of the command line, and how to come by what stands behind it. */
export interface CommandEntry extends CommandHead {
  load(): Promise<CommandBody | FamilyBody>;
}

export const isFamily = (entry: CommandHead): entry is CommandFamily => 'commands' in entry;
export const isSpec = (entry: CommandHead): entry is CommandSpec => 'run' in entry;
