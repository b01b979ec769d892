// From the command line to an exit code: parses, runs one command, reports its error.
import { type FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import type { CommandHead, CommandSpec, Invocation, OptionSpec } from './command-spec.ts';
import { isFamily } from './command-spec.ts';
import { commandEntries, loadCommand, loadCommands } from './commands.ts';
import { asFallbackError, describeError, describeStack, encodeError } from './error-report.ts';
import { watchInterrupts } from './interrupts.ts';
import { failureOfStdout, Output, watchStreams } from './output.ts';
import { attributeName, buildProgram, CommanderError, usageError } from './program.ts';
import type { World } from './world.ts';

/** Runs the command line `argv` (without node and script). @returns the exit code. */
export async function run(world: World, argv: readonly string[]): Promise<number> {
  watchStreams(world);
  let exitCode = 0;
  const entries = await entriesFor(argv);
  const program = buildProgram(
    entries,
    world.programVersion,
    {
      write: (text) => {
        if (world.stdout.writable) world.stdout.write(text);
      },
      columns: world.stdout.columns ?? 100,
    },
    async (spec, args, values) => {
      exitCode = (await runSpec(world, spec, args, values)) ?? 0;
    },
  );
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (thrown) {
    exitCode = report(world, entries, argv, thrown);
  }
  await new Output(world, { json: false, quiet: false }).flush();
  const unwritten = failureOfStdout(world);
  return exitCode === 0 && unwritten !== undefined ? report(world, entries, argv, unwritten) : exitCode;
}

/** All entries, those whole that the command line may mean: each command that is not loaded saves a millisecond or two. */
async function entriesFor(argv: readonly string[]): Promise<readonly CommandHead[]> {
  return await Promise.all(
    commandEntries.map(async (entry) => (argv.includes(entry.name) ? await loadCommand(entry) : entry)),
  );
}

async function runSpec(
  world: World,
  spec: CommandSpec,
  args: readonly string[],
  values: Readonly<Record<string, unknown>>,
): Promise<number | undefined> {
  const output = new Output(world, { json: values['json'] === true, quiet: values['quiet'] === true });
  const value = (option: OptionSpec<unknown>): unknown => {
    const given = optionValue(option, values);
    if (given !== undefined || option.variable === undefined) return given;
    const text = world.environment[option.variable];
    return text === undefined || text === '' ? undefined : option.parse?.(text);
  };
  const interrupts = watchInterrupts(world, output, spec.ownSignals === true);
  const invocation: Invocation = {
    world,
    output,
    args,
    commands: loadCommands,
    signal: interrupts.signal,
    get<Value>(option: OptionSpec<Value>): Value | undefined {
      const given = value(option);
      // Commander gives `true` for an option with an optional value that was left out.
      if (given === true && option.parse !== undefined) return undefined;
      return given as Value | undefined;
    },
    isBare: (option) => value(option) === true,
  };
  try {
    return await spec.run(invocation);
  } catch (thrown) {
    // Whatever fell over because of the signal: the signal is the reason.
    if (interrupts.signal.aborted && !isFallbackError(thrown, 'INTERNAL')) throw interrupts.signal.reason;
    throw thrown;
  } finally {
    interrupts.end();
  }
}

/** What commander kept; a `--no-…` option is there when commander's value, true by itself, became false. */
function optionValue(option: OptionSpec<unknown>, values: Readonly<Record<string, unknown>>): unknown {
  const kept = values[attributeName(option)];
  if (!option.flags.startsWith('--no-')) return kept;
  return kept === false ? true : undefined;
}

/** The words of the command line that name a command: `fallback key show`. */
function commandLineOf(all: readonly CommandHead[], argv: readonly string[]): string {
  const words = ['fallback'];
  let entries = all;
  for (const word of argv) {
    const entry = entries.find(({ name }) => name === word);
    if (entry === undefined) break;
    words.push(word);
    if (!isFamily(entry)) break;
    entries = entry.commands;
  }
  return words.join(' ');
}

function report(world: World, entries: readonly CommandHead[], argv: readonly string[], thrown: unknown): number {
  let error: FallbackError;
  if (thrown instanceof CommanderError) {
    const usage = usageError(thrown, commandLineOf(entries, argv));
    if (usage === undefined) return 0;
    error = usage;
  } else {
    error = asFallbackError(thrown);
  }
  const isJson = argv.includes('--json');
  const lines = isJson ? [JSON.stringify(encodeError(error))] : describeError(error);
  if (world.environment['FALLBACK_DEBUG'] === '1' && !(thrown instanceof CommanderError)) {
    lines.push(...describeStack(thrown));
  }
  if (world.stderr.writable) world.stderr.write(`${lines.join('\n')}\n`);
  return error.exitCode;
}
