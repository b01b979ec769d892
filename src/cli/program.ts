// From command specs to commander's program: names, arguments, options, help. What runs is called back.
import { Argument, Command, CommanderError, Option } from 'commander';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import {
  type CommandFamily,
  type CommandHead,
  type CommandSpec,
  isFamily,
  isSpec,
  type OptionSpec,
} from './command-spec.ts';

/** Called with the command that was chosen, its arguments as typed and its options by attribute name. */
export type OnCommand = (
  spec: CommandSpec,
  args: readonly string[],
  values: Readonly<Record<string, unknown>>,
) => Promise<void>;

export const groupTitles = {
  main: 'On the main server (and wherever archives are read):',
  fallback: 'On the fallback server:',
  both: 'Anywhere:',
  program: 'About the program:',
} as const;

const helpColumnsMax = 100;

/** The name under which commander keeps an option's value. */
export const attributeName = (option: OptionSpec<unknown>): string => new Option(option.flags).attributeName();

/** Description with what holds when the option is left out. */
export function describeOption(option: OptionSpec<unknown>): string {
  const facts = [
    option.absent === undefined ? undefined : `default: ${option.absent}`,
    option.variable === undefined ? undefined : `also $${option.variable}`,
  ].filter((fact) => fact !== undefined);
  return facts.length === 0 ? option.description : `${option.description} (${facts.join('; ')})`;
}

function makeOption(spec: OptionSpec<unknown>): Option {
  const option = new Option(spec.flags, describeOption(spec));
  const { parse } = spec;
  if (parse !== undefined) option.argParser((text: string) => named(option.long ?? spec.flags, () => parse(text)));
  return option;
}

/** A value's error says which option it belongs to. */
function named<Value>(flag: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (!isFallbackError(error, 'USAGE')) throw error;
    throw new FallbackError('USAGE', `${flag}: ${error.message}`, { cause: error, hint: error.hint });
  }
}

function examplesText(spec: CommandSpec): string {
  const lines = spec.examples.map(([command, what]) => `  ${command}\n      ${what}`);
  return `\nExamples:\n${lines.join('\n')}\n`;
}

function addHead(parent: Command, head: CommandHead, isDefault = false): Command {
  return parent.command(head.name, { isDefault }).summary(head.summary);
}

function addSpec(parent: Command, spec: CommandSpec, onCommand: OnCommand, isDefault: boolean): void {
  const command = addHead(parent, spec, isDefault).description(spec.description.join('\n\n'));
  for (const { syntax, description } of spec.arguments ?? []) command.addArgument(new Argument(syntax, description));
  for (const option of spec.options ?? []) command.addOption(makeOption(option));
  command.addHelpText('after', examplesText(spec));
  command.action(async () => await onCommand(spec, command.args, command.opts()));
}

function addFamily(parent: Command, family: CommandFamily, onCommand: OnCommand): void {
  const command = addHead(parent, family).description(family.description.join('\n\n'));
  for (const spec of family.commands) addSpec(command, spec, onCommand, spec.name === family.default);
}

export interface ProgramStreams {
  readonly write: (text: string) => void;
  readonly columns: number;
}

/**
 * The whole program. Its errors are thrown as CommanderError; help is written through `streams`.
 * @param entries whole, as far as the command line names them; of the others the head is enough.
 */
export function buildProgram(
  entries: readonly CommandHead[],
  version: string,
  streams: ProgramStreams,
  onCommand: OnCommand,
): Command {
  const columns = Math.min(helpColumnsMax, streams.columns);
  const program = new Command('fallback')
    .description(
      'Keeps a second server ready to take over: encrypted, deduplicated archives every night, restored with one command.',
    )
    .version(`fallback ${version}`, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help; also after a command')
    .configureOutput({
      writeOut: streams.write,
      writeErr: () => undefined,
      getOutHelpWidth: () => columns,
      getErrHelpWidth: () => columns,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .configureHelp({
      showGlobalOptions: false,
      subcommandTerm: (command) => command.name(),
    })
    .exitOverride()
    .showSuggestionAfterError(true);
  for (const entry of entries) {
    program.commandsGroup(groupTitles[entry.group]);
    if (isFamily(entry)) addFamily(program, entry, onCommand);
    else if (isSpec(entry)) addSpec(program, entry, onCommand, false);
    else addHead(program, entry);
  }
  program.helpCommand('help [command]', 'show help for a command');
  program.addHelpText(
    'after',
    '\nExit codes: 0 done; 1 failed; 2 wrong usage; 3 finished but incomplete; 4 damage found; 5 not trusted;' +
      '\n10 busy, try later. `fallback errors` explains every error code.',
  );
  return program;
}

const secretOption = /^--?(pass|phrase|password|secret|token)/;

/** A commander error as ours; undefined when it only ends the run after help or version. */
export function usageError(error: CommanderError, commandLine: string): FallbackError | undefined {
  if (error.exitCode === 0) return undefined;
  if (error.code === 'commander.help') {
    return new FallbackError('USAGE', 'No command was given.', {
      hint: `Type \`${commandLine} --help\` for all that can follow.`,
    });
  }
  const [first = '', ...more] = error.message.replace(/^error: /, '').split('\n');
  // The value of a mistyped option may be a secret: it is not repeated.
  const what = first.replace(/(option '--?[^'=]*)=[^']*'/, "$1=…'");
  const suggestion = more.join(' ').replace(/^\((.*)\)$/, '$1');
  const option = /option '(--?[^'=]*)/.exec(what)?.[1];
  const hint =
    option !== undefined && secretOption.test(option) && error.code === 'commander.unknownOption'
      ? 'Secrets are never given on the command line: use --passphrase-file FILE or --phrase-file FILE, or wait to be asked.'
      : `Type \`${commandLine} --help\` for what it takes.`;
  const sentence = `${what.charAt(0).toUpperCase()}${what.slice(1)}`.replace(/\.?$/, '.');
  return new FallbackError('USAGE', [sentence, suggestion].filter((text) => text !== '').join(' '), { hint });
}

export { CommanderError };
